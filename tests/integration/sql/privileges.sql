-- Who may do what: a writer, a relay, a worker and a stranger, as login roles of their own.
SELECT :'DBNAME' || '_writer' AS writer, :'DBNAME' || '_relay' AS relay, :'DBNAME' || '_worker' AS worker, :'DBNAME' || '_stranger' AS stranger \gset
CREATE ROLE :"writer" LOGIN IN ROLE relevo_writer;
CREATE ROLE :"relay" LOGIN IN ROLE relevo_relay;
CREATE ROLE :"worker" LOGIN IN ROLE relevo_worker;
CREATE ROLE :"stranger" LOGIN;

SET SESSION AUTHORIZATION :"writer";
EXECUTE publish('order', '1', 'E', '{}', '{}', NULL, NULL) \g /dev/null
SELECT relevo.publish('order', '1', 'E', '{"a": 1}', '{"h": "v"}') \g /dev/null
SELECT relevo.publish_many('{order,order}', '{1,2}', '{E,E}', '{1,2}') \g /dev/null
INSERT INTO relevo.outbox (aggregate_type, aggregate_id, event_type, payload, created_at, event_id) VALUES ('order', '1', 'E', '{}', now(), gen_random_uuid());
SELECT assert.fails($$SELECT relevo.publish('order', '', 'E', NULL)$$, '22023', 'aggregate_id: is empty');
SELECT assert.fails($$SELECT relevo.publish_many('{order}', '{""}', '{E}', NULL)$$, '22023', 'element 1: aggregate_id: is empty');
SELECT assert.fails($$INSERT INTO relevo.outbox (aggregate_type, aggregate_id, event_type) VALUES ('order', '', 'E')$$, '23514', 'aggregate_id: is empty');
SELECT relevo.enqueue('k', '{"a": 1}', unique_key => 'u'), relevo.enqueue('k', unique_key => 'u', on_conflict => 'replace'), relevo.enqueue('plain') \g /dev/null
SELECT relevo.enqueue_many('[{"kind": "k"}, {"kind": "k", "unique_key": "u"}]'), relevo.enqueue_batch('[{"kind": "k"}]', '{"kind": "then"}'), relevo.enqueue_batch('[]', '{"kind": "then"}') \g /dev/null
SELECT assert.equal(relevo.cancel(unique_key => 'u'), 'cancelled', 'a writer cancels');
INSERT INTO relevo.job (priority, queue, kind, run_at, payload, headers, concurrency_key, rate_key, tenant, max_attempts, timeout, expires_at) VALUES (1, 'q', 'k', now(), '[]', '{"h": "v"}', 'c', 'r', 't', 3, '1 h', now());
COPY relevo.job (kind, payload) FROM STDIN;
copied	{"n": 1}
\.
SELECT assert.fails($$INSERT INTO relevo.job (kind) VALUES ('')$$, '23514', 'kind: is empty');
SELECT assert.fails($$SELECT relevo.enqueue('')$$, '22023', 'kind: is empty');
SELECT assert.fails($$SELECT relevo.enqueue_many('[{}]')$$, '22023', 'element 1: kind: is NULL');
SELECT assert.fails(s, '42501', 'permission denied') FROM unnest(ARRAY[
  $$INSERT INTO relevo.job (xid, kind) VALUES ('3', 'k')$$, $$INSERT INTO relevo.job (id, kind) OVERRIDING SYSTEM VALUE VALUES (1, 'k')$$,
  $$INSERT INTO relevo.job (kind, token) VALUES ('k', 1)$$, $$INSERT INTO relevo.job (kind, state) VALUES ('k', 2)$$, $$INSERT INTO relevo.job (kind, unique_key) VALUES ('k', 'u')$$,
  $$INSERT INTO relevo.job (kind, batch) VALUES ('k', 1)$$, $$INSERT INTO relevo.job (kind, created_at) VALUES ('k', now())$$, $$INSERT INTO relevo.job (kind, attempts) VALUES ('k', 1)$$,
  'SELECT * FROM relevo.job', 'SELECT kind FROM relevo.job', $$UPDATE relevo.job SET queue = 'q'$$, 'DELETE FROM relevo.job', 'SELECT * FROM relevo.jobs', 'SELECT * FROM relevo.lane', 'SELECT * FROM relevo.job_history',
  'INSERT INTO relevo.job_signal (lane, what, job_id) VALUES (0, ''cancel'', 1)', 'SELECT * FROM relevo.unique_hold', 'SELECT * FROM relevo.job_batch', 'SELECT * FROM relevo.schedules', 'SELECT * FROM relevo.inbox',
  $$SELECT relevo.store_jobs('x', '[]', NULL)$$, 'SELECT relevo.refuse_job()', $$SELECT relevo.job_element_problem('{}')$$, $$SELECT relevo.batch_ended('{1}')$$, $$SELECT relevo.remove_jobs('{1}', true, 'discarded', NULL)$$, $$SELECT relevo.redrive('{1}')$$,
  $$SELECT relevo.discard('{1}')$$, 'SELECT relevo.retry_now(1)', $$SELECT relevo.start_operation('cancel', '{}')$$, $$SELECT relevo.pause()$$, $$SELECT relevo.resume()$$, $$SELECT relevo.set_rate('k', 1, 1)$$,
  $$SELECT relevo.schedule_put('s', 'k', '*')$$, $$SELECT relevo.tidy_jobs('1 d', '1 d')$$, 'SELECT relevo.make_days(0, 1)', 'SELECT relevo.initialise_lanes(16)', $$SELECT setval('relevo.job_id_seq', 1)$$,
  $$INSERT INTO relevo.outbox (xid, aggregate_type, aggregate_id, event_type) VALUES ('3', 'order', '1', 'E')$$,
  $$INSERT INTO relevo.outbox (id, aggregate_type, aggregate_id, event_type) OVERRIDING SYSTEM VALUE VALUES (1, 'order', '1', 'E')$$,
  $$INSERT INTO relevo.outbox_default (aggregate_type, aggregate_id, event_type) VALUES ('order', '1', 'E')$$,
  'SELECT * FROM relevo.outbox', 'SELECT event_id FROM relevo.outbox', 'UPDATE relevo.outbox SET topic = NULL', 'DELETE FROM relevo.outbox', 'TRUNCATE relevo.outbox',
  'SELECT * FROM relevo.position', 'SELECT * FROM relevo.tick', 'SELECT * FROM relevo.dead_event', 'SELECT * FROM relevo.migration',
  'SELECT relevo.next_tick()', 'SELECT relevo.prune_ticks()', 'SELECT relevo.ensure_partitions()', $$SELECT relevo.window_start('1', '{}')$$,
  'SELECT relevo.create_leaf(99)', 'SELECT relevo.grant_privileges()', 'SELECT relevo.initialise_shards(4)',
  $$SELECT setval('relevo.outbox_id_seq', 1)$$, 'CREATE TABLE relevo.mine ()']) s;
RESET SESSION AUTHORIZATION;

-- relay and worker run every statement they have, and none is left out here (`publish` is a writer's, `system_identifier` is asked only when allowed)
CREATE TABLE call (name text PRIMARY KEY, arguments text, roles text DEFAULT 'relay');
INSERT INTO call (name, arguments) VALUES ('probe', ''), ('next_tick', ''), ('tick_by_ids', '(''{1}'')'), ('small_window', $$('3', '9000000000', pg_current_snapshot(), 7, '{0,1}')$$),
  ('small_window_late', $$('{3}', 7, '{0,1}')$$), ('page', $$(-1, '3:3:', pg_current_snapshot(), 7, '{0,1,2,3,4,5,6,7}')$$), ('window_start', $$('3', '{5}')$$),
  ('payloads', $$('{1}')$$), ('positions', ''), ('take', $$('A', '1 min', 8, 8)$$), ('renew', $$('{0}', '{1}', 'A', '1 min')$$),
  ('save', $$('{0}', '{1}', '{1}', '{1}', '{1}', '{5}', '{0}')$$), ('release', $$('{9}', '{1}', 'A')$$), ('heartbeat', $$('A', '1', 'h', 'relay', '1 s')$$),
  ('replica_gone', $$('B')$$), ('replicas_alive', $$('1 s', 'relay')$$), ('park', $$('{1}', '{0}', '{1}', 'A', '{rejected}', '{no}', '{t}')$$), ('dead_open', $$('{0}', 10)$$),
  ('dead_open_of', $$('{t}', '{i}')$$), ('dead_skipped', $$('{0}', 0)$$), ('dead_retry', $$('{0}', 10)$$), ('dead_payloads', $$('{1}')$$), ('dead_sent', $$('{1}')$$),
  ('dead_failed', $$('{1}', '{0}', '{rejected}', '{no}', '{t}')$$), ('dead_retry_without_target', $$('{0}')$$), ('dead_release', $$('{t}', '{i}')$$), ('dead_missing_topics', $$('{0}')$$), ('dead_topic_appeared', $$('t', '{0}', 10)$$),
  ('dead_list', $$(0, NULL, 10)$$), ('dead_mark_retry', $$('{1}')$$), ('dead_mark_skipped', $$('{1}')$$),
  ('dead_by_id', $$('{1}')$$), ('dead_of_aggregate', $$('t', 'i', 0, 10)$$), ('dead_refused', $$(0, NULL, 10)$$),
  ('dead_counts', ''), ('backlog', ''), ('server', ''), ('newest_event', ''), ('recent_names', '(10)'), ('ensure_partitions', '(20)'), ('prune_ticks', ''), ('partitions', ''),
  ('shard_status', ''), ('surroundings', ''), ('dead_aggregates', '');
INSERT INTO call (name, arguments) VALUES
  ('lanes', ''), ('lane_take', $$('w', '1 min', 16, 16)$$), ('lane_retake', $$('w', '1 min', '{0}', '{9}')$$), ('lane_renew', $$('{0}', '{1}', 'w', '1 min')$$),
  ('lane_release', $$('{0}', '{9}', '{1}')$$), ('lane_journal', $$('{0}', '{1}', '{1}', '{"{1,1,0,-1,0,1,1,0,-1,0,1,1,0,-1,0}"}', '{"{}"}', '{"{}"}', '{[]}', '{0}', '{1}', '{0}')$$),
  ('lane_settle', $$(0::smallint, 1, 1, true, 3, '1 s', 'w')$$), ('lane_fence', $$('{0}', '{1}')$$), ('job_page', $$(1::smallint, '0', -1, '9000000000', pg_current_snapshot(), 15, '{0,1}')$$),
  ('job_peek', $$('9000000000', '{3}', 15, '{0,1}')$$), ('job_late', $$(1::smallint, '{3}', '0', -1, 15, '{0,1}')$$), ('job_due', $$(1::smallint, '-infinity', -1, 15, '{0,1}')$$), ('job_next_due', $$('{-infinity,-infinity,-infinity}', '{-1,-1,-1}')$$),
  ('job_lives', '(1)'), ('job_count', $$('{"kind": "k"}')$$), ('job_edit', $$(1, '{"priority": 1}')$$), ('job_edit_waiting', $$('{0}', '{1}', 1)$$), ('job_operation', '(1)'),
  ('job_enqueue', $$('k', '{}', 'default', NULL, 0, NULL, 'keep', NULL, NULL, NULL, NULL, NULL, NULL, '{}')$$), ('lane_holders', ''), ('job_anything_due', $$('{}')$$), ('job_drained', $$('2000-01-01Z', '{}')$$), ('job_failed_since', $$('2000-01-01Z', '{}', 10)$$), ('queues_running', ''),
  ('queue_concurrency', $$('q', 3)$$), ('rate_set', $$('r', 1, 1)$$), ('rates', ''), ('schedule_figures', ''), ('tenant_weight_set', $$('t', 2)$$),
  ('job_scan', $$(1::smallint, '0', -1, 'queue', 'default', 15, '{0,1}')$$), ('job_of_key', $$('k', 0, 15, '{0,1}')$$), ('job_payloads', $$('{1}')$$),
  ('job_finish', $$('{1}', '{0}')$$), ('job_finish_full', $$('{1}', '{0}', '{completed}', '{1}', '{NULL}', 'w', '{1}', '{1}', '{NULL}')$$),
  ('job_fail', $$('{1}', '{0}', '{1}', '{1000}', '{0}', '{no}', 'w', '{1}')$$), ('job_crashed', $$('{1}', '{0}', 3, '{1000}', '{no}', 'w', '{1}')$$), ('job_still', $$('{1}', '{0}')$$),
  ('job_signals', $$('{0}')$$), ('job_signals_done', $$('{1}')$$), ('job_cancel_waiting', $$('{0}', '{1}', '{1}', '{0}', 'no')$$), ('job_retry_now', $$('{0}', '{1}', '{1}')$$),
  ('job_apply_operation', $$(1, '{0}', '{1}', 0, 100, '{}')$$), ('job_operation_lane_done', '(1, 1, 0)'),
  ('job_sweep', $$(0, ARRAY[pg_current_snapshot(), pg_current_snapshot(), pg_current_snapshot()], ARRAY[now(), now(), now()], '{0,0,0}', 15, '{0,1}')$$),
  ('job_sweep_fix', $$('{0}', '{1}', '{1}', '{0}')$$), ('take_tokens', $$('{r}', '{1}')$$), ('queue_states', ''), ('tenant_weights', ''), ('queue_figures', ''),
  ('job_list', $$('{}', 0, 10)$$), ('job_show', '(1)'), ('job_cancel', '(1, NULL)'), ('job_retry', '(1)'), ('job_redrive', $$('{1}')$$), ('job_discard', $$('{1}')$$),
  ('job_start_operation', $$('cancel', '{"kind": "none"}')$$), ('job_operations', '(10)'), ('job_pause', $$('*', '*')$$), ('job_resume', $$('*', '*')$$), ('tidy_jobs', $$('1 day', '1 day')$$),
  ('schedules_due', ''), ('schedule_fire', $$('s', NULL, NULL, '{}')$$), ('schedules_list', ''), ('schedule_put', $$('s', 'k', '* * * * *', NULL, NULL, 'UTC', 'default', '{}', 0, '{}', 'once', 100, 'sql', NULL, NULL, NULL, NULL)$$),
  ('schedule_remove', $$('s2')$$), ('schedule_pause', $$('s')$$), ('schedule_resume', $$('s')$$),
  ('inbox_seen', $$('s', '{e}', '{2026-11-22}')$$), ('message_park', $$('s', 't', 0, 0, 'e', '\x01', '\x02', '{}', 'no', 1, 'rejected', 0, 0, '[]')$$), ('messages_list', $$(0, NULL, 10)$$), ('message_by_ids', $$('{1}')$$),
  ('message_redriven', $$('{1}', 'p')$$), ('message_drop', $$('{1}', 'p', 'why')$$), ('message_to_redrive', $$('s')$$), ('message_done', '(1)'), ('message_park_again', $$(1, 'no', 2, 'rejected', '[]')$$), ('inbox_withdraw', $$('s', 'e', '2026-11-22')$$),
  ('database_time', ''), ('schedule_run', $$('s')$$), ('schedules_remove_configured', $$('{s}')$$), ('unit_publish', $$('t', 'i', 'e', '{}', '{}', NULL, NULL)$$), ('unit_enqueue', $$('k', '{}', 'q', NULL, 0, NULL, 'keep', NULL, NULL, NULL, NULL, '{}')$$),
  ('unit_audit', $$('p', 'do', 't', 'i', 'a', 'b', NULL, NULL, '{}')$$), ('unit_enqueue_many', $$('[{"kind": "k"}]')$$), ('message_counts', '');
UPDATE call SET roles = 'worker' WHERE name ~ '^(lane|job|message|queue|schedule|tenant|inbox|tidy|take_tokens|unit|database|rate)';
UPDATE call SET roles = 'relay worker' WHERE name IN ('probe', 'next_tick', 'tick_by_ids', 'prune_ticks', 'server', 'heartbeat', 'replica_gone', 'replicas_alive');
GRANT SELECT ON call TO PUBLIC;
SELECT assert.equal((SELECT string_agg(name, ' ' ORDER BY name) FROM call), (SELECT string_agg(name, ' ' ORDER BY name) FROM pg_prepared_statements WHERE name NOT IN ('publish', 'system_identifier')), 'statements tried here');
CREATE PROCEDURE try(who text) LANGUAGE plpgsql AS $$
DECLARE
  c       record;
  refused boolean;
BEGIN
  FOR c IN SELECT * FROM call ORDER BY name NOT IN ('take', 'lane_take'), name LOOP
    refused := false;
    BEGIN
      EXECUTE format('EXECUTE %I%s', c.name, c.arguments);
    EXCEPTION WHEN insufficient_privilege THEN
      refused := true;
    END;
    IF refused AND c.roles ~ who THEN RAISE EXCEPTION 'the % may not run %', who, c.name; END IF;
    COMMIT;
  END LOOP;
END $$;
SET SESSION AUTHORIZATION :"relay";
CALL try('relay');
SELECT assert.fails(s, '42501', 'permission denied') FROM unnest(ARRAY[
  $$SELECT relevo.publish('order', '1', 'E', '1')$$, $$INSERT INTO relevo.outbox (aggregate_type, aggregate_id, event_type) VALUES ('t', 'i', 'e')$$,
  'UPDATE relevo.outbox SET topic = NULL', 'DELETE FROM relevo.outbox', 'TRUNCATE relevo.outbox_default', 'DELETE FROM relevo.tick', 'UPDATE relevo.tick SET fingerprint = 1',
  'UPDATE relevo.position SET shards = 4', 'DELETE FROM relevo.position', 'INSERT INTO relevo.position SELECT * FROM relevo.position', 'UPDATE relevo.schema SET version = 1',
  'DELETE FROM relevo.migration', 'UPDATE relevo.tick_pruning SET before_id = 1', 'SELECT relevo.create_leaf(99)', 'SELECT relevo.grant_privileges()', 'SELECT relevo.initialise_shards(4)',
  'SELECT kind FROM relevo.job', 'SELECT * FROM relevo.jobs', 'SELECT * FROM relevo.lane', 'SELECT * FROM relevo.job_history', 'SELECT * FROM relevo.audit_log', 'UPDATE relevo.job SET token = 1', $$SELECT relevo.enqueue('k')$$, 'SELECT relevo.cancel(1)', 'CREATE TABLE relevo.mine ()']) s;
RESET SESSION AUTHORIZATION;


-- the worker, and what people do with its rights
SET SESSION AUTHORIZATION :"worker";
CALL try('worker');
SELECT relevo.set_rate('r', 10, 2), relevo.set_queue_concurrency('q', 2), relevo.set_tenant_weight('t', 2), relevo.pause('q'), relevo.resume('q') \g /dev/null
EXECUTE take_tokens('{r}', '{1}') \g /dev/null
-- with rows to change, else a right that is missing would go unnoticed
UPDATE relevo.job SET state = 0, run_at = NULL;
SELECT relevo.enqueue('finishes') AS a, relevo.enqueue('fails') AS b, relevo.enqueue('held', unique_key => 'h') AS c, relevo.enqueue('crashes') AS d, relevo.enqueue('dead') AS e, relevo.enqueue('discarded') AS f, relevo.enqueue('cancelled') AS g, relevo.enqueue('lost') AS h \gset
SELECT relevo.enqueue_batch('[{"kind": "counted"}]', '{"kind": "then"}') \g /dev/null
SELECT id AS i FROM relevo.job WHERE kind = 'counted' \gset
UPDATE relevo.lane SET open = ARRAY[:h]::bigint[], open_token = '{0}' WHERE lane = 0;
EXECUTE job_finish(ARRAY[:a]::bigint[], '{0}') \gset done_
EXECUTE job_finish_full(ARRAY[:c, :i]::bigint[], '{0,0}', '{completed,cancelled}', '{1,NULL}', '{NULL,no}', 'w', '{1,1}', '{1,1}', '{60000,NULL}') \g /dev/null
EXECUTE job_fail(ARRAY[:b, :e, :f]::bigint[], '{0,0,0}', '{1,1,1}', '{1,0,0}', '{0,2,2}', '{no,no,no}', 'w', '{1,1,1}') \g /dev/null
EXECUTE job_crashed(ARRAY[:d]::bigint[], '{0}', 1, '{1}', '{no}', 'w', '{1}') \g /dev/null
SELECT relevo.redrive(ARRAY[:e]::bigint[]), relevo.discard(ARRAY[:f]::bigint[]) \g /dev/null
SELECT ver AS v, epoch AS n FROM relevo.lane WHERE lane = 0 \gset
EXECUTE lane_settle(0::smallint, :n, :v, true, 3, '1 s', 'w') \gset settled_
SELECT array_agg(lane ORDER BY lane) AS lanes, array_agg(epoch ORDER BY lane) AS epochs FROM relevo.lane \gset
EXECUTE job_cancel_waiting(:'lanes', :'epochs', ARRAY[:g]::bigint[], '{0}', 'no') \gset cancelled_
SELECT relevo.start_operation('cancel', '{"kind": "lost"}') AS op \gset
EXECUTE job_apply_operation(:op, '{0}', ARRAY[:n]::bigint[], 0, 100, '{}') \g /dev/null
SELECT s.id AS signal FROM relevo.job_signal s WHERE s.operation = :op AND s.lane = 0 \gset
EXECUTE job_operation_lane_done(:op, :signal, 0) \g /dev/null
EXECUTE schedule_put('t', 'k', NULL, 60000, NULL, 'UTC', 'default', '{}', 0, '{}', 'once', 100, 'config', 'u', 'c', 'r', 't') \g /dev/null
EXECUTE schedule_fire('t', NULL, NULL, '{2026-11-22Z}') \gset fired_
SELECT assert.that(:done_id = :a AND :cancelled_id = :g AND :settled_ver > :v AND :fired_jobs = 1 AND (SELECT count(*) FROM relevo.unique_hold) = 1 AND (SELECT count(*) FROM relevo.job WHERE kind = 'then') >= 1
  AND (SELECT count(*) FROM relevo.job_history) >= 4 AND (SELECT count(*) FROM relevo.job_attempt) >= 4, 'the worker does its work');
SELECT assert.fails(s, '42501', 'permission denied') FROM unnest(ARRAY[
  'SELECT id FROM relevo.outbox', 'SELECT payload FROM relevo.outbox', 'DELETE FROM relevo.outbox', $$INSERT INTO relevo.outbox (xid, aggregate_type, aggregate_id, event_type) VALUES ('3', 't', 'i', 'e')$$,
  'SELECT * FROM relevo.position', 'UPDATE relevo.position SET a = 1', 'SELECT * FROM relevo.dead_event', 'DELETE FROM relevo.tick', 'UPDATE relevo.tick SET fingerprint = 1', 'UPDATE relevo.lane SET lanes = 4', 'DELETE FROM relevo.lane',
  'UPDATE relevo.job_history SET kind = kind', 'DELETE FROM relevo.job_history', 'UPDATE relevo.inbox SET day = day', 'UPDATE relevo.audit_log SET actor = NULL', 'DELETE FROM relevo.audit_log', 'TRUNCATE relevo.job', 'UPDATE relevo.schema SET version = 1', 'DELETE FROM relevo.migration',
  'SELECT relevo.make_days(0, 1)', 'SELECT relevo.initialise_lanes(16)', 'SELECT relevo.initialise_shards(4)', 'SELECT relevo.create_leaf(99)', 'SELECT relevo.ensure_partitions()', 'SELECT relevo.grant_privileges()',
  'CREATE TABLE relevo.mine ()']) s;
RESET SESSION AUTHORIZATION;

SET SESSION AUTHORIZATION :"stranger";
SELECT assert.fails(s, '42501', 'permission denied for schema relevo') FROM unnest(ARRAY[
  $$SELECT relevo.publish('order', '1', 'E', '1')$$, $$SELECT relevo.enqueue('k')$$, 'SELECT * FROM relevo.jobs', 'SELECT * FROM relevo.outbox', 'SELECT relevo.ensure_partitions()', 'SELECT * FROM relevo.migration']) s;
RESET SESSION AUTHORIZATION;
-- nothing for PUBLIC, even with USAGE on the schema
GRANT USAGE ON SCHEMA relevo TO :"stranger";
SELECT assert.equal(count(*), 0::bigint, 'functions that a stranger may call')
FROM pg_proc p WHERE p.pronamespace = 'relevo'::regnamespace AND has_function_privilege(:'stranger', p.oid, 'EXECUTE');
SELECT assert.equal(count(*), 0::bigint, 'tables that a stranger may use')
FROM pg_class c WHERE c.relnamespace = 'relevo'::regnamespace AND c.relkind IN ('r', 'p', 'v')
  AND has_any_column_privilege(:'stranger', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES');

-- what runs with the owner's rights names its search_path
SELECT assert.equal(string_agg(p.proname, ' ' ORDER BY p.proname), 'cancel enqueue enqueue_batch enqueue_many ensure_partitions make_days prune_ticks tidy_jobs window_start', 'SECURITY DEFINER functions')
FROM pg_proc p WHERE p.pronamespace = 'relevo'::regnamespace AND p.prosecdef AND p.proconfig::text ~ 'search_path=pg_catalog, pg_temp';
SELECT assert.equal(count(*), 9::bigint, 'SECURITY DEFINER functions in all') FROM pg_proc p WHERE p.pronamespace = 'relevo'::regnamespace AND p.prosecdef;

-- again, and after somebody granted too much to PUBLIC
GRANT EXECUTE ON FUNCTION relevo.ensure_partitions(int) TO PUBLIC;
SELECT relevo.grant_privileges(), relevo.grant_privileges() \g /dev/null
SELECT assert.that(NOT has_function_privilege(:'stranger', 'relevo.ensure_partitions(int)', 'EXECUTE'), 'grant_privileges() takes it back');
SELECT 'ok';
