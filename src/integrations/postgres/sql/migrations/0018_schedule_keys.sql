-- The jobs of a schedule have keys and a tenant. With a unique key a tick makes no job while that of an earlier one is unfinished.
ALTER TABLE relevo.schedule
  ADD COLUMN unique_key      text COLLATE "C",
  ADD COLUMN concurrency_key text COLLATE "C",
  ADD COLUMN rate_key        text COLLATE "C",
  ADD COLUMN tenant          text COLLATE "C";

-- Programs of the version before call it with the first thirteen.
DROP FUNCTION relevo.schedule_put(text, text, text, interval, timestamptz, text, text, jsonb, int, jsonb, text, int, text);
CREATE FUNCTION relevo.schedule_put(name text, kind text, cron text DEFAULT NULL, every interval DEFAULT NULL, at timestamptz DEFAULT NULL,
                                    time_zone text DEFAULT 'UTC', queue text DEFAULT 'default', payload jsonb DEFAULT '{}',
                                    priority int DEFAULT 0, headers jsonb DEFAULT '{}', missed text DEFAULT 'once',
                                    missed_max int DEFAULT 100, origin text DEFAULT 'sql', unique_key text DEFAULT NULL,
                                    concurrency_key text DEFAULT NULL, rate_key text DEFAULT NULL, tenant text DEFAULT NULL)
  RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  problem text := relevo.job_problem(kind, queue, priority, unique_key, concurrency_key, rate_key, tenant, payload, headers, NULL, NULL, NULL);
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
  INSERT INTO relevo.schedule AS s (name, cron, every, at, time_zone, queue, kind, payload, priority, headers, missed, missed_max, origin,
                                    unique_key, concurrency_key, rate_key, tenant)
  VALUES (name, cron, every, at, time_zone, queue, kind, payload, priority, headers, missed, missed_max, origin, unique_key, concurrency_key,
          rate_key, tenant)
  ON CONFLICT ON CONSTRAINT schedule_pkey DO UPDATE SET
    cron = EXCLUDED.cron, every = EXCLUDED.every, at = EXCLUDED.at, time_zone = EXCLUDED.time_zone, queue = EXCLUDED.queue, kind = EXCLUDED.kind,
    payload = EXCLUDED.payload, priority = EXCLUDED.priority, headers = EXCLUDED.headers, missed = EXCLUDED.missed,
    missed_max = EXCLUDED.missed_max, origin = EXCLUDED.origin, unique_key = EXCLUDED.unique_key, concurrency_key = EXCLUDED.concurrency_key,
    rate_key = EXCLUDED.rate_key, tenant = EXCLUDED.tenant, changed_at = clock_timestamp(),
    (last_tick, next_tick) = (SELECT s.last_tick, s.next_tick
      WHERE (s.cron, s.every, s.at, s.time_zone) IS NOT DISTINCT FROM (EXCLUDED.cron, EXCLUDED.every, EXCLUDED.at, EXCLUDED.time_zone))
  WHERE (s.cron, s.every, s.at, s.time_zone, s.queue, s.kind, s.payload, s.priority, s.headers, s.missed, s.missed_max, s.origin,
         s.unique_key, s.concurrency_key, s.rate_key, s.tenant)
        IS DISTINCT FROM (EXCLUDED.cron, EXCLUDED.every, EXCLUDED.at, EXCLUDED.time_zone, EXCLUDED.queue, EXCLUDED.kind, EXCLUDED.payload,
                          EXCLUDED.priority, EXCLUDED.headers, EXCLUDED.missed, EXCLUDED.missed_max, EXCLUDED.origin, EXCLUDED.unique_key,
                          EXCLUDED.concurrency_key, EXCLUDED.rate_key, EXCLUDED.tenant);
END $$;

-- The job of a schedule now; of a tick, or run by hand. With a unique key that is taken it is the job that has it.
CREATE FUNCTION relevo.schedule_enqueue(s relevo.schedule, tick timestamptz) RETURNS bigint LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  SELECT relevo.enqueue(s.kind, s.payload, s.queue, NULL, s.priority, s.unique_key, 'keep', s.concurrency_key, s.rate_key, s.tenant,
    headers => s.headers || jsonb_build_object('schedule', s.name) || CASE WHEN tick IS NULL THEN '{}'
      ELSE jsonb_build_object('tick', to_char(tick AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) END)
$$;

CREATE OR REPLACE FUNCTION relevo.schedule_fire(name text, expected timestamptz, next timestamptz, ticks timestamptz[]) RETURNS int LANGUAGE plpgsql
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
    job := relevo.schedule_enqueue(s, tick);
  END LOOP;
  UPDATE relevo.schedule u SET last_job = job WHERE u.name = s.name;
  RETURN cardinality(ticks);
END $$;

CREATE OR REPLACE VIEW relevo.schedules AS
SELECT s.name, s.cron, s.every, s.at, s.time_zone, s.queue, s.kind, s.payload, s.priority, s.headers, s.missed, s.missed_max, s.paused, s.origin,
       s.last_tick, s.next_tick, s.last_job,
       (SELECT j.state FROM relevo.jobs j WHERE j.id = s.last_job ORDER BY coalesce(j.finished, 'infinity') DESC LIMIT 1) AS last_state,
       s.created_at, s.changed_at, s.unique_key, s.concurrency_key, s.rate_key, s.tenant
FROM relevo.schedule s;

-- Also for a DBA who made the roles after the migration. Run by the owner, any number of times.
CREATE OR REPLACE FUNCTION relevo.grant_privileges() RETURNS void LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  name text;
BEGIN
  REVOKE ALL ON SCHEMA relevo FROM PUBLIC;
  REVOKE ALL ON ALL TABLES IN SCHEMA relevo FROM PUBLIC;
  REVOKE ALL ON ALL SEQUENCES IN SCHEMA relevo FROM PUBLIC;
  REVOKE ALL ON ALL FUNCTIONS IN SCHEMA relevo FROM PUBLIC;

  IF to_regrole('relevo_writer') IS NOT NULL THEN
    GRANT USAGE ON SCHEMA relevo TO relevo_writer;
    -- never xid and id: a forged xid would be published again, or never
    GRANT INSERT (event_id, aggregate_type, aggregate_id, event_type, topic, tenant, content_type, payload, headers, created_at)
      ON relevo.outbox TO relevo_writer;
    -- nor token, state and unique_key, which enqueue() alone can handle
    GRANT INSERT (priority, queue, kind, run_at, payload, headers, concurrency_key, rate_key, tenant, max_attempts, timeout, expires_at)
      ON relevo.job TO relevo_writer;
    GRANT EXECUTE ON FUNCTION
      relevo.event_is_valid(text, text, text, text, text, text, int, jsonb),
      relevo.event_problem(text, text, text, text, text, text, int, jsonb),
      relevo.outbox_row_is_valid(text, text, text, text, text, text, bytea, jsonb),
      relevo.refuse_element(bigint, text),
      relevo.publish(text, text, text, jsonb, jsonb, text, text, uuid, bytea),
      relevo.publish_many(text[], text[], text[], jsonb[], jsonb[], text[], text[], uuid[], bytea[]),
      relevo.job_is_valid(text, text, int, text, text, text, text, jsonb, jsonb, timestamptz, int, interval),
      relevo.job_problem(text, text, int, text, text, text, text, jsonb, jsonb, timestamptz, int, interval),
      relevo.job_row_is_valid(relevo.job),
      relevo.enqueue(text, jsonb, text, timestamptz, int, text, text, text, text, text, int, interval, timestamptz, jsonb),
      relevo.enqueue_many(jsonb),
      relevo.enqueue_batch(jsonb, jsonb),
      relevo.cancel(bigint, text) TO relevo_writer;
  END IF;

  IF to_regrole('relevo_relay') IS NOT NULL THEN
    GRANT USAGE ON SCHEMA relevo TO relevo_relay;
    GRANT SELECT ON relevo.migration, relevo.schema, relevo.outbox, relevo.outbox_default, relevo.tick, relevo.position,
      relevo.replica, relevo.dead_event TO relevo_relay;
    -- of jobs only what next_tick() asks
    GRANT SELECT (class, xid) ON relevo.job TO relevo_relay;
    GRANT INSERT (id, fingerprint, snapshot) ON relevo.tick TO relevo_relay;
    GRANT UPDATE (holder, epoch, expires, ver, a, b, last_id, fingerprint) ON relevo.position TO relevo_relay;
    GRANT INSERT, UPDATE, DELETE ON relevo.replica, relevo.dead_event TO relevo_relay;
    GRANT EXECUTE ON FUNCTION relevo.next_tick(), relevo.window_start(xid8, xid8[]), relevo.prune_ticks(),
      relevo.ensure_partitions(int), relevo.event_is_valid(text, text, text, text, text, text, int, jsonb) TO relevo_relay;
  END IF;

  IF to_regrole('relevo_worker') IS NOT NULL THEN
    GRANT USAGE ON SCHEMA relevo TO relevo_worker;
    GRANT SELECT ON relevo.migration, relevo.schema, relevo.tick, relevo.replica, relevo.lane, relevo.open_job, relevo.jobs, relevo.schedules
      TO relevo_worker;
    -- of the outbox only what next_tick() asks
    GRANT SELECT (xid) ON relevo.outbox TO relevo_worker;
    GRANT INSERT (id, fingerprint, snapshot) ON relevo.tick TO relevo_worker;
    GRANT UPDATE (holder, epoch, expires, ver, pos, open, open_token, revisit) ON relevo.lane TO relevo_worker;
    GRANT INSERT, UPDATE, DELETE ON relevo.replica TO relevo_worker;
    GRANT SELECT, INSERT, UPDATE, DELETE ON relevo.job, relevo.job_batch, relevo.unique_hold, relevo.job_signal, relevo.job_operation,
      relevo.queue_state, relevo.tenant_weight, relevo.bucket, relevo.schedule, relevo.dead_message TO relevo_worker;
    GRANT SELECT, INSERT ON relevo.job_history, relevo.job_attempt TO relevo_worker;
    GRANT SELECT, INSERT, DELETE ON relevo.inbox TO relevo_worker;   -- a snoozed message leaves the inbox again
    GRANT SELECT, INSERT (actor, action, subject_type, subject_id, from_state, to_state, reason, tenant, details)
      ON relevo.audit_log TO relevo_worker;
    -- a handler publishes events
    GRANT INSERT (event_id, aggregate_type, aggregate_id, event_type, topic, tenant, content_type, payload, headers, created_at)
      ON relevo.outbox TO relevo_worker;
    GRANT EXECUTE ON FUNCTION
      relevo.event_is_valid(text, text, text, text, text, text, int, jsonb),
      relevo.event_problem(text, text, text, text, text, text, int, jsonb),
      relevo.outbox_row_is_valid(text, text, text, text, text, text, bytea, jsonb),
      relevo.publish(text, text, text, jsonb, jsonb, text, text, uuid, bytea),
      relevo.next_tick(), relevo.prune_ticks(), relevo.tidy_jobs(interval, interval),
      relevo.job_is_valid(text, text, int, text, text, text, text, jsonb, jsonb, timestamptz, int, interval),
      relevo.job_problem(text, text, int, text, text, text, text, jsonb, jsonb, timestamptz, int, interval),
      relevo.job_row_is_valid(relevo.job),
      relevo.enqueue(text, jsonb, text, timestamptz, int, text, text, text, text, text, int, interval, timestamptz, jsonb),
      relevo.enqueue_many(jsonb), relevo.enqueue_batch(jsonb, jsonb), relevo.batch_ended(bigint[]), relevo.cancel(bigint, text),
      relevo.retry_now(bigint), relevo.lane_of(bigint, text), relevo.fence(smallint[], bigint[]),
      relevo.settle(smallint, bigint, bigint, boolean, int, interval, text), relevo.remove_jobs(bigint[], boolean, text, text),
      relevo.redrive(bigint[]), relevo.discard(bigint[]), relevo.cancel_waiting(smallint[], bigint[], bigint[], int[], text),
      relevo.retry_waiting(smallint[], bigint[], bigint[]), relevo.sweep_fix(smallint[], bigint[], bigint[], int[]),
      relevo.job_matches(relevo.job, jsonb, boolean), relevo.check_filter(text, jsonb), relevo.start_operation(text, jsonb),
      relevo.apply_operation(bigint, smallint[], bigint[], bigint, int, bigint[]), relevo.check_name(text, text, text, int),
      relevo.pause(text, text), relevo.resume(text, text), relevo.set_queue_concurrency(text, int), relevo.set_rate(text, float8, float8),
      relevo.set_tenant_weight(text, int), relevo.take_tokens(text[], int[]),
      relevo.schedule_put(text, text, text, interval, timestamptz, text, text, jsonb, int, jsonb, text, int, text, text, text, text, text),
      relevo.schedule_enqueue(relevo.schedule, timestamptz),
      relevo.edit_problem(relevo.job, jsonb), relevo.apply_edit(bigint, jsonb), relevo.edit_job(bigint, jsonb),
      relevo.edit_waiting(smallint[], bigint[], bigint),
      relevo.schedule_remove(text), relevo.schedule_pause(text), relevo.schedule_resume(text),
      relevo.schedule_fire(text, timestamptz, timestamptz, timestamptz[]) TO relevo_worker;
  END IF;

  FOREACH name IN ARRAY ARRAY['relevo_owner', 'relevo_writer', 'relevo_relay', 'relevo_worker'] LOOP
    IF to_regrole(name) IS NULL THEN
      RAISE NOTICE 'relevo: role % does not exist: its privileges are not granted', name;
    END IF;
  END LOOP;
END $$;

DO $$ BEGIN PERFORM relevo.grant_privileges(); END $$;

UPDATE relevo.schema SET version = 18;
