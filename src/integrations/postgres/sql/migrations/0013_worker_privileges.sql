-- Who may do what with jobs. Nothing for PUBLIC; the roles get what docs/database.md says, and no more.

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
      relevo.schedule_put(text, text, text, interval, timestamptz, text, text, jsonb, int, jsonb, text, int, text),
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

UPDATE relevo.schema SET version = 13;
