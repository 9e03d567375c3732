-- relevo.publish_many: order, defaults, refusals.
CREATE FUNCTION many(n int) RETURNS SETOF uuid LANGUAGE sql AS $$
  SELECT relevo.publish_many(array_agg('order' || i % 3 ORDER BY i), array_agg('a' || i * 7919 % 1000 ORDER BY i), array_agg('E' || i ORDER BY i),
                             array_agg(to_jsonb(i) ORDER BY i)) FROM generate_series(1, n) i $$;

CREATE TABLE returned AS SELECT row_number() OVER () AS n, id FROM many(20000) id;
SELECT assert.equal(count(*), 20000::bigint, 'events stored') FROM relevo.outbox;
SELECT assert.equal(count(*), 0::bigint, 'events whose id does not follow the order of the arrays, as returned and as stored')
FROM (SELECT o.event_id, o.event_type, row_number() OVER (ORDER BY o.id) AS n FROM relevo.outbox o) o
FULL JOIN returned r ON r.n = o.n WHERE r.id IS DISTINCT FROM o.event_id OR o.event_type IS DISTINCT FROM 'E' || o.n;
SELECT assert.equal(convert_from(payload, 'UTF8'), '20000', 'payload') FROM relevo.outbox ORDER BY id DESC LIMIT 1;

SELECT assert.equal(array_agg(id), ARRAY['6f1f6a40-5d7c-4a5c-8a55-0d3e8a2c7b11'::uuid], 'returned ids')
FROM relevo.publish_many(ARRAY['t'], ARRAY['i'], ARRAY['e'], NULL, ARRAY['{"h": "v"}'::jsonb], ARRAY['p'], ARRAY['n'],
                         ARRAY['6f1f6a40-5d7c-4a5c-8a55-0d3e8a2c7b11'::uuid], ARRAY['\x01'::bytea]) id;
SELECT assert.that(o.topic = 'p' AND o.tenant = 'n' AND o.headers = '{"h": "v"}' AND o.payload = '\x01' AND o.content_type = 'application/octet-stream', 'all arrays arrive')
FROM relevo.outbox o WHERE event_id = '6f1f6a40-5d7c-4a5c-8a55-0d3e8a2c7b11';
SELECT assert.equal(count(id), 2::bigint, 'NULL event ids are generated')
FROM relevo.publish_many(ARRAY['t', 't'], ARRAY['i', 'i'], ARRAY['e', 'e'], ARRAY[NULL, 'null']::jsonb[], event_ids => ARRAY[NULL, NULL]::uuid[]) id;
SELECT assert.equal(array_agg(convert_from(payload, 'UTF8') ORDER BY id), ARRAY[NULL, 'null'], 'tombstone and JSON null')
FROM (SELECT * FROM relevo.outbox ORDER BY id DESC LIMIT 2) o;
SELECT assert.equal(count(*), 0::bigint, 'empty arrays') FROM relevo.publish_many('{}', '{}', '{}', '{}');

CREATE TABLE before AS SELECT count(*) AS n FROM relevo.outbox;
SELECT assert.fails(format('SELECT relevo.publish_many(%s)', arguments), '22023', 'relevo.publish_many: ' || message)
FROM (VALUES
  ($$NULL, '{i}', '{e}', NULL$$,                                  'aggregate_types: is NULL; give one element per event'),
  ($$'{t}', NULL, '{e}', NULL$$,                                  'aggregate_ids: is NULL'),
  ($$'{t,t}', '{i}', '{e,e}', NULL$$,                             'aggregate_ids: has 1 elements where aggregate_types has 2'),
  ($$'{t,t}', '{i,i}', '{e}', NULL$$,                             'event_types: has 1 elements where aggregate_types has 2'),
  ($$'{t,t}', '{i,i}', '{e,e}', '{}'$$,                           'payloads: has 0 elements where aggregate_types has 2'),
  ($$'{t}', '{i}', '{e}', NULL, topics => '{a,b}'$$,              'topics: has 2 elements where aggregate_types has 1'),
  ($$'{t}', '{i}', '{e}', NULL, headers => '{}'$$,                'headers: has 0 elements'),
  ($$'{t}', '{i}', '{e}', NULL, tenants => '{}'$$,                'tenants: has 0 elements'),
  ($$'{t}', '{i}', '{e}', NULL, event_ids => '{}'$$,              'event_ids: has 0 elements'),
  ($$'{t}', '{i}', '{e}', NULL, payloads_bytes => '{}'$$,         'payloads_bytes: has 0 elements'),
  ($$'{t,t,t}', '{i,i,""}', '{e,e,e}', '{1,1,1}'$$,               'element 3: aggregate_id: is empty'),
  ($$'{t,NULL}', '{i,i}', '{e,e}', '{1,1}'$$,                     'element 2: aggregate_type: is NULL'),
  ($$'{t,t}', '{i,i}', '{e,e}', '{1,1}', headers => ARRAY['{}', '{"ce_id": "x"}']::jsonb[]$$, 'element 2: headers: "ce_id" is reserved'),
  ($$'{t,t}', '{i,i}', '{e,e}', '{1,1}', payloads_bytes => ARRAY[NULL, '\x01']::bytea[]$$, 'element 2: payloads_bytes: payloads is given too')) v (arguments, message);
SELECT assert.equal(count(*), (SELECT n FROM before), 'refusals leave no row') FROM relevo.outbox;
SELECT 'ok';
