-- Limits and pauses, schedules, parked messages, and what keeps the tables small.

CREATE TABLE relevo.queue_state (
  queue       text    COLLATE "C",
  kind        text    COLLATE "C" DEFAULT '*',       -- '*': the whole queue; queue '*': the kind everywhere
  paused      boolean NOT NULL DEFAULT false,
  concurrency int,
  weight      int     NOT NULL DEFAULT 1,
  PRIMARY KEY (queue, kind),
  CONSTRAINT queue_state_concurrency_is_above_0 CHECK (concurrency > 0),
  CONSTRAINT queue_state_weight_is_above_0 CHECK (weight > 0)
);

CREATE TABLE relevo.tenant_weight (
  tenant text COLLATE "C" PRIMARY KEY,
  weight int  NOT NULL,
  CONSTRAINT tenant_weight_is_above_0 CHECK (weight > 0)
);

-- The rate limit of a rate_key over all replicas: `rate` tokens a second, at most `burst`.
CREATE TABLE relevo.bucket (
  key    text        COLLATE "C" PRIMARY KEY,
  rate   float8      NOT NULL,
  burst  float8      NOT NULL,
  tokens float8      NOT NULL,
  at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT bucket_rate_is_above_0 CHECK (rate > 0 AND rate < 'infinity'),
  CONSTRAINT bucket_burst_is_at_least_1 CHECK (burst >= 1 AND burst < 'infinity')
) WITH (fillfactor = 50);

-- The ticks are computed by the daemon; next_tick is the compare-and-set of schedule_fire().
CREATE TABLE relevo.schedule (
  name       text        COLLATE "C" PRIMARY KEY,
  cron       text,
  every      interval,
  at         timestamptz,
  time_zone  text        NOT NULL DEFAULT 'UTC',
  queue      text        COLLATE "C" NOT NULL DEFAULT 'default',
  kind       text        COLLATE "C" NOT NULL,
  payload    jsonb       NOT NULL DEFAULT '{}',
  priority   int         NOT NULL DEFAULT 0,
  headers    jsonb       NOT NULL DEFAULT '{}',
  missed     text        NOT NULL DEFAULT 'once',
  missed_max int         NOT NULL DEFAULT 100,
  paused     boolean     NOT NULL DEFAULT false,
  origin     text        NOT NULL DEFAULT 'sql',
  last_tick  timestamptz,
  next_tick  timestamptz,                            -- NULL: not computed yet; of a one-off that has fired, never
  last_job   bigint,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT schedule_has_one_timing CHECK (num_nonnulls(cron, every, at) = 1),
  CONSTRAINT schedule_every_is_at_least_a_second CHECK (every >= interval '1 second'),
  CONSTRAINT schedule_at_is_a_time CHECK (isfinite(at)),
  CONSTRAINT schedule_time_zone_is_known CHECK (timezone(time_zone, timestamptz 'epoch') IS NOT NULL),
  CONSTRAINT schedule_missed_is_known CHECK (missed IN ('skip', 'once', 'all')),
  CONSTRAINT schedule_missed_max_is_bounded CHECK (missed_max BETWEEN 1 AND 10000),
  CONSTRAINT schedule_origin_is_known CHECK (origin IN ('config', 'sql'))
);

-- Messages that a subscription could not consume, with all it takes to try again; the key makes a redelivery park once.
CREATE TABLE relevo.dead_message (
  id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  subscription  text        COLLATE "C" NOT NULL,
  topic         text        COLLATE "C" NOT NULL,
  partition     int         NOT NULL,
  record_offset bigint      NOT NULL,
  event_id      text        COLLATE "C",
  key           bytea,
  payload       bytea,
  headers       jsonb,
  error         text        NOT NULL,
  attempts      int         NOT NULL,
  at            timestamptz NOT NULL DEFAULT clock_timestamp(),
  redriven_at   timestamptz,
  CONSTRAINT dead_message_is_parked_once UNIQUE (subscription, topic, partition, record_offset),
  CONSTRAINT dead_message_attempts_is_not_negative CHECK (attempts >= 0)
);
CREATE INDEX dead_message_waiting ON relevo.dead_message (subscription, id) WHERE redriven_at IS NULL;

-- Raises unless the value may be a name of a queue, kind, tenant, key or schedule; never returns false.
CREATE FUNCTION relevo.check_name(caller text, argument text, value text, most int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF value IS NULL OR value = '' THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
      MESSAGE = format('relevo.%s: %s: is %s; give 1 to %s bytes', caller, argument, CASE WHEN value IS NULL THEN 'NULL' ELSE 'empty' END, most);
  ELSIF octet_length(value) > most THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
      MESSAGE = format('relevo.%s: %s: has %s bytes; give at most %s', caller, argument, octet_length(value), most);
  ELSIF value COLLATE "C" ~ '[\u0001-\u001f\u007f-\u009f]' THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
      MESSAGE = format('relevo.%s: %s: holds a control character; remove characters U+0001 to U+001F and U+007F to U+009F', caller, argument);
  END IF;
  RETURN true;
END $$;

-- A whole queue, a kind everywhere, a kind in one queue; both '*': everything. What runs, runs to its end.
CREATE FUNCTION relevo.pause(queue text DEFAULT '*', kind text DEFAULT '*') RETURNS void LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM relevo.check_name('pause', 'queue', queue, 255), relevo.check_name('pause', 'kind', kind, 255);
  IF strpos(kind, '*') BETWEEN 1 AND length(kind) - 1 THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
      MESSAGE = format('relevo.pause: kind: is %s; a * stands at the end only, as in mail.*', quote_literal(left(kind, 100)));
  END IF;
  INSERT INTO relevo.queue_state AS s (queue, kind, paused) VALUES (pause.queue, pause.kind, true)
  ON CONFLICT ON CONSTRAINT queue_state_pkey DO UPDATE SET paused = true;
END $$;

-- Takes back the pause with the same arguments, no other: a kind stays paused in a queue that is resumed.
CREATE FUNCTION relevo.resume(queue text DEFAULT '*', kind text DEFAULT '*') RETURNS void LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM relevo.check_name('resume', 'queue', queue, 255), relevo.check_name('resume', 'kind', kind, 255);
  UPDATE relevo.queue_state s SET paused = false WHERE s.queue = resume.queue AND s.kind = resume.kind;
  DELETE FROM relevo.queue_state s
  WHERE s.queue = resume.queue AND s.kind = resume.kind AND NOT s.paused AND s.concurrency IS NULL AND s.weight = 1;
END $$;

-- How many jobs of a queue run at once, over all replicas; NULL: as many as there are workers.
CREATE FUNCTION relevo.set_queue_concurrency(queue text, n int) RETURNS void LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM relevo.check_name('set_queue_concurrency', 'queue', queue, 255);
  IF n < 1 THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
      MESSAGE = format('relevo.set_queue_concurrency: n: is %s; give at least 1, or NULL for no limit', n);
  END IF;
  INSERT INTO relevo.queue_state AS s (queue, concurrency) VALUES (set_queue_concurrency.queue, n)
  ON CONFLICT ON CONSTRAINT queue_state_pkey DO UPDATE SET concurrency = n;
  DELETE FROM relevo.queue_state s
  WHERE s.queue = set_queue_concurrency.queue AND s.kind = '*' AND NOT s.paused AND s.concurrency IS NULL AND s.weight = 1;
END $$;

-- `per_second` tokens a second, at most `burst` at once, for the jobs with this rate_key; per_second NULL: no limit.
CREATE FUNCTION relevo.set_rate(key text, per_second float8, burst float8 DEFAULT 1) RETURNS void LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM relevo.check_name('set_rate', 'key', key, 1024);
  IF per_second IS NULL THEN
    DELETE FROM relevo.bucket b WHERE b.key = set_rate.key;
    RETURN;
  END IF;
  IF NOT (per_second > 0 AND per_second <= 1e9) THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
      MESSAGE = format('relevo.set_rate: per_second: is %s; give a number above 0, or NULL for no limit', per_second);
  END IF;
  IF (burst >= 1 AND burst <= 1e9) IS NOT TRUE THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
      MESSAGE = format('relevo.set_rate: burst: is %s; give a number from 1 on: so many may start at once after a pause', coalesce(burst::text, 'NULL'));
  END IF;
  INSERT INTO relevo.bucket AS b (key, rate, burst, tokens) VALUES (set_rate.key, per_second, set_rate.burst, set_rate.burst)
  ON CONFLICT ON CONSTRAINT bucket_pkey DO UPDATE
  SET rate = EXCLUDED.rate, burst = EXCLUDED.burst, tokens = least(b.tokens, EXCLUDED.burst);
END $$;

-- A tenant's share of the workers beside others, 1 without this; NULL: 1 again.
CREATE FUNCTION relevo.set_tenant_weight(tenant text, weight int) RETURNS void LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM relevo.check_name('set_tenant_weight', 'tenant', tenant, 255);
  IF weight IS NULL THEN
    DELETE FROM relevo.tenant_weight w WHERE w.tenant = set_tenant_weight.tenant;
    RETURN;
  END IF;
  IF weight < 1 THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
      MESSAGE = format('relevo.set_tenant_weight: weight: is %s; give at least 1, or NULL for 1', weight);
  END IF;
  INSERT INTO relevo.tenant_weight AS w (tenant, weight) VALUES (set_tenant_weight.tenant, set_tenant_weight.weight)
  ON CONFLICT ON CONSTRAINT tenant_weight_pkey DO UPDATE SET weight = EXCLUDED.weight;
END $$;

-- Of each key up to `wanted` tokens at once, to be used within 100 ms (a lease: else the shared row is the limit); negative:
-- unused ones back. granted NULL: no such bucket. In the order of the keys: two callers must not deadlock.
-- In a transaction of its own, which it keeps from waiting for the disk: a server crash gives back tokens of some 10 ms.
CREATE FUNCTION relevo.take_tokens(keys text[], wanted int[]) RETURNS TABLE (key text, granted int, wait_ms bigint) LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
  asked record;
  b     relevo.bucket;
  now   timestamptz;
  have  float8;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  FOR asked IN SELECT u.key, u.wanted FROM unnest(keys, wanted) u (key, wanted) ORDER BY u.key COLLATE "C" LOOP
    key := asked.key;
    granted := NULL;
    wait_ms := 0;
    SELECT * INTO b FROM relevo.bucket k WHERE k.key = asked.key FOR UPDATE;
    IF FOUND THEN
      now := clock_timestamp();                                          -- once, after the lock
      have := least(b.burst, b.tokens + b.rate * greatest(0, extract(epoch FROM now - b.at)));   -- a clock set back refills nothing, and starves nobody
      granted := least(asked.wanted, floor(have));
      have := least(b.burst, have - granted);
      IF granted < asked.wanted THEN
        wait_ms := least(ceil(1000 * greatest(0, 1 - have) / b.rate), 86400000);
      END IF;
      UPDATE relevo.bucket k SET tokens = have, at = now WHERE k.key = asked.key;
    END IF;
    RETURN NEXT;
  END LOOP;
END $$;

-- Makes or changes a schedule: one of cron, every, at. A new timing counts from now: what the old one missed is not made up.
CREATE FUNCTION relevo.schedule_put(name text, kind text, cron text DEFAULT NULL, every interval DEFAULT NULL, at timestamptz DEFAULT NULL,
                                    time_zone text DEFAULT 'UTC', queue text DEFAULT 'default', payload jsonb DEFAULT '{}',
                                    priority int DEFAULT 0, headers jsonb DEFAULT '{}', missed text DEFAULT 'once',
                                    missed_max int DEFAULT 100, origin text DEFAULT 'sql')
  RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  problem text := relevo.job_problem(kind, queue, priority, NULL, NULL, NULL, NULL, payload, headers, NULL, NULL, NULL);
BEGIN
  PERFORM relevo.check_name('schedule_put', 'name', name, 255);
  IF problem IS NULL THEN
    IF num_nonnulls(cron, every, at) <> 1 THEN
      problem := 'cron, every, at: give one of them';
    ELSIF cron = '' THEN
      problem := 'cron: is empty; give an expression such as 0 3 * * *';
    ELSIF every < interval '1 second' THEN
      problem := 'every: is below 1 second; give more';
    ELSIF every > interval '36525 days' THEN
      problem := 'every: is above 36525 days; give less, or a single time (at)';
    ELSIF NOT isfinite(at) THEN
      problem := format('at: is %s; give a time', at);
    ELSIF missed IS NULL OR missed NOT IN ('skip', 'once', 'all') THEN
      problem := format('missed: is %s; give skip, once or all', coalesce(quote_literal(left(missed, 100)), 'NULL'));
    ELSIF missed_max IS NULL OR missed_max NOT BETWEEN 1 AND 10000 THEN
      problem := format('missed_max: is %s; give 1 to 10000', coalesce(missed_max::text, 'NULL'));
    ELSIF origin IS NULL OR origin NOT IN ('config', 'sql') THEN
      problem := format('origin: is %s; give config or sql', coalesce(quote_literal(left(origin, 100)), 'NULL'));
    END IF;
  END IF;
  IF problem IS NULL THEN
    BEGIN
      IF timezone(time_zone, timestamptz 'epoch') IS NULL THEN
        problem := 'time_zone: is NULL; give a name such as Europe/Madrid';
      END IF;
    EXCEPTION WHEN data_exception THEN
      problem := format('time_zone: the server does not know %s; give a name such as Europe/Madrid', quote_literal(left(time_zone, 100)));
    END;
  END IF;
  IF problem IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'relevo.schedule_put: ' || problem;
  END IF;
  INSERT INTO relevo.schedule AS s (name, cron, every, at, time_zone, queue, kind, payload, priority, headers, missed, missed_max, origin)
  VALUES (name, cron, every, at, time_zone, queue, kind, payload, priority, headers, missed, missed_max, origin)
  ON CONFLICT ON CONSTRAINT schedule_pkey DO UPDATE SET
    cron = EXCLUDED.cron, every = EXCLUDED.every, at = EXCLUDED.at, time_zone = EXCLUDED.time_zone, queue = EXCLUDED.queue, kind = EXCLUDED.kind,
    payload = EXCLUDED.payload, priority = EXCLUDED.priority, headers = EXCLUDED.headers, missed = EXCLUDED.missed,
    missed_max = EXCLUDED.missed_max, origin = EXCLUDED.origin, changed_at = clock_timestamp(),
    (last_tick, next_tick) = (SELECT s.last_tick, s.next_tick
      WHERE (s.cron, s.every, s.at, s.time_zone) IS NOT DISTINCT FROM (EXCLUDED.cron, EXCLUDED.every, EXCLUDED.at, EXCLUDED.time_zone))
  WHERE (s.cron, s.every, s.at, s.time_zone, s.queue, s.kind, s.payload, s.priority, s.headers, s.missed, s.missed_max, s.origin)
        IS DISTINCT FROM (EXCLUDED.cron, EXCLUDED.every, EXCLUDED.at, EXCLUDED.time_zone, EXCLUDED.queue, EXCLUDED.kind, EXCLUDED.payload,
                          EXCLUDED.priority, EXCLUDED.headers, EXCLUDED.missed, EXCLUDED.missed_max, EXCLUDED.origin);
END $$;

-- These say whether there is such a schedule. Ticks that fall into a pause are not made up.
CREATE FUNCTION relevo.schedule_remove(name text) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  DELETE FROM relevo.schedule s WHERE s.name = schedule_remove.name;
  RETURN FOUND;
END $$;
CREATE FUNCTION relevo.schedule_pause(name text) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE relevo.schedule s SET paused = true, changed_at = CASE WHEN s.paused THEN s.changed_at ELSE clock_timestamp() END WHERE s.name = schedule_pause.name;
  RETURN FOUND;
END $$;
CREATE FUNCTION relevo.schedule_resume(name text) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE relevo.schedule s
  SET paused = false, next_tick = CASE WHEN s.paused THEN NULL ELSE s.next_tick END, last_tick = CASE WHEN s.paused AND s.at IS NULL THEN NULL ELSE s.last_tick END,
      changed_at = CASE WHEN s.paused THEN clock_timestamp() ELSE s.changed_at END
  WHERE s.name = schedule_resume.name;
  RETURN FOUND;
END $$;

-- Compare-and-set on next_tick and one job per tick in one, so that two leaders fire once. Without ticks it only sets next_tick.
-- Returns the number of jobs; 0 as well if another was first, or the schedule is paused.
CREATE FUNCTION relevo.schedule_fire(name text, expected timestamptz, next timestamptz, ticks timestamptz[]) RETURNS int LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  s    relevo.schedule;
  tick timestamptz;
  job  bigint;
BEGIN
  UPDATE relevo.schedule u SET next_tick = next, last_tick = coalesce((SELECT max(t) FROM unnest(ticks) t), u.last_tick)
  WHERE u.name = schedule_fire.name AND u.next_tick IS NOT DISTINCT FROM expected AND (NOT u.paused OR ticks = '{}')
  RETURNING * INTO s;
  IF NOT FOUND OR ticks = '{}' THEN
    RETURN 0;
  END IF;
  FOR tick IN SELECT t FROM unnest(ticks) t ORDER BY t LOOP
    job := relevo.enqueue(s.kind, s.payload, s.queue, NULL, s.priority,
      headers => s.headers || jsonb_build_object('schedule', s.name, 'tick', to_char(tick AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')));
  END LOOP;
  UPDATE relevo.schedule u SET last_job = job WHERE u.name = s.name;
  RETURN cardinality(ticks);
END $$;

-- The expression keeps the planner from walking the whole history by time.
CREATE VIEW relevo.schedules AS
SELECT s.name, s.cron, s.every, s.at, s.time_zone, s.queue, s.kind, s.payload, s.priority, s.headers, s.missed, s.missed_max, s.paused, s.origin,
       s.last_tick, s.next_tick, s.last_job,
       (SELECT j.state FROM relevo.jobs j WHERE j.id = s.last_job ORDER BY coalesce(j.finished, 'infinity') DESC LIMIT 1) AS last_state,
       s.created_at, s.changed_at
FROM relevo.schedule s;

-- Makes days ahead, drops days that are wholly older than what is to be kept, forgets expired holds and finished operations.
-- One replica at a time; what is locked waits for the next call. The rows come first, since dropping a day locks its table
-- against everybody until this transaction ends.
CREATE FUNCTION relevo.tidy_jobs(history_keep interval, inbox_keep interval) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '200ms' SET enable_seqscan = off AS $$
DECLARE
  history_from timestamptz := clock_timestamp() - history_keep;
  inbox_from   date        := (clock_timestamp() - inbox_keep)::date;
  old          text;
BEGIN
  IF history_keep IS NULL OR history_keep < interval '0' OR inbox_keep IS NULL OR inbox_keep < interval '0' THEN
    RAISE EXCEPTION 'relevo.tidy_jobs: history_keep, inbox_keep: give intervals that are not negative' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF NOT pg_try_advisory_xact_lock(1919249782, 4) THEN
    RETURN;
  END IF;
  DELETE FROM relevo.unique_hold h WHERE h.unique_key IN (
    SELECT f.unique_key FROM relevo.unique_hold f WHERE f.until <= (SELECT clock_timestamp()) ORDER BY f.until LIMIT 50000 FOR UPDATE SKIP LOCKED);
  DELETE FROM relevo.job_operation o WHERE o.finished_at < clock_timestamp() - interval '7 days';
  DELETE FROM relevo.job_history_default d WHERE d.ctid = ANY (ARRAY(
    SELECT f.ctid FROM relevo.job_history_default f WHERE f.finished < history_from LIMIT 5000));
  DELETE FROM relevo.job_attempt_default d WHERE d.ctid = ANY (ARRAY(
    SELECT f.ctid FROM relevo.job_attempt_default f WHERE f.at < history_from LIMIT 5000));
  -- An event that was old when it came may come again just as any other.
  DELETE FROM relevo.inbox_default d WHERE d.ctid = ANY (ARRAY(
    SELECT f.ctid FROM relevo.inbox_default f WHERE f.day < inbox_from AND f.at < clock_timestamp() - inbox_keep ORDER BY f.at LIMIT 5000));
  PERFORM relevo.make_days(0, 7);
  FOR old IN
    SELECT p.name
    FROM (SELECT c.relname::text AS name, parent.relname::text AS parent, to_date(right(c.relname::text, 8), 'YYYYMMDD') AS day
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class parent ON parent.oid = i.inhparent
          WHERE i.inhparent IN ('relevo.job_history'::regclass, 'relevo.job_attempt'::regclass, 'relevo.inbox'::regclass)
            AND c.relname ~ '_[0-9]{8}$') p
    WHERE CASE p.parent WHEN 'inbox' THEN p.day < inbox_from ELSE (p.day + 1)::timestamptz <= history_from END
    ORDER BY p.day
  LOOP
    BEGIN
      EXECUTE format('DROP TABLE relevo.%I', old);
    EXCEPTION WHEN lock_not_available OR deadlock_detected OR undefined_table THEN
      NULL;
    END;
  END LOOP;
END $$;

UPDATE relevo.schema SET version = 9;
