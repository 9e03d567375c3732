-- Who may do what: a writer, a relay and a stranger, as login roles of their own.
SELECT :'DBNAME' || '_writer' AS writer, :'DBNAME' || '_relay' AS relay, :'DBNAME' || '_stranger' AS stranger \gset
CREATE ROLE :"writer" LOGIN IN ROLE relevo_writer;
CREATE ROLE :"relay" LOGIN IN ROLE relevo_relay;
CREATE ROLE :"stranger" LOGIN;

SET SESSION AUTHORIZATION :"writer";
EXECUTE publish('order', '1', 'E', '{}', '{}', NULL, NULL) \g /dev/null
SELECT relevo.publish('order', '1', 'E', '{"a": 1}', '{"h": "v"}') \g /dev/null
SELECT relevo.publish_many('{order,order}', '{1,2}', '{E,E}', '{1,2}') \g /dev/null
INSERT INTO relevo.outbox (aggregate_type, aggregate_id, event_type, payload, created_at, event_id) VALUES ('order', '1', 'E', '{}', now(), gen_random_uuid());
SELECT assert.fails($$SELECT relevo.publish('order', '', 'E', NULL)$$, '22023', 'aggregate_id: is empty');
SELECT assert.fails($$SELECT relevo.publish_many('{order}', '{""}', '{E}', NULL)$$, '22023', 'element 1: aggregate_id: is empty');
SELECT assert.fails($$INSERT INTO relevo.outbox (aggregate_type, aggregate_id, event_type) VALUES ('order', '', 'E')$$, '23514', 'aggregate_id: is empty');
SELECT assert.fails(s, '42501', 'permission denied') FROM unnest(ARRAY[
  $$INSERT INTO relevo.outbox (xid, aggregate_type, aggregate_id, event_type) VALUES ('3', 'order', '1', 'E')$$,
  $$INSERT INTO relevo.outbox (id, aggregate_type, aggregate_id, event_type) OVERRIDING SYSTEM VALUE VALUES (1, 'order', '1', 'E')$$,
  $$INSERT INTO relevo.outbox_default (aggregate_type, aggregate_id, event_type) VALUES ('order', '1', 'E')$$,
  'SELECT * FROM relevo.outbox', 'SELECT event_id FROM relevo.outbox', 'UPDATE relevo.outbox SET topic = NULL', 'DELETE FROM relevo.outbox', 'TRUNCATE relevo.outbox',
  'SELECT * FROM relevo.position', 'SELECT * FROM relevo.tick', 'SELECT * FROM relevo.dead_event', 'SELECT * FROM relevo.migration',
  'SELECT relevo.next_tick()', 'SELECT relevo.prune_ticks()', 'SELECT relevo.ensure_partitions()', $$SELECT relevo.window_start('1', '{}')$$,
  'SELECT relevo.create_leaf(99)', 'SELECT relevo.grant_privileges()', 'SELECT relevo.initialise_shards(4)',
  $$SELECT setval('relevo.outbox_id_seq', 1)$$, 'CREATE TABLE relevo.mine ()']) s;
RESET SESSION AUTHORIZATION;

-- the relay runs every statement it has, and none is left out here (`publish` is a writer's, `system_identifier` is asked only when allowed)
CREATE TABLE call (name text PRIMARY KEY, arguments text);
INSERT INTO call VALUES ('probe', ''), ('next_tick', ''), ('tick_by_ids', '(''{1}'')'), ('small_window', $$('3', '9000000000', pg_current_snapshot(), 7, '{0,1}')$$),
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
GRANT SELECT ON call TO PUBLIC;
SELECT assert.equal((SELECT string_agg(name, ' ' ORDER BY name) FROM call), (SELECT string_agg(name, ' ' ORDER BY name) FROM pg_prepared_statements WHERE name NOT IN ('publish', 'system_identifier')), 'statements tried here');
SET SESSION AUTHORIZATION :"relay";
DO $$
DECLARE c record;
BEGIN
  FOR c IN SELECT * FROM call ORDER BY name <> 'take', name LOOP
    BEGIN
      EXECUTE format('EXECUTE %I%s', c.name, c.arguments);
    EXCEPTION WHEN insufficient_privilege THEN
      RAISE EXCEPTION 'the relay may not run %: %', c.name, SQLERRM;
    END;
    COMMIT;
  END LOOP;
END $$;
SELECT assert.fails(s, '42501', 'permission denied') FROM unnest(ARRAY[
  $$SELECT relevo.publish('order', '1', 'E', '1')$$, $$INSERT INTO relevo.outbox (aggregate_type, aggregate_id, event_type) VALUES ('t', 'i', 'e')$$,
  'UPDATE relevo.outbox SET topic = NULL', 'DELETE FROM relevo.outbox', 'TRUNCATE relevo.outbox_default', 'DELETE FROM relevo.tick', 'UPDATE relevo.tick SET fingerprint = 1',
  'UPDATE relevo.position SET shards = 4', 'DELETE FROM relevo.position', 'INSERT INTO relevo.position SELECT * FROM relevo.position', 'UPDATE relevo.schema SET version = 1',
  'DELETE FROM relevo.migration', 'UPDATE relevo.tick_pruning SET before_id = 1', 'SELECT relevo.create_leaf(99)', 'SELECT relevo.grant_privileges()', 'SELECT relevo.initialise_shards(4)',
  'CREATE TABLE relevo.mine ()']) s;
RESET SESSION AUTHORIZATION;

SET SESSION AUTHORIZATION :"stranger";
SELECT assert.fails(s, '42501', 'permission denied for schema relevo') FROM unnest(ARRAY[
  $$SELECT relevo.publish('order', '1', 'E', '1')$$, 'SELECT * FROM relevo.outbox', 'SELECT relevo.ensure_partitions()', 'SELECT * FROM relevo.migration']) s;
RESET SESSION AUTHORIZATION;
-- nothing for PUBLIC, even with USAGE on the schema
GRANT USAGE ON SCHEMA relevo TO :"stranger";
SELECT assert.equal(count(*), 0::bigint, 'functions that a stranger may call')
FROM pg_proc p WHERE p.pronamespace = 'relevo'::regnamespace AND has_function_privilege(:'stranger', p.oid, 'EXECUTE');
SELECT assert.equal(count(*), 0::bigint, 'tables that a stranger may use')
FROM pg_class c WHERE c.relnamespace = 'relevo'::regnamespace AND c.relkind IN ('r', 'p')
  AND has_any_column_privilege(:'stranger', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES');

-- what runs with the owner's rights names its search_path
SELECT assert.equal(string_agg(p.proname, ' ' ORDER BY p.proname), 'ensure_partitions prune_ticks window_start', 'SECURITY DEFINER functions')
FROM pg_proc p WHERE p.pronamespace = 'relevo'::regnamespace AND p.prosecdef AND p.proconfig::text ~ 'search_path=pg_catalog, pg_temp';
SELECT assert.equal(count(*), 3::bigint, 'SECURITY DEFINER functions in all') FROM pg_proc p WHERE p.pronamespace = 'relevo'::regnamespace AND p.prosecdef;

-- again, and after somebody granted too much to PUBLIC
GRANT EXECUTE ON FUNCTION relevo.ensure_partitions(int) TO PUBLIC;
SELECT relevo.grant_privileges(), relevo.grant_privileges() \g /dev/null
SELECT assert.that(NOT has_function_privilege(:'stranger', 'relevo.ensure_partitions(int)', 'EXECUTE'), 'grant_privileges() takes it back');
SELECT 'ok';
