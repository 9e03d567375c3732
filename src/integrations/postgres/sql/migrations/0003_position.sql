-- How far the relay is: ticks (durable snapshots), one position per shard, and the replicas alive.

CREATE TABLE relevo.tick (
  id          bigint      PRIMARY KEY,
  fingerprint bigint      NOT NULL,                  -- random: tells this tick from one of the same id after a failover or restore
  snapshot    pg_snapshot NOT NULL,
  at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO relevo.tick (id, fingerprint, snapshot) VALUES (1, (random() * 9e18)::bigint, pg_current_snapshot());

-- Window (a, b], done up to last_id inside it. Opening a window sets last_id = -1: late commits may have lower ids.
CREATE TABLE relevo.position (
  shard       smallint    PRIMARY KEY,
  shards      smallint    NOT NULL,                  -- a relay configured with another number refuses
  holder      text,
  epoch       bigint      NOT NULL DEFAULT 0,
  expires     timestamptz NOT NULL DEFAULT '-infinity',
  ver         bigint      NOT NULL DEFAULT 0,        -- write counter: epoch alone does not stop the holder's own delayed statement
  a           bigint      NOT NULL,
  b           bigint      NOT NULL,
  last_id     bigint      NOT NULL,
  fingerprint bigint      NOT NULL,                  -- of tick b
  CONSTRAINT position_shards_is_a_power_of_two_up_to_256 CHECK (shards IN (1, 2, 4, 8, 16, 32, 64, 128, 256)),
  CONSTRAINT position_shard_is_below_shards CHECK (shard >= 0 AND shard < shards),
  CONSTRAINT position_window_is_ordered CHECK (a <= b AND last_id >= -1)
) WITH (fillfactor = 50);                            -- rewritten several times a second: leave room for HOT updates
INSERT INTO relevo.position (shard, shards, a, b, last_id, fingerprint)
SELECT s, 8, t.id, t.id, -1, t.fingerprint FROM generate_series(0, 7) s CROSS JOIN relevo.tick t;

-- Another number of shards moves aggregates between positions, which loses events: only before the first relay took one.
CREATE FUNCTION relevo.initialise_shards(n int) RETURNS void LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF n IS NULL OR n NOT IN (1, 2, 4, 8, 16, 32, 64, 128, 256) THEN
    RAISE EXCEPTION 'relevo.initialise_shards: n: must be a power of two from 1 to 256' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  LOCK TABLE relevo.position IN EXCLUSIVE MODE;
  IF NOT EXISTS (SELECT FROM relevo.position p WHERE p.shards <> n) THEN
    RETURN;
  END IF;
  IF EXISTS (SELECT FROM relevo.position p WHERE p.epoch <> 0) THEN
    RAISE EXCEPTION 'relevo.initialise_shards: a relay has already taken a shard; the number of shards stays %', (SELECT max(p.shards) FROM relevo.position p)
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  -- the ticks stay: events published before now are still to be sent
  DELETE FROM relevo.position p WHERE p.shard >= n;
  UPDATE relevo.position p SET shards = n;
  INSERT INTO relevo.position (shard, shards, a, b, last_id, fingerprint)
  SELECT s, n, p.a, p.b, p.last_id, p.fingerprint FROM generate_series(1, n - 1) s CROSS JOIN relevo.position p WHERE p.shard = 0
  ON CONFLICT (shard) DO NOTHING;
END $$;

CREATE TABLE relevo.replica (
  id         text        PRIMARY KEY,
  version    text        NOT NULL,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  seen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  host       text        NOT NULL,
  roles      text        NOT NULL
) WITH (fillfactor = 50);

-- Returns the newest tick, a new one if something became visible or a second passed; NULLs when somebody else is ticking.
CREATE FUNCTION relevo.next_tick(OUT id bigint, OUT fingerprint bigint, OUT snapshot pg_snapshot) LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off
  SET max_parallel_workers_per_gather = 0 SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  l relevo.tick;
  n pg_snapshot;
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
  -- the clock only sets a frequency; a tick each second keeps a bulk load in progress from being rescanned by every probe
  IF l.at > clock_timestamp() - interval '1 s'
     AND NOT EXISTS (SELECT FROM relevo.outbox o WHERE o.xid >= pg_snapshot_xmax(l.snapshot) ORDER BY o.xid LIMIT 1)
     AND NOT EXISTS (SELECT FROM relevo.outbox o
                     WHERE o.xid = ANY (ARRAY(SELECT x FROM pg_snapshot_xip(l.snapshot) x WHERE pg_visible_in_snapshot(x, n))))
  THEN
    id := l.id; fingerprint := l.fingerprint; snapshot := l.snapshot;
    RETURN;
  END IF;
  INSERT INTO relevo.tick AS t (id, fingerprint, snapshot) VALUES (l.id + 1, (random() * 9e18)::bigint, pg_current_snapshot())
  RETURNING t.id, t.fingerprint, t.snapshot INTO id, fingerprint, snapshot;
END $$;

-- Ticks are deleted in ranges that begin where the last one ended: a scan from the start would pass all dead entries
-- again for as long as some old transaction holds vacuum back.
CREATE TABLE relevo.tick_pruning (
  only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  before_id bigint  NOT NULL
);
INSERT INTO relevo.tick_pruning (before_id) VALUES (1);

-- Deletes ticks that no position needs and that are older than a minute, at most 50,000 a call, never the newest.
CREATE FUNCTION relevo.prune_ticks() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off
  SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  low     bigint;
  high    bigint;
  young   bigint;
  deleted bigint;
BEGIN
  SELECT p.before_id INTO low FROM relevo.tick_pruning p FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN 0;   -- somebody else is pruning
  END IF;
  high := least((SELECT min(p.a) FROM relevo.position p), (SELECT t.id FROM relevo.tick t ORDER BY t.id DESC LIMIT 1), low + 50000);
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

UPDATE relevo.schema SET version = 3, oldest_program_version = 3;
