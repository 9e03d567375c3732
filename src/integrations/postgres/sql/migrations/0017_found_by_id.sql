-- Jobs are found by their ids, and late ones by class and transaction, whatever the planner believes of the table: statistics of a queue
-- are those of a moment when it was empty as often as not. `o.id = k.id` lets it read all jobs in the order of their ids instead, as
-- `xid = ANY (late)` let it read all of a class; `o.id = ANY (ARRAY[k.id])` is the same and leaves no other plan than the index.

CREATE OR REPLACE FUNCTION relevo.next_tick(OUT id bigint, OUT fingerprint bigint, OUT snapshot pg_snapshot) LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off
  SET max_parallel_workers_per_gather = 0 SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  l    relevo.tick;
  n    pg_snapshot;
  x    xid8;
  late xid8[];
BEGIN
  -- each statement takes its own snapshot, after the lock
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'relevo.next_tick: READ COMMITTED only' USING ERRCODE = 'invalid_transaction_state';
  END IF;
  IF pg_is_in_recovery() THEN
    RAISE EXCEPTION 'relevo.next_tick: a standby has no list of running transactions' USING ERRCODE = 'read_only_sql_transaction';
  END IF;
  -- a transaction counts its own xid as visible once a later one has finished: its rows would be missed
  IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
    RAISE EXCEPTION 'relevo.next_tick: not in a transaction that has written' USING ERRCODE = 'invalid_transaction_state';
  END IF;
  -- a tick that a crash can take back would name xids that PostgreSQL hands out again
  IF current_setting('synchronous_commit') = 'off' THEN
    PERFORM set_config('synchronous_commit', 'local', true);
  END IF;
  IF NOT pg_try_advisory_xact_lock(1919249782, 1) THEN
    RETURN;   -- the caller looks again, and does not remember the probe's text
  END IF;
  SELECT * INTO l FROM relevo.tick t ORDER BY t.id DESC LIMIT 1;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'relevo.next_tick: there is no tick (deleted by hand?)'
      USING ERRCODE = 'RV001', HINT = 'the outbox must be rebased before a relay may read it: docs/guarantees.md, Restore';
  END IF;
  n := pg_current_snapshot();
  IF pg_snapshot_xmax(n) < pg_snapshot_xmax(l.snapshot) THEN
    RAISE EXCEPTION 'relevo.next_tick: the transaction counter is behind the last tick (restored cluster?)'
      USING ERRCODE = 'RV001', HINT = 'the outbox must be rebased before a relay may read it: docs/guarantees.md, Restore';
  END IF;
  x := pg_snapshot_xmax(l.snapshot);
  late := ARRAY(SELECT i FROM pg_snapshot_xip(l.snapshot) i WHERE pg_visible_in_snapshot(i, n));
  -- the clock only sets a frequency; a tick each second keeps a bulk load in progress from being rescanned by every probe.
  -- Jobs are looked for class by class and xid by xid, since that is how their index begins.
  IF l.at > clock_timestamp() - interval '1 s'
     AND NOT EXISTS (SELECT FROM relevo.outbox o WHERE o.xid >= x ORDER BY o.xid LIMIT 1)
     AND NOT EXISTS (SELECT FROM relevo.outbox o WHERE o.xid = ANY (late))
     AND NOT EXISTS (SELECT FROM unnest('{0,1,2}'::smallint[]) c (class)
                     CROSS JOIN LATERAL (SELECT FROM relevo.job o WHERE o.class = c.class AND o.xid >= x ORDER BY o.xid LIMIT 1) j)
     AND NOT EXISTS (SELECT FROM unnest('{0,1,2}'::smallint[]) c (class) CROSS JOIN unnest(late) i (xid)
                     CROSS JOIN LATERAL (SELECT FROM relevo.job o WHERE o.class = c.class AND o.xid = i.xid LIMIT 1) j)
  THEN
    id := l.id; fingerprint := l.fingerprint; snapshot := l.snapshot;
    RETURN;
  END IF;
  INSERT INTO relevo.tick AS t (id, fingerprint, snapshot) VALUES (l.id + 1, (random() * 9e18)::bigint, pg_current_snapshot())
  RETURNING t.id, t.fingerprint, t.snapshot INTO id, fingerprint, snapshot;
END $$;

-- After a take-over, in a transaction of its own, before anything of the journal runs again: hands every open job (same id and
-- token) to a new attempt, counts the crash and empties the journal together. Waits for nobody: rows that a late result of
-- the old holder has locked stay in the journal (left_open above 0: again in 50 ms). ver NULL: fenced. crash = false: the same
-- living process took the lane back, or hands it over: nothing is counted. worker: the holder that was lost, if known.
CREATE OR REPLACE FUNCTION relevo.settle(lane smallint, epoch bigint, current bigint, crash boolean, quarantine_at int, backoff interval,
                              worker text DEFAULT NULL, OUT ver bigint, OUT left_open int) LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
  journal bigint[];
  tokens  int[];
  got     bigint[];
  blamed  bigint[];
  batches bigint[];
BEGIN
  -- job rows need a snapshot younger than the take-over
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'relevo.settle: READ COMMITTED only' USING ERRCODE = 'invalid_transaction_state';
  END IF;
  SELECT p.open, p.open_token INTO journal, tokens FROM relevo.lane p
  WHERE p.lane = settle.lane AND p.epoch = settle.epoch AND p.ver = settle.current FOR UPDATE;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  -- a unique job that is not marked was not started
  SELECT coalesce(array_agg(x.id), '{}'), coalesce(array_agg(x.id) FILTER (WHERE x.blame), '{}'),
         array_agg(x.batch) FILTER (WHERE x.blame AND x.crashes + 1 >= quarantine_at AND NOT x.again AND x.batch IS NOT NULL)
  INTO got, blamed, batches
  FROM (SELECT j.id, j.batch, j.crashes, j.again, crash AND (j.unique_key IS NULL OR j.state = 1) AS blame
        FROM unnest(journal, tokens) k (id, token)
        JOIN relevo.job j ON j.id = ANY (ARRAY[k.id]) AND j.token = k.token AND j.state < 2
        ORDER BY k.id FOR UPDATE OF j SKIP LOCKED) x;
  INSERT INTO relevo.job_attempt (job_id, attempt, outcome, worker, error)
  SELECT j.id, j.attempts + j.crashes + 1, 'crash', settle.worker, 'the worker process was lost'
  FROM unnest(blamed) b (id) JOIN relevo.job j ON j.id = ANY (ARRAY[b.id]);
  UPDATE relevo.job j SET
    token = j.token + 1, again = false,
    attempts = CASE WHEN j.again THEN 0 ELSE j.attempts END,
    crashes = CASE WHEN j.id <> ALL (blamed) THEN j.crashes
                   WHEN j.again THEN least(j.crashes + 1, greatest(quarantine_at - 1, 1))   -- what is owed is never quarantined, but stays a suspect
                   ELSE j.crashes + 1 END,
    state = CASE WHEN j.id = ANY (blamed) AND NOT j.again AND j.crashes + 1 >= quarantine_at THEN 3 ELSE 0 END,
    batch = CASE WHEN j.id = ANY (blamed) AND NOT j.again AND j.crashes + 1 >= quarantine_at THEN NULL ELSE j.batch END,
    error = CASE WHEN j.again THEN NULL WHEN j.id = ANY (blamed) THEN 'the worker process was lost' ELSE j.error END,
    run_at = CASE WHEN j.again THEN greatest(j.run_at, clock_timestamp())
                  WHEN j.id = ANY (blamed) AND j.crashes + 1 < quarantine_at THEN clock_timestamp() + backoff
                  ELSE clock_timestamp() END
  FROM unnest(got) g (id) WHERE j.id = ANY (ARRAY[g.id]);
  PERFORM relevo.batch_ended(batches) WHERE batches IS NOT NULL;
  UPDATE relevo.lane p SET ver = p.ver + 1, (open, open_token) = (
    SELECT coalesce(array_agg(k.id), '{}'), coalesce(array_agg(k.token), '{}')
    FROM unnest(journal, tokens) k (id, token) JOIN relevo.job j ON j.id = ANY (ARRAY[k.id]) AND j.token = k.token AND j.state < 2)
  WHERE p.lane = settle.lane RETURNING p.ver, cardinality(p.open) INTO ver, left_open;
END $$;

-- Deletes jobs that end without having run to their end, and says so in their history. Of the waiting, or of the dead.
CREATE OR REPLACE FUNCTION relevo.remove_jobs(ids bigint[], dead boolean, outcome text, reason text, OUT removed bigint[]) LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
  batches bigint[];
BEGIN
  WITH d AS (
    DELETE FROM relevo.job o USING (SELECT DISTINCT u.id FROM unnest(ids) u (id)) k
    WHERE o.id = ANY (ARRAY[k.id]) AND CASE WHEN dead THEN o.state >= 2 ELSE o.state = 0 END RETURNING o.*
  ), h AS (
    INSERT INTO relevo.job_history (job_id, outcome, queue, kind, priority, unique_key, concurrency_key, tenant, attempts, crashes,
                                    created_at, error, payload, batch)
    SELECT d.id, remove_jobs.outcome, d.queue, d.kind, d.priority, d.unique_key, d.concurrency_key, d.tenant, d.attempts, d.crashes,
           d.created_at, coalesce(reason, d.error), d.payload, d.batch FROM d
  )
  SELECT coalesce(array_agg(d.id ORDER BY d.id), '{}'), array_agg(d.batch) FILTER (WHERE d.batch IS NOT NULL) INTO removed, batches FROM d;
  PERFORM relevo.batch_ended(batches) WHERE batches IS NOT NULL;
END $$;

-- Dead or quarantined jobs wait again. Those with a key go row by row: a live twin leaves only its own row dead. A suspect
-- stays one. Rows in state 2 and 3 are in no holder's memory, so anybody may change them.
CREATE OR REPLACE FUNCTION relevo.redrive(ids bigint[], OUT redriven bigint[], OUT refused bigint[]) LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
  one bigint;
BEGIN
  refused := '{}';
  WITH r AS (
    UPDATE relevo.job o SET state = 0, token = o.token + 1, attempts = 0, crashes = least(o.crashes, 1), error = NULL, run_at = clock_timestamp()
    FROM (SELECT DISTINCT u.id FROM unnest(ids) u (id)) k
    WHERE o.id = ANY (ARRAY[k.id]) AND o.state >= 2 AND o.unique_key IS NULL RETURNING o.id
  )
  SELECT coalesce(array_agg(r.id ORDER BY r.id), '{}') INTO redriven FROM r;
  FOR one IN
    SELECT o.id FROM (SELECT DISTINCT u.id FROM unnest(ids) u (id)) k JOIN relevo.job o ON o.id = ANY (ARRAY[k.id]) AND o.state >= 2 AND o.unique_key IS NOT NULL ORDER BY k.id
  LOOP
    BEGIN
      UPDATE relevo.job o SET state = 0, token = o.token + 1, attempts = 0, crashes = least(o.crashes, 1), error = NULL, run_at = clock_timestamp()
      WHERE o.id = one AND o.state >= 2;
      IF FOUND THEN
        redriven := redriven || one;
      END IF;
    EXCEPTION WHEN unique_violation THEN
      refused := refused || one;
    END;
  END LOOP;
END $$;

-- Deletes waiting jobs of lanes that are still held; $5 goes to the history. Returns those it deleted.
CREATE OR REPLACE FUNCTION relevo.cancel_waiting(lanes smallint[], epochs bigint[], ids bigint[], tokens int[], error text) RETURNS SETOF bigint LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
  held   smallint[] := relevo.fence(lanes, epochs);
  mask   int := (SELECT p.lanes - 1 FROM relevo.lane p LIMIT 1);
  locked bigint[];
BEGIN
  SELECT array_agg(l.id) INTO locked
  FROM (SELECT o.id FROM unnest(ids, tokens) k (id, token) JOIN relevo.job o ON o.id = ANY (ARRAY[k.id]) AND (k.token IS NULL OR o.token = k.token)
        WHERE o.state = 0 AND (hashtextextended(coalesce(o.concurrency_key, o.id::text), 0) & mask) = ANY (held)
        ORDER BY k.id FOR UPDATE OF o SKIP LOCKED) l;
  RETURN QUERY SELECT u.id FROM relevo.remove_jobs(locked, false, 'cancelled', error) r CROSS JOIN LATERAL unnest(r.removed) u (id);
END $$;

-- Of lanes that are still held: waiting jobs with a later time run now, dead ones are redriven. Returns those it changed.
CREATE OR REPLACE FUNCTION relevo.retry_waiting(lanes smallint[], epochs bigint[], ids bigint[]) RETURNS SETOF bigint LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
  held smallint[] := relevo.fence(lanes, epochs);
  mask int := (SELECT p.lanes - 1 FROM relevo.lane p LIMIT 1);
  dead bigint[];
BEGIN
  RETURN QUERY
  UPDATE relevo.job j SET token = j.token + 1, run_at = clock_timestamp()
  FROM (SELECT o.id FROM unnest(ids) k (id) JOIN relevo.job o ON o.id = ANY (ARRAY[k.id])
        WHERE o.state = 0 AND o.run_at > clock_timestamp() AND (hashtextextended(coalesce(o.concurrency_key, o.id::text), 0) & mask) = ANY (held)
        ORDER BY k.id FOR UPDATE OF o SKIP LOCKED) l
  WHERE j.id = ANY (ARRAY[l.id]) RETURNING j.id;
  SELECT array_agg(o.id) INTO dead FROM unnest(ids) k (id) JOIN relevo.job o ON o.id = ANY (ARRAY[k.id])
  WHERE o.state >= 2 AND (hashtextextended(coalesce(o.concurrency_key, o.id::text), 0) & mask) = ANY (held);
  IF dead IS NOT NULL THEN
    RETURN QUERY SELECT u.id FROM relevo.redrive(dead) r CROSS JOIN LATERAL unnest(r.redriven) u (id);
  END IF;
END $$;

-- What the sweeper found, of lanes that are still held: waiting again, now. Returns those it changed.
CREATE OR REPLACE FUNCTION relevo.sweep_fix(lanes smallint[], epochs bigint[], ids bigint[], tokens int[]) RETURNS SETOF bigint LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
  held smallint[] := relevo.fence(lanes, epochs);
  mask int := (SELECT p.lanes - 1 FROM relevo.lane p LIMIT 1);
BEGIN
  RETURN QUERY
  UPDATE relevo.job j SET state = 0, token = j.token + 1, again = false,
    run_at = CASE WHEN j.again THEN greatest(j.run_at, clock_timestamp()) ELSE clock_timestamp() END
  FROM (SELECT o.id FROM unnest(ids, tokens) k (id, token) JOIN relevo.job o ON o.id = ANY (ARRAY[k.id]) AND (k.token IS NULL OR o.token = k.token)
        WHERE o.state < 2 AND (hashtextextended(coalesce(o.concurrency_key, o.id::text), 0) & mask) = ANY (held)
        ORDER BY k.id FOR UPDATE OF o SKIP LOCKED) l
  WHERE j.id = ANY (ARRAY[l.id]) RETURNING j.id;
END $$;

-- One page of an operation in some lanes of one holder: of the next `page` rows (by id; last_id NULL: the end) those that match are
-- changed and named, so that the holder drops what it has read of them. skip_ids: what the holder has in flight; of these, running
-- names those that match, for the holder to stop by itself. missed: rows that match and that somebody has locked, a result of the holder
-- or a stranger; the page is to be done again.
CREATE OR REPLACE FUNCTION relevo.apply_operation(op bigint, lanes smallint[], epochs bigint[], after_id bigint, page int, skip_ids bigint[],
                                       OUT last_id bigint, OUT changed bigint[], OUT running bigint[], OUT missed int) LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
#variable_conflict use_variable
DECLARE
  o        relevo.job_operation;
  mask     int := (SELECT p.lanes - 1 FROM relevo.lane p LIMIT 1);
  scanned  bigint[];
  matches  bigint[];
  versions xid[];
  wanted   bigint[];
BEGIN
  changed := '{}';
  running := '{}';
  missed := 0;
  IF NOT relevo.fence(lanes, epochs) @> lanes THEN
    RAISE EXCEPTION 'relevo.apply_operation: a lane is held in another epoch' USING ERRCODE = 'serialization_failure';
  END IF;
  SELECT * INTO o FROM relevo.job_operation p WHERE p.id = op;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  IF o.what = 'discard' OR o.filter ->> 'state' IN ('dead', 'quarantined') THEN
    scanned := ARRAY(SELECT j.id FROM relevo.job j WHERE j.id > after_id AND (o.last_id IS NULL OR j.id <= o.last_id) AND j.state >= 2 ORDER BY j.id LIMIT page);
  ELSE
    scanned := ARRAY(SELECT j.id FROM relevo.job j WHERE j.id > after_id AND (o.last_id IS NULL OR j.id <= o.last_id) ORDER BY j.id LIMIT page);
  END IF;
  IF cardinality(scanned) = page THEN
    last_id := scanned[page];
  END IF;
  SELECT coalesce(array_agg(j.id), '{}'), array_agg(j.xmin) INTO matches, versions
  FROM unnest(scanned) s (id) JOIN relevo.job j ON j.id = ANY (ARRAY[s.id])
  WHERE CASE WHEN (hashtextextended(coalesce(j.concurrency_key, j.id::text), 0) & mask) <> ALL (lanes) THEN false
             WHEN CASE o.what WHEN 'cancel' THEN j.state < 2
                              WHEN 'retry' THEN j.state >= 2 OR j.state = 0 AND j.run_at > clock_timestamp()
                              ELSE j.state >= 2 END
             THEN relevo.job_matches(j, o.filter, j.state = 0 AND j.unique_key IS NULL AND j.id = ANY (skip_ids))
             ELSE false END;
  -- as it was when it matched, else it is missed, too
  SELECT array_agg(m.id) FILTER (WHERE NOT m.flies), coalesce(array_agg(m.id) FILTER (WHERE m.flies), '{}'),
         cardinality(matches) - count(m.id)
  INTO wanted, running, missed
  FROM (SELECT j.id, j.state = 1 OR j.state = 0 AND j.unique_key IS NULL AND j.id = ANY (skip_ids) AS flies
        FROM unnest(matches, versions) s (id, version) JOIN relevo.job j ON j.id = ANY (ARRAY[s.id]) AND j.xmin = s.version
        ORDER BY s.id FOR UPDATE OF j SKIP LOCKED) m;
  IF o.what <> 'cancel' THEN
    running := '{}';
  END IF;
  IF wanted IS NULL THEN
    RETURN;
  END IF;
  IF o.what = 'retry' THEN
    WITH u AS (
      UPDATE relevo.job j SET token = j.token + 1, run_at = clock_timestamp()
      FROM unnest(wanted) w (id) WHERE j.id = ANY (ARRAY[w.id]) AND j.state = 0 RETURNING j.id
    )
    SELECT coalesce(array_agg(u.id), '{}') INTO changed FROM u;
    SELECT changed || r.redriven INTO changed FROM relevo.redrive(ARRAY(
      SELECT j.id FROM unnest(wanted) w (id) JOIN relevo.job j ON j.id = ANY (ARRAY[w.id]) AND j.state >= 2)) r;
  ELSE
    SELECT r.removed INTO changed
    FROM relevo.remove_jobs(wanted, o.what = 'discard', CASE o.what WHEN 'discard' THEN 'discarded' ELSE 'cancelled' END, NULL) r;
  END IF;
  UPDATE relevo.job_operation p SET changed = p.changed + cardinality(apply_operation.changed) WHERE p.id = op;
END $$;

UPDATE relevo.schema SET version = 17;
