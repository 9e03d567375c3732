-- A plain INSERT meets the same rules as relevo.publish, and its error says by itself what is wrong.

INSERT INTO relevo.outbox (aggregate_type, aggregate_id, event_type, payload, headers) VALUES ('order', '42', 'E', '\x00', '{"a": "b"}'), ('order', '42', 'E', NULL, '{}');

SELECT assert.fails(format('INSERT INTO relevo.outbox (aggregate_type, aggregate_id, event_type, %s) VALUES (''t'', ''i'', ''e'', %s)', name, value), '23514', 'relevo.outbox: ' || message)
FROM (VALUES
  ('topic',        $$'a b'$$,                 'topic: is not a legal Kafka topic'),
  ('tenant',       $$''$$,                    'tenant: is empty'),
  ('content_type', $$''$$,                    'content_type: is empty'),
  ('content_type', $$repeat('x', 256)$$,      'content_type: has 256 bytes; give at most 255'),
  ('content_type', $$E'a\r\nb'$$,             'content_type: holds a control character'),
  ('payload',      $$convert_to(repeat('x', 8388609), 'UTF8')$$, 'payload: has 8388609 bytes'),
  ('headers',      $$'{"Ce_Id": "x"}'$$,      'headers: "Ce_Id" is reserved'),
  ('headers',      $$'{"a": true}'$$,         'headers: the value of "a" is a JSON boolean')) v (name, value, message);

SELECT assert.fails(format('INSERT INTO relevo.outbox (aggregate_type, aggregate_id, event_type) VALUES (%s)', value), state, message)
FROM (VALUES
  ($$'', 'i', 'e'$$,                 '23514', 'relevo.outbox: aggregate_type: is empty; give 1 to 255 bytes'),
  ($$'t', '', 'e'$$,                 '23514', 'relevo.outbox: aggregate_id: is empty'),
  ($$'t', repeat('x', 1025), 'e'$$,  '23514', 'relevo.outbox: aggregate_id: has 1025 bytes; give at most 1024'),
  ($$'t', E'\u009f', 'e'$$,          '23514', 'relevo.outbox: aggregate_id: holds a control character'),
  ($$'t', 'i', ''$$,                 '23514', 'relevo.outbox: event_type: is empty'),
  ($$NULL, 'i', 'e'$$,               '23502', 'aggregate_type'),
  ($$'t', NULL, 'e'$$,               '23502', 'aggregate_id'),
  ($$'t', 'i', NULL$$,               '23502', 'event_type')) v (value, state, message);

-- the rule and its explanation agree: what is refused is explained, what is accepted is not
SELECT assert.equal(relevo.event_is_valid(t, i, e, topic, tenant, c, size, h) IS TRUE, relevo.event_problem(t, i, e, topic, tenant, c, size, h) IS NULL,
                    concat_ws(' ', 'rule against explanation for', t, i, e, topic, tenant, c, size, left(h::text, 60)))
FROM unnest(ARRAY['t', '', NULL, repeat('x', 256)]) t, unnest(ARRAY['i', E'\x7f', NULL, repeat('x', 1024)]) i, unnest(ARRAY['e', NULL]) e,
     unnest(ARRAY['p', NULL, '.', '', 'a/b']) topic, unnest(ARRAY['n', NULL, '', E'\n']) tenant, unnest(ARRAY['application/json', '']) c,
     unnest(ARRAY[NULL, 0, 8388608, 8388609]) size,
     unnest(ARRAY[NULL, '{}', '[]', '{"a": "b"}', '{"a": 1}', '{"": "x"}', '{"CE_TIME": "x"}', '{"a": "\"ce_time\": x"}', '"ce_id"', '1']::jsonb[]) h;

-- leaves carry the constraint, so rows routed to any of them are checked
SELECT assert.equal(count(*), 23::bigint, 'tables with the constraint') FROM pg_constraint WHERE conname = 'outbox_row_is_valid';

-- the rules do not depend on the caller's search_path
CREATE SCHEMA trap;
CREATE FUNCTION trap.octet_length(text) RETURNS int LANGUAGE sql AS 'SELECT 1';
SET search_path = trap, pg_catalog;
SELECT assert.fails($$INSERT INTO relevo.outbox (aggregate_type, aggregate_id, event_type) VALUES ('', 'i', 'e')$$, '23514', 'aggregate_type: is empty');
RESET search_path;

SELECT assert.that(EXISTS (SELECT FROM pg_sequences WHERE schemaname = 'relevo' AND sequencename = 'outbox_id_seq' AND cache_size = 1), 'the sequence caches no ids');
SELECT 'ok';
