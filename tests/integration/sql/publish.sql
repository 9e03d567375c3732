-- relevo.publish: what it stores, and every way it refuses.
CREATE FUNCTION stored(event uuid) RETURNS relevo.outbox LANGUAGE sql AS $$ SELECT o FROM relevo.outbox o WHERE o.event_id = event $$;

DO $$
DECLARE
  id uuid;
  o  relevo.outbox;
BEGIN
  id := relevo.publish('order', '42', 'OrderPlaced', '{"total": 1}');
  o := stored(id);
  PERFORM assert.equal(convert_from(o.payload, 'UTF8'), '{"total": 1}', 'payload is the text of the JSON');
  PERFORM assert.equal(o.content_type, 'application/json', 'content type of JSON');
  PERFORM assert.that(o.headers IS NULL AND o.topic IS NULL AND o.tenant IS NULL, 'defaults are NULL');
  PERFORM assert.equal(o.xid, pg_current_xact_id(), 'the xid is that of the transaction');

  o := stored(relevo.publish('order', '42', 'OrderDeleted', NULL));
  PERFORM assert.that(o.payload IS NULL, 'SQL NULL is a tombstone');
  o := stored(relevo.publish('order', '42', 'OrderPlaced', 'null'));
  PERFORM assert.equal(convert_from(o.payload, 'UTF8'), 'null', 'JSON null is a payload');
  o := stored(relevo.publish('order', '42', 'OrderPlaced', '"añ€𝄞"'));
  PERFORM assert.equal(o.payload, convert_to('"añ€𝄞"', 'UTF8'), 'payload is UTF-8');
  o := stored(relevo.publish('order', '42', 'OrderPlaced', NULL, payload_bytes => '\x00ff'));
  PERFORM assert.equal(o.payload, '\x00ff'::bytea, 'bytes are kept');
  PERFORM assert.equal(o.content_type, 'application/octet-stream', 'content type of bytes');
  o := stored(relevo.publish('order', '42', 'OrderPlaced', NULL, payload_bytes => ''));
  PERFORM assert.equal(o.payload, ''::bytea, 'empty bytes are no tombstone');

  id := '6f1f6a40-5d7c-4a5c-8a55-0d3e8a2c7b11';
  PERFORM assert.equal(relevo.publish(aggregate_type => 'order', aggregate_id => 'ü 1', event_type => 'E', payload => '1',
    headers => '{"trace": "a\":b", "ce_idx": "1", "note": "\"ce_id\":"}', topic => 'a.B_c-9', tenant => 'acme', event_id => id), id, 'the given event id comes back');
  o := stored(id);
  PERFORM assert.equal(o.headers ->> 'trace', 'a":b', 'headers are kept');
  PERFORM assert.that(o.aggregate_id = 'ü 1' AND o.topic = 'a.B_c-9' AND o.tenant = 'acme', 'all arguments arrive');
  PERFORM assert.that(relevo.publish('order', '42', 'E', '1', NULL, NULL, NULL, NULL) IS NOT NULL, 'a NULL event id is generated');
  PERFORM relevo.publish(repeat('t', 255), repeat('i', 1024), repeat('e', 255), '1', tenant => repeat('x', 255), topic => repeat('p', 249));
  PERFORM relevo.publish('t', 'i', 'e', NULL, payload_bytes => convert_to(repeat('x', 8388608), 'UTF8'));
  PERFORM relevo.publish('t', 'i', 'e', '1', headers => (SELECT jsonb_object_agg('h' || i, 'v') FROM generate_series(1, 100) i));
  PERFORM relevo.publish('t', 'i', 'e', '1', headers => jsonb_build_object('h', repeat('v', 32768 - 9)));
END $$;

CREATE TABLE refusal (arguments text, message text);
INSERT INTO refusal VALUES
  ($$NULL, 'i', 'e', '1'$$,                                 'aggregate_type: is NULL; give 1 to 255 bytes'),
  ($$'', 'i', 'e', '1'$$,                                   'aggregate_type: is empty; give 1 to 255 bytes'),
  ($$repeat('x', 256), 'i', 'e', '1'$$,                     'aggregate_type: has 256 bytes; give at most 255'),
  ($$repeat('é', 128), 'i', 'e', '1'$$,                     'aggregate_type: has 256 bytes; give at most 255'),
  ($$E'a\nb', 'i', 'e', '1'$$,                              'aggregate_type: holds a control character'),
  ($$'t', NULL, 'e', '1'$$,                                 'aggregate_id: is NULL'),
  ($$'t', '', 'e', '1'$$,                                   'aggregate_id: is empty'),
  ($$'t', repeat('x', 1025), 'e', '1'$$,                    'aggregate_id: has 1025 bytes; give at most 1024'),
  ($$'t', E'a\u0001', 'e', '1'$$,                           'aggregate_id: holds a control character'),
  ($$'t', E'a\r\nb', 'e', '1'$$,                            'aggregate_id: holds a control character'),
  ($$'t', E'a\u001f', 'e', '1'$$,                           'aggregate_id: holds a control character'),
  ($$'t', E'a\u007f', 'e', '1'$$,                           'aggregate_id: holds a control character'),
  ($$'t', E'a\u0080', 'e', '1'$$,                           'aggregate_id: holds a control character'),
  ($$'t', E'\u009f', 'e', '1'$$,                            'aggregate_id: holds a control character'),
  ($$'t', 'i', NULL, '1'$$,                                 'event_type: is NULL'),
  ($$'t', 'i', '', '1'$$,                                   'event_type: is empty'),
  ($$'t', 'i', repeat('x', 256), '1'$$,                     'event_type: has 256 bytes'),
  ($$'t', 'i', E'\t', '1'$$,                                'event_type: holds a control character'),
  ($$'t', 'i', 'e', '1', payload_bytes => '\x01'$$,         'payload_bytes: payload is given too; give one of them'),
  ($$'t', 'i', 'e', NULL, payload_bytes => convert_to(repeat('x', 8388609), 'UTF8')$$, 'payload: has 8388609 bytes; give at most 8388608'),
  ($$'t', 'i', 'e', to_jsonb(repeat('x', 8388607))$$,       'payload: has 8388609 bytes'),
  ($$'t', 'i', 'e', '1', topic => ''$$,                     'topic: is not a legal Kafka topic'),
  ($$'t', 'i', 'e', '1', topic => '.'$$,                    'topic: is not a legal Kafka topic'),
  ($$'t', 'i', 'e', '1', topic => '..'$$,                   'topic: is not a legal Kafka topic'),
  ($$'t', 'i', 'e', '1', topic => 'a b'$$,                  'topic: is not a legal Kafka topic'),
  ($$'t', 'i', 'e', '1', topic => E'a\n'$$,                 'topic: is not a legal Kafka topic'),
  ($$'t', 'i', 'e', '1', topic => 'é'$$,                    'topic: is not a legal Kafka topic'),
  ($$'t', 'i', 'e', '1', topic => repeat('x', 250)$$,       'topic: is not a legal Kafka topic'),
  ($$'t', 'i', 'e', '1', tenant => ''$$,                    'tenant: is empty; give 1 to 255 bytes, or NULL'),
  ($$'t', 'i', 'e', '1', tenant => repeat('x', 256)$$,      'tenant: has 256 bytes'),
  ($$'t', 'i', 'e', '1', tenant => E'a\u0085'$$,            'tenant: holds a control character'),
  ($$'t', 'i', 'e', '1', '[]'$$,                            'headers: is a JSON array; give an object'),
  ($$'t', 'i', 'e', '1', 'null'$$,                          'headers: is a JSON null; give an object'),
  ($$'t', 'i', 'e', '1', '"x"'$$,                           'headers: is a JSON string; give an object'),
  ($$'t', 'i', 'e', '1', '{"a": 1}'$$,                      'headers: the value of "a" is a JSON number; give a string'),
  ($$'t', 'i', 'e', '1', '{"b": "x", "a": null}'$$,         'headers: the value of "a" is a JSON null'),
  ($$'t', 'i', 'e', '1', '{"a": ["x"]}'$$,                  'headers: the value of "a" is a JSON array'),
  ($$'t', 'i', 'e', '1', '{"a": {"ce_id": "x"}}'$$,         'headers: the value of "a" is a JSON object'),
  ($$'t', 'i', 'e', '1', '{"": "x"}'$$,                     'headers: has an empty name'),
  ($$'t', 'i', 'e', '1', jsonb_build_object('h', repeat('v', 32768 - 8))$$, 'headers: has 32769 bytes as text; give at most 32768'),
  ($$'t', 'i', 'e', '1', (SELECT jsonb_object_agg('h' || i, 'v') FROM generate_series(1, 101) i)$$, 'headers: has 101 entries; give at most 100');
INSERT INTO refusal SELECT format($$'t', 'i', 'e', '1', '{"x": "y", "%s": "z"}'$$, n), format('headers: "%s" is reserved: relevo sets it itself; choose another name', n)
FROM unnest(ARRAY['ce_specversion', 'ce_id', 'ce_source', 'ce_type', 'ce_subject', 'ce_time', 'ce_tenant', 'content-type', 'CE_ID', 'Content-Type']) n;

SELECT assert.fails(format('SELECT relevo.publish(%s)', arguments), '22023', 'relevo.publish: ' || message) FROM refusal;

-- neither a payload nor a header's value reaches an error message
CREATE FUNCTION said(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE d text; h text; c text;
BEGIN
  EXECUTE statement;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
  RETURN SQLERRM || d || h;
END $$;
SELECT assert.equal(position('secret' IN said($$SELECT relevo.publish('t', '', 'e', '"secret"', '{"a": "secret", "b": 1}')$$)), 0, 'secret in the message');
SELECT assert.equal(position('secret' IN said($$SELECT relevo.publish('t', 'i', 'e', '"secret"', '{"a": "secret", "b": 1}')$$)), 0, 'secret in the message');

SELECT 'ok';
