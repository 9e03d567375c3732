-- Who works on jobs and how far: lanes, the wishes of people for jobs that a lane's holder has, and what happens to the jobs of
-- a worker that was lost.

-- A lane of a job: hashtextextended(coalesce(concurrency_key, id::text), 0) & (lanes - 1). A row without unique key is changed by
-- its lane's holder only: that is what lets the holder start a buffered row without looking at it again.
CREATE TABLE relevo.lane (
  lane       smallint    PRIMARY KEY,
  lanes      smallint    NOT NULL,                  -- a worker configured with another number refuses
  holder     text,
  epoch      bigint      NOT NULL DEFAULT 0,
  expires    timestamptz NOT NULL DEFAULT '-infinity',
  ver        bigint      NOT NULL DEFAULT 0,        -- write counter: epoch alone does not stop the holder's own delayed statement
  pos        bigint[]    NOT NULL,                  -- for class 0, 1, 2: tick a, tick b, last xid, last id, fingerprint of b; "started or skipped up to here"
  open       bigint[]    NOT NULL DEFAULT '{}',     -- claim journal, id beside token: by id alone settle() would undo outcomes already committed
  open_token int[]       NOT NULL DEFAULT '{}',
  revisit    jsonb       NOT NULL DEFAULT '[]',     -- where to read again when an obstacle is gone
  CONSTRAINT lane_lanes_is_a_power_of_two_up_to_256 CHECK (lanes IN (1, 2, 4, 8, 16, 32, 64, 128, 256)),
  CONSTRAINT lane_is_below_lanes CHECK (lane >= 0 AND lane < lanes),
  CONSTRAINT lane_has_a_position_per_class CHECK (cardinality(pos) = 15 AND array_position(pos, NULL) IS NULL),
  CONSTRAINT lane_journal_has_ids_and_tokens CHECK (
    cardinality(open) = cardinality(open_token) AND cardinality(open) <= 512
    AND array_position(open, NULL) IS NULL AND array_position(open_token, NULL) IS NULL)
) WITH (fillfactor = 30);                           -- rewritten a hundred times a second: leave room for HOT updates
-- 512 entries fit a page, and compressing them costs more than all the rest of a write.
ALTER TABLE relevo.lane ALTER COLUMN open SET STORAGE PLAIN, ALTER COLUMN open_token SET STORAGE PLAIN;
INSERT INTO relevo.lane (lane, lanes, pos)
SELECT l, 16, p.slot || p.slot || p.slot
FROM generate_series(0, 15) l
CROSS JOIN (SELECT ARRAY[t.id, t.id, 0, -1, t.fingerprint] AS slot FROM relevo.tick t ORDER BY t.id DESC LIMIT 1) p;

-- Another number of lanes moves jobs between positions: only before the first worker took one.
CREATE FUNCTION relevo.initialise_lanes(n int) RETURNS void LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF n IS DISTINCT FROM 16 THEN
    RAISE EXCEPTION 'relevo.initialise_lanes: n: is %; give 16: the workers of this version know no other number of lanes', coalesce(n::text, 'NULL')
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  LOCK TABLE relevo.lane IN EXCLUSIVE MODE;
  IF NOT EXISTS (SELECT FROM relevo.lane p WHERE p.lanes <> n) THEN
    RETURN;
  END IF;
  IF EXISTS (SELECT FROM relevo.lane p WHERE p.epoch <> 0) THEN
    RAISE EXCEPTION 'relevo.initialise_lanes: a worker has already taken a lane; the number of lanes stays %', (SELECT max(p.lanes) FROM relevo.lane p)
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  -- nobody reads them yet, and the new lanes are others: who asked for something asks again
  DELETE FROM relevo.job_signal;
  UPDATE relevo.job_operation o SET lanes_left = 0, finished_at = clock_timestamp() WHERE o.finished_at IS NULL;
  DELETE FROM relevo.lane p WHERE p.lane >= n;
  UPDATE relevo.lane p SET lanes = n;
  INSERT INTO relevo.lane (lane, lanes, pos)
  SELECT l, n, p.pos FROM generate_series(1, n - 1) l CROSS JOIN relevo.lane p WHERE p.lane = 0
  ON CONFLICT (lane) DO NOTHING;
END $$;

CREATE FUNCTION relevo.lane_of(id bigint, concurrency_key text) RETURNS smallint LANGUAGE sql STABLE
  RETURN (hashtextextended(coalesce(concurrency_key, id::text), 0) & ((SELECT p.lanes FROM relevo.lane p LIMIT 1) - 1))::smallint;

CREATE VIEW relevo.open_job AS
SELECT l.lane, l.holder, l.epoch, u.id, u.token FROM relevo.lane l CROSS JOIN LATERAL unnest(l.open, l.open_token) u (id, token);

-- What people ask for many jobs at once; the holders of the lanes do it, each for its own.
CREATE TABLE relevo.job_operation (
  id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  what         text        NOT NULL,
  filter       jsonb       NOT NULL,
  requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed      bigint      NOT NULL DEFAULT 0,
  lanes_left   int         NOT NULL,
  finished_at  timestamptz,
  CONSTRAINT job_operation_what_is_known CHECK (what IN ('cancel', 'retry', 'discard'))
);

-- Wishes for a lane's holder, who applies and deletes them.
CREATE TABLE relevo.job_signal (
  id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  lane      smallint    NOT NULL,
  at        timestamptz NOT NULL DEFAULT clock_timestamp(),
  what      text        NOT NULL,                  -- beside an operation only a hint: it says itself what to do
  job_id    bigint,
  operation bigint,
  CONSTRAINT job_signal_what_is_known CHECK (what IN ('cancel', 'retry_now')),
  CONSTRAINT job_signal_is_for_a_job_or_an_operation CHECK (num_nonnulls(job_id, operation) = 1)
);
CREATE INDEX job_signal_lane ON relevo.job_signal (lane, id);

-- State as people know it. Journalled counts as running; state 1 in no journal is shown as waiting, which the sweeper makes true.
CREATE VIEW relevo.jobs AS
SELECT j.id,
       CASE WHEN j.state = 3 THEN 'quarantined' WHEN j.state = 2 THEN 'dead' WHEN p.id IS NOT NULL THEN 'running'
            WHEN j.attempts + j.crashes > 0 THEN 'retryable' WHEN j.run_at > clock_timestamp() THEN 'scheduled' ELSE 'available' END AS state,
       j.queue, j.kind, j.priority, j.run_at, j.attempts, j.crashes, j.max_attempts, p.holder AS worker, j.unique_key, j.again,
       j.concurrency_key, j.rate_key, j.tenant, j.error, NULL::jsonb AS result, j.created_at, NULL::timestamptz AS finished,
       NULL::interval AS ran, j.batch
FROM relevo.job j
LEFT JOIN relevo.open_job p ON p.id = j.id AND p.token = j.token AND (j.unique_key IS NULL OR j.state = 1)
UNION ALL
SELECT h.job_id, h.outcome, h.queue, h.kind, h.priority, NULL, h.attempts, h.crashes, NULL, h.worker, h.unique_key, false,
       h.concurrency_key, NULL, h.tenant, h.error, h.result, h.created_at, h.finished, h.ran, h.batch
FROM relevo.job_history h;

-- Returns the newest tick, a new one if something became visible or a second passed; NULLs when somebody else is ticking.
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
  -- Jobs are looked for class by class, since that is how their index begins.
  IF l.at > clock_timestamp() - interval '1 s'
     AND NOT EXISTS (SELECT FROM relevo.outbox o WHERE o.xid >= x ORDER BY o.xid LIMIT 1)
     AND NOT EXISTS (SELECT FROM relevo.outbox o WHERE o.xid = ANY (late))
     AND NOT EXISTS (SELECT FROM unnest('{0,1,2}'::smallint[]) c (class)
                     CROSS JOIN LATERAL (SELECT FROM relevo.job o WHERE o.class = c.class AND o.xid >= x ORDER BY o.xid LIMIT 1) j)
     AND NOT EXISTS (SELECT FROM unnest('{0,1,2}'::smallint[]) c (class)
                     CROSS JOIN LATERAL (SELECT FROM relevo.job o WHERE o.class = c.class AND o.xid = ANY (late) LIMIT 1) j)
  THEN
    id := l.id; fingerprint := l.fingerprint; snapshot := l.snapshot;
    RETURN;
  END IF;
  INSERT INTO relevo.tick AS t (id, fingerprint, snapshot) VALUES (l.id + 1, (random() * 9e18)::bigint, pg_current_snapshot())
  RETURNING t.id, t.fingerprint, t.snapshot INTO id, fingerprint, snapshot;
END $$;

-- Deletes ticks that no position and no lane needs and that are older than a minute, at most 50,000 a call, never the newest.
CREATE OR REPLACE FUNCTION relevo.prune_ticks() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off
  SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  low     bigint;
  high    bigint;
  young   bigint;
  lanes   bigint;
  newest  relevo.tick;
  deleted bigint;
BEGIN
  SELECT p.before_id INTO low FROM relevo.tick_pruning p FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN 0;   -- somebody else is pruning
  END IF;
  SELECT * INTO newest FROM relevo.tick t ORDER BY t.id DESC LIMIT 1;
  lanes := (SELECT min(p.pos[slot]) FROM relevo.lane p CROSS JOIN generate_series(1, 11, 5) slot);
  -- Lanes that nobody has ever taken go along while there is no job, else they would keep every tick where no worker is
  -- wanted. A job that this statement cannot see yet is not visible at the tick read before it either.
  IF lanes < newest.id - 1000 AND NOT EXISTS (SELECT FROM relevo.lane p WHERE p.epoch <> 0) AND NOT EXISTS (SELECT FROM relevo.job) THEN
    UPDATE relevo.lane p SET pos = s.slot || s.slot || s.slot
    FROM (SELECT ARRAY[newest.id, newest.id, 0, -1, newest.fingerprint] AS slot) s WHERE p.epoch = 0;
    lanes := (SELECT min(p.pos[slot]) FROM relevo.lane p CROSS JOIN generate_series(1, 11, 5) slot);
  END IF;
  high := least((SELECT min(p.a) FROM relevo.position p), lanes, newest.id, low + 50000);
  SELECT t.id INTO young FROM relevo.tick t
  WHERE t.id >= low AND t.id < high AND t.at >= clock_timestamp() - interval '1 minute' ORDER BY t.id LIMIT 1;
  high := least(high, young);
  IF high IS NULL OR high <= low THEN
    RETURN 0;
  END IF;
  DELETE FROM relevo.tick t WHERE t.id >= low AND t.id < high;
  GET DIAGNOSTICS deleted = ROW_COUNT;
  UPDATE relevo.tick_pruning SET before_id = high;
  RETURN deleted;
END $$;

-- After a take-over, in a transaction of its own, before anything of the journal runs again: hands every open job (same id and
-- token) to a new attempt, counts the crash and empties the journal together. Waits for nobody: rows that a late result of
-- the old holder has locked stay in the journal (left_open above 0: again in 50 ms). ver NULL: fenced. crash = false: the same
-- living process took the lane back, or hands it over: nothing is counted. worker: the holder that was lost, if known.
CREATE FUNCTION relevo.settle(lane smallint, epoch bigint, current bigint, crash boolean, quarantine_at int, backoff interval,
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
        JOIN relevo.job j ON j.id = k.id AND j.token = k.token AND j.state < 2
        ORDER BY j.id FOR UPDATE OF j SKIP LOCKED) x;
  INSERT INTO relevo.job_attempt (job_id, attempt, outcome, worker, error)
  SELECT j.id, j.attempts + j.crashes + 1, 'crash', settle.worker, 'the worker process was lost'
  FROM unnest(blamed) b (id) JOIN relevo.job j ON j.id = b.id;
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
  FROM unnest(got) g (id) WHERE j.id = g.id;
  PERFORM relevo.batch_ended(batches) WHERE batches IS NOT NULL;
  UPDATE relevo.lane p SET ver = p.ver + 1, (open, open_token) = (
    SELECT coalesce(array_agg(k.id), '{}'), coalesce(array_agg(k.token), '{}')
    FROM unnest(journal, tokens) k (id, token) JOIN relevo.job j ON j.id = k.id AND j.token = k.token AND j.state < 2)
  WHERE p.lane = settle.lane RETURNING p.ver, cardinality(p.open) INTO ver, left_open;
END $$;

-- The lanes of these that are still held in these epochs, locked against a take-over until the transaction ends. First in every
-- transaction in which the holder changes waiting rows.
CREATE FUNCTION relevo.fence(lanes smallint[], epochs bigint[]) RETURNS smallint[] LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
  held smallint[];
BEGIN
  SELECT coalesce(array_agg(f.lane), '{}') INTO held
  FROM (SELECT p.lane FROM unnest(lanes, epochs) k (lane, epoch) JOIN relevo.lane p ON p.lane = k.lane AND p.epoch = k.epoch
        ORDER BY p.lane FOR SHARE OF p) f;
  RETURN held;
END $$;

-- Deletes jobs that end without having run to their end, and says so in their history. Of the waiting, or of the dead.
CREATE FUNCTION relevo.remove_jobs(ids bigint[], dead boolean, outcome text, reason text, OUT removed bigint[]) LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
  batches bigint[];
BEGIN
  WITH d AS (
    DELETE FROM relevo.job o USING (SELECT DISTINCT u.id FROM unnest(ids) u (id)) k
    WHERE o.id = k.id AND CASE WHEN dead THEN o.state >= 2 ELSE o.state = 0 END RETURNING o.*
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
CREATE FUNCTION relevo.redrive(ids bigint[], OUT redriven bigint[], OUT refused bigint[]) LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
  one bigint;
BEGIN
  refused := '{}';
  WITH r AS (
    UPDATE relevo.job o SET state = 0, token = o.token + 1, attempts = 0, crashes = least(o.crashes, 1), error = NULL, run_at = clock_timestamp()
    FROM (SELECT DISTINCT u.id FROM unnest(ids) u (id)) k
    WHERE o.id = k.id AND o.state >= 2 AND o.unique_key IS NULL RETURNING o.id
  )
  SELECT coalesce(array_agg(r.id ORDER BY r.id), '{}') INTO redriven FROM r;
  FOR one IN
    SELECT o.id FROM (SELECT DISTINCT u.id FROM unnest(ids) u (id)) k JOIN relevo.job o ON o.id = k.id AND o.state >= 2 AND o.unique_key IS NOT NULL ORDER BY o.id
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

-- The dead only; their payload goes to the history: it can still be enqueued anew.
CREATE FUNCTION relevo.discard(ids bigint[]) RETURNS bigint[] LANGUAGE sql
  SET search_path = pg_catalog, pg_temp AS $$ SELECT r.removed FROM relevo.remove_jobs(ids, true, 'discarded', NULL) r $$;

-- By id or by unique key. A waiting unique job is deleted at once (it cannot start without its mark); a row without key, and
-- whatever runs, belongs to the lane's holder and is asked for: 'requested'. A further run that is owed (again) survives: it
-- is somebody's later wish.
CREATE FUNCTION relevo.cancel(job_id bigint DEFAULT NULL, unique_key text DEFAULT NULL) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
  j relevo.job;
BEGIN
  IF num_nonnulls($1, $2) <> 1 THEN
    RAISE EXCEPTION 'relevo.cancel: give job_id or unique_key' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF $1 IS NOT NULL THEN
    SELECT * INTO j FROM relevo.job o WHERE o.id = $1;
  ELSE
    SELECT * INTO j FROM relevo.job o WHERE o.unique_key = $2 AND o.state < 2;
  END IF;
  IF j.id IS NULL THEN
    RETURN 'not found';
  ELSIF j.state >= 2 THEN
    RETURN 'dead: discard it';
  END IF;
  IF j.unique_key IS NOT NULL THEN
    IF relevo.remove_jobs(ARRAY[j.id], false, 'cancelled', NULL) <> '{}' THEN
      RETURN 'cancelled';
    END IF;
    SELECT * INTO j FROM relevo.job o WHERE CASE WHEN $1 IS NULL THEN o.unique_key = $2 AND o.state < 2 ELSE o.id = $1 END;
    IF j.id IS NULL THEN
      RETURN 'not found';
    END IF;
  END IF;
  INSERT INTO relevo.job_signal (lane, what, job_id) VALUES (relevo.lane_of(j.id, j.concurrency_key), 'cancel', j.id);
  RETURN 'requested';
END $$;

-- A waiting job runs as soon as its lane's holder hears of it, a dead one is redriven.
CREATE FUNCTION relevo.retry_now(job_id bigint) RETURNS text LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
  j relevo.job;
BEGIN
  SELECT * INTO j FROM relevo.job o WHERE o.id = retry_now.job_id;
  IF NOT FOUND THEN
    RETURN 'not found';
  ELSIF j.state >= 2 THEN
    RETURN (SELECT CASE WHEN r.refused <> '{}' THEN 'refused: another job with its unique key is waiting' WHEN r.redriven <> '{}' THEN 'redriven' ELSE 'not found' END
            FROM relevo.redrive(ARRAY[j.id]) r);
  END IF;
  INSERT INTO relevo.job_signal (lane, what, job_id) VALUES (relevo.lane_of(j.id, j.concurrency_key), 'retry_now', j.id);
  RETURN 'requested';
END $$;

-- Deletes waiting jobs of lanes that are still held; $5 goes to the history. Returns those it deleted.
CREATE FUNCTION relevo.cancel_waiting(lanes smallint[], epochs bigint[], ids bigint[], tokens int[], error text) RETURNS SETOF bigint LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
  held   smallint[] := relevo.fence(lanes, epochs);
  mask   int := (SELECT p.lanes - 1 FROM relevo.lane p LIMIT 1);
  locked bigint[];
BEGIN
  SELECT array_agg(l.id) INTO locked
  FROM (SELECT o.id FROM unnest(ids, tokens) k (id, token) JOIN relevo.job o ON o.id = k.id AND (k.token IS NULL OR o.token = k.token)
        WHERE o.state = 0 AND (hashtextextended(coalesce(o.concurrency_key, o.id::text), 0) & mask) = ANY (held)
        ORDER BY o.id FOR UPDATE OF o SKIP LOCKED) l;
  RETURN QUERY SELECT u.id FROM relevo.remove_jobs(locked, false, 'cancelled', error) r CROSS JOIN LATERAL unnest(r.removed) u (id);
END $$;

-- Of lanes that are still held: waiting jobs with a later time run now, dead ones are redriven. Returns those it changed.
CREATE FUNCTION relevo.retry_waiting(lanes smallint[], epochs bigint[], ids bigint[]) RETURNS SETOF bigint LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
  held smallint[] := relevo.fence(lanes, epochs);
  mask int := (SELECT p.lanes - 1 FROM relevo.lane p LIMIT 1);
  dead bigint[];
BEGIN
  RETURN QUERY
  UPDATE relevo.job j SET token = j.token + 1, run_at = clock_timestamp()
  FROM (SELECT o.id FROM unnest(ids) k (id) JOIN relevo.job o ON o.id = k.id
        WHERE o.state = 0 AND o.run_at > clock_timestamp() AND (hashtextextended(coalesce(o.concurrency_key, o.id::text), 0) & mask) = ANY (held)
        ORDER BY o.id FOR UPDATE OF o SKIP LOCKED) l
  WHERE j.id = l.id RETURNING j.id;
  SELECT array_agg(o.id) INTO dead FROM unnest(ids) k (id) JOIN relevo.job o ON o.id = k.id
  WHERE o.state >= 2 AND (hashtextextended(coalesce(o.concurrency_key, o.id::text), 0) & mask) = ANY (held);
  IF dead IS NOT NULL THEN
    RETURN QUERY SELECT u.id FROM relevo.redrive(dead) r CROSS JOIN LATERAL unnest(r.redriven) u (id);
  END IF;
END $$;

-- What the sweeper found, of lanes that are still held: waiting again, now. Returns those it changed.
CREATE FUNCTION relevo.sweep_fix(lanes smallint[], epochs bigint[], ids bigint[], tokens int[]) RETURNS SETOF bigint LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
  held smallint[] := relevo.fence(lanes, epochs);
  mask int := (SELECT p.lanes - 1 FROM relevo.lane p LIMIT 1);
BEGIN
  RETURN QUERY
  UPDATE relevo.job j SET state = 0, token = j.token + 1, again = false,
    run_at = CASE WHEN j.again THEN greatest(j.run_at, clock_timestamp()) ELSE clock_timestamp() END
  FROM (SELECT o.id FROM unnest(ids, tokens) k (id, token) JOIN relevo.job o ON o.id = k.id AND (k.token IS NULL OR o.token = k.token)
        WHERE o.state < 2 AND (hashtextextended(coalesce(o.concurrency_key, o.id::text), 0) & mask) = ANY (held)
        ORDER BY o.id FOR UPDATE OF o SKIP LOCKED) l
  WHERE j.id = l.id RETURNING j.id;
END $$;

-- The one place that says which jobs a filter means. `running`: the caller knows the job to be in flight. A kind may end in *.
-- payload is containment; payload_path matches when it yields something other than false or null, so that both forms of
-- jsonpath work: a predicate ($.n > 3) and a filter ($.n ? (@ > 3)).
CREATE FUNCTION relevo.job_matches(job relevo.job, filter jsonb, running boolean DEFAULT false) RETURNS boolean LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  f text;
BEGIN
  f := filter ->> 'state';
  IF f IS NOT NULL AND f <> (CASE WHEN job.state = 3 THEN 'quarantined' WHEN job.state = 2 THEN 'dead' WHEN running OR job.state = 1 THEN 'running'
                                 WHEN job.attempts + job.crashes > 0 THEN 'retryable' WHEN job.run_at > clock_timestamp() THEN 'scheduled'
                                 ELSE 'available' END) THEN
    RETURN false;
  END IF;
  f := filter ->> 'kind';
  IF f IS NOT NULL AND NOT (job.kind = f OR right(f, 1) = '*' AND starts_with(job.kind, left(f, -1))) THEN
    RETURN false;
  END IF;
  f := filter ->> 'queue';
  IF f IS NOT NULL AND job.queue <> f THEN
    RETURN false;
  END IF;
  f := filter ->> 'unique_key';
  IF f IS NOT NULL AND job.unique_key IS DISTINCT FROM f THEN
    RETURN false;
  END IF;
  f := filter ->> 'concurrency_key';
  IF f IS NOT NULL AND job.concurrency_key IS DISTINCT FROM f THEN
    RETURN false;
  END IF;
  f := filter ->> 'tenant';
  IF f IS NOT NULL AND job.tenant IS DISTINCT FROM f THEN
    RETURN false;
  END IF;
  f := filter ->> 'before';
  IF f IS NOT NULL AND job.created_at >= f::timestamptz THEN
    RETURN false;
  END IF;
  f := filter ->> 'after';
  IF f IS NOT NULL AND job.created_at < f::timestamptz THEN
    RETURN false;
  END IF;
  IF filter ? 'payload' AND NOT job.payload @> (filter -> 'payload') THEN
    RETURN false;
  END IF;
  f := filter ->> 'payload_path';
  RETURN f IS NULL OR coalesce(jsonb_path_query_first(job.payload, f::jsonpath, '{}', true) NOT IN ('false', 'null'), false);
END $$;

-- Refuses what is no filter; never returns false.
CREATE FUNCTION relevo.check_filter(caller text, filter jsonb) RETURNS boolean LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  problem text;
  name    text;
BEGIN
  IF filter IS NULL OR jsonb_typeof(filter) <> 'object' THEN
    problem := format('is %s; give an object, {} for all jobs', coalesce('a JSON ' || jsonb_typeof(filter), 'NULL'));
  END IF;
  IF problem IS NULL THEN
    SELECT format('%s: is no condition; give some of state, kind, queue, unique_key, concurrency_key, tenant, payload, payload_path, before, after', left(to_json(k)::text, 100))
    INTO problem FROM jsonb_object_keys(filter) k
    WHERE k <> ALL ('{state,kind,queue,unique_key,concurrency_key,tenant,payload,payload_path,before,after}') LIMIT 1;
  END IF;
  IF problem IS NULL THEN
    SELECT format('%s: is a JSON %s; give a string', e.key, jsonb_typeof(e.value)) INTO problem
    FROM jsonb_each(filter) e WHERE e.key <> 'payload' AND jsonb_typeof(e.value) <> 'string' LIMIT 1;
  END IF;
  IF problem IS NULL AND filter ->> 'state' <> ALL ('{available,scheduled,retryable,running,dead,quarantined,completed,cancelled,discarded}') THEN
    problem := format('state: is %s; give available, scheduled, retryable, running, dead, quarantined, completed, cancelled or discarded',
                      quote_literal(left(filter ->> 'state', 100)));
  END IF;
  IF problem IS NULL THEN
    FOR name IN SELECT n FROM unnest('{before,after,payload_path}'::text[]) n WHERE filter ? n LOOP
      BEGIN
        IF name = 'payload_path' THEN
          PERFORM (filter ->> name)::jsonpath;
        ELSE
          PERFORM (filter ->> name)::timestamptz;
        END IF;
      EXCEPTION WHEN data_exception OR syntax_error THEN
        problem := format('%s: %s; give %s', name, SQLERRM, CASE name WHEN 'payload_path' THEN 'a jsonpath' ELSE 'a time' END);
        EXIT;
      END;
    END LOOP;
  END IF;
  IF problem IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('relevo.%s: filter: %s', caller, problem);
  END IF;
  RETURN true;
END $$;

-- Asks the holders of all lanes to cancel, retry or discard what matches. Returns the operation's id; job_operation tells how far it is.
CREATE FUNCTION relevo.start_operation(what text, filter jsonb) RETURNS bigint LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  started bigint;
BEGIN
  IF what IS NULL OR what NOT IN ('cancel', 'retry', 'discard') THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
      MESSAGE = format('relevo.start_operation: what: is %s; give cancel, retry or discard', coalesce(quote_literal(left(what, 100)), 'NULL'));
  END IF;
  PERFORM relevo.check_filter('start_operation', filter);
  IF filter ->> 'state' IN ('completed', 'cancelled', 'discarded') THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
      MESSAGE = format('relevo.start_operation: filter: state: is ''%s''; such jobs are history, give a state of jobs that are not finished', filter ->> 'state');
  END IF;
  INSERT INTO relevo.job_operation AS o (what, filter, lanes_left)
  SELECT start_operation.what, start_operation.filter, count(*) FROM relevo.lane RETURNING o.id INTO started;
  INSERT INTO relevo.job_signal (lane, what, operation)
  SELECT p.lane, CASE start_operation.what WHEN 'retry' THEN 'retry_now' ELSE 'cancel' END, started
  FROM relevo.lane p;
  RETURN started;
END $$;

-- One page of an operation in some lanes of one holder: of the next `page` rows (by id; last_id NULL: the end) those that match are
-- changed and named, so that the holder drops what it has read of them. skip_ids: what the holder has in flight; of these, running
-- names those that match, for the holder to stop by itself. Rows that a stranger has locked are left out: they are being changed by a
-- later wish.
CREATE FUNCTION relevo.apply_operation(op bigint, lanes smallint[], epochs bigint[], after_id bigint, page int, skip_ids bigint[],
                                       OUT last_id bigint, OUT changed bigint[], OUT running bigint[]) LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
#variable_conflict use_variable
DECLARE
  o       relevo.job_operation;
  mask    int := (SELECT p.lanes - 1 FROM relevo.lane p LIMIT 1);
  scanned bigint[];
  wanted  bigint[];
BEGIN
  changed := '{}';
  running := '{}';
  IF NOT relevo.fence(lanes, epochs) @> lanes THEN
    RAISE EXCEPTION 'relevo.apply_operation: a lane is held in another epoch' USING ERRCODE = 'serialization_failure';
  END IF;
  SELECT * INTO o FROM relevo.job_operation p WHERE p.id = op;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  IF o.what = 'discard' OR o.filter ->> 'state' IN ('dead', 'quarantined') THEN
    scanned := ARRAY(SELECT j.id FROM relevo.job j WHERE j.id > after_id AND j.state >= 2 ORDER BY j.id LIMIT page);
  ELSE
    scanned := ARRAY(SELECT j.id FROM relevo.job j WHERE j.id > after_id ORDER BY j.id LIMIT page);
  END IF;
  IF cardinality(scanned) = page THEN
    last_id := scanned[page];
  END IF;
  SELECT array_agg(m.id) FILTER (WHERE NOT m.flies), coalesce(array_agg(m.id) FILTER (WHERE m.flies), '{}') INTO wanted, running
  FROM (SELECT j.id, j.state = 1 OR j.state = 0 AND j.unique_key IS NULL AND j.id = ANY (skip_ids) AS flies
        FROM unnest(scanned) s (id) JOIN relevo.job j ON j.id = s.id
        WHERE CASE WHEN (hashtextextended(coalesce(j.concurrency_key, j.id::text), 0) & mask) <> ALL (lanes) THEN false
                   WHEN CASE o.what WHEN 'cancel' THEN j.state < 2
                                    WHEN 'retry' THEN j.state >= 2 OR j.state = 0 AND j.run_at > clock_timestamp()
                                    ELSE j.state >= 2 END
                   THEN relevo.job_matches(j, o.filter, j.state = 0 AND j.unique_key IS NULL AND j.id = ANY (skip_ids))
                   ELSE false END
        ORDER BY j.id FOR UPDATE OF j SKIP LOCKED) m;
  IF o.what <> 'cancel' THEN
    running := '{}';
  END IF;
  IF wanted IS NULL THEN
    RETURN;
  END IF;
  IF o.what = 'retry' THEN
    WITH u AS (
      UPDATE relevo.job j SET token = j.token + 1, run_at = clock_timestamp()
      FROM unnest(wanted) w (id) WHERE j.id = w.id AND j.state = 0 RETURNING j.id
    )
    SELECT coalesce(array_agg(u.id), '{}') INTO changed FROM u;
    SELECT changed || r.redriven INTO changed FROM relevo.redrive(ARRAY(
      SELECT j.id FROM unnest(wanted) w (id) JOIN relevo.job j ON j.id = w.id AND j.state >= 2)) r;
  ELSE
    SELECT r.removed INTO changed
    FROM relevo.remove_jobs(wanted, o.what = 'discard', CASE o.what WHEN 'discard' THEN 'discarded' ELSE 'cancelled' END, NULL) r;
  END IF;
  UPDATE relevo.job_operation p SET changed = p.changed + cardinality(apply_operation.changed) WHERE p.id = op;
END $$;

UPDATE relevo.schema SET version = 8;
