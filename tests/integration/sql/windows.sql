-- The read statements deliver exactly the rows of a window, whatever the order of ids and commits.
SELECT assert.connect('w1') \g /dev/null
SELECT assert.connect('w2') \g /dev/null
SELECT assert.connect('w3') \g /dev/null
CREATE TABLE got (id bigint, shard int2, event_id uuid, aggregate_type text, aggregate_id text, event_type text, topic text, tenant text,
                  content_type text, payload bytea, payload_size int, headers_text text, created_at timestamptz);
GRANT ALL ON got TO PUBLIC;

-- before the window; then in progress at tick a; then committed behind a lower id; then still open at tick b
SELECT assert.publish('w1', 10, 'before') \g /dev/null
SELECT assert.run('w1', 'BEGIN'), assert.publish('w1', 3000, 'late') \g /dev/null
SELECT assert.run('w2', 'BEGIN'), assert.publish('w2', 5, 'open') \g /dev/null
SELECT assert.publish('w3', 1, 'before') \g /dev/null
EXECUTE next_tick \gset a_
SELECT assert.publish('w3', 20, 'new') \g /dev/null
SELECT assert.run('w1', 'COMMIT') \g /dev/null
EXECUTE next_tick \gset b_
SELECT assert.publish('w3', 7, 'after') \g /dev/null
SELECT assert.run('w2', 'COMMIT') \g /dev/null
SELECT pg_snapshot_xmax(:'a_snapshot_text'::pg_snapshot) AS xa, pg_snapshot_xmax(:'b_snapshot_text'::pg_snapshot) AS xb,
       ARRAY(SELECT x FROM pg_snapshot_xip(:'a_snapshot_text'::pg_snapshot) x WHERE pg_visible_in_snapshot(x, :'b_snapshot_text'::pg_snapshot)) AS late \gset

CREATE VIEW wanted AS SELECT * FROM relevo.outbox WHERE aggregate_id ~ '^(late|new)';
-- psql cannot read from EXECUTE into a table, a function can
CREATE FUNCTION collect(statement text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  r record;
  n bigint := 0;
BEGIN
  FOR r IN EXECUTE statement LOOP
    INSERT INTO got VALUES (r.id, r.shard, r.event_id, r.aggregate_type, r.aggregate_id, r.event_type, r.topic, r.tenant, r.content_type,
                            r.payload, r.payload_size, r.headers_text, r.created_at);
    n := n + 1;
  END LOOP;
  RETURN n;
END $$;
CREATE FUNCTION check_window(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM assert.that((SELECT count(*) FROM wanted) > 0, 'the window holds rows');
  PERFORM assert.equal((SELECT count(*) FROM got WHERE shard IS NOT NULL), (SELECT count(*) FROM wanted), what || ': rows');
  PERFORM assert.equal((SELECT count(*) FROM got g JOIN wanted w ON w.id = g.id AND w.event_id = g.event_id
                        AND g.shard = hashtextextended(w.aggregate_id, 0) & 7 AND g.payload = w.payload AND g.payload_size = octet_length(w.payload)
                        AND g.created_at = w.created_at AND g.headers_text IS NULL AND g.content_type = w.content_type),
                       (SELECT count(*) FROM wanted), what || ': the right rows');
  DELETE FROM got;
END $$;

-- the huge late transaction must be noticed by a relay that holds one shard of eight, where it has more than 2001 rows only in all
SELECT collect(format('EXECUTE small_window_late(%L, 7, %L)', :'late', '{0,1,2,3,4,5,6,7}')) AS n \gset
SELECT assert.equal(:n::bigint, 2001::bigint, 'a huge late transaction is noticed');
DELETE FROM got;
-- shard by shard it is a small window, and complete
SELECT collect(format('EXECUTE small_window_late(%L, 7, ARRAY[%s])', :'late', s)) FROM generate_series(0, 7) s \g /dev/null
SELECT collect(format('EXECUTE small_window(%L, %L, %L, 7, ARRAY[%s])', :'xa', :'xb', :'b_snapshot_text', s)) FROM generate_series(0, 7) s \g /dev/null
SELECT check_window('shard by shard');

-- paged
CREATE FUNCTION pages(start bigint, a text, b text, shards text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  last bigint := start;
  n    int := 0;
BEGIN
  LOOP
    PERFORM collect(format('EXECUTE page(%s, %L, %L, 7, %L)', last, a, b, shards));
    SELECT id INTO STRICT last FROM got WHERE shard IS NULL;
    DELETE FROM got WHERE shard IS NULL;
    EXIT WHEN last IS NULL;
    n := n + 1;
  END LOOP;
  RETURN n;
END $$;
EXECUTE window_start(:'xa', :'late') \gset
SELECT assert.equal(pages(:last_id, :'a_snapshot_text', :'b_snapshot_text', '{0,1,2,3,4,5,6,7}'), 2, 'pages of 2000 rows scanned');
SELECT check_window('paged');
SELECT pages(:last_id, :'a_snapshot_text', :'b_snapshot_text', '{5,1}'), pages(:last_id, :'a_snapshot_text', :'b_snapshot_text', '{0,2,3,4,6,7}') \g /dev/null
SELECT check_window('paged by two relays');

-- what a row looks like: large payloads are left out, tombstones and empty headers are NULL
SELECT relevo.publish('t', 'big', 'e', NULL, payload_bytes => convert_to(repeat('x', 2049), 'UTF8')), relevo.publish('t', 'limit', 'e', NULL, payload_bytes => convert_to(repeat('x', 2048), 'UTF8')),
       relevo.publish('t', 'gone', 'e', NULL, '{"b": "2", "a": "1"}', 'p', 'n') \g /dev/null
INSERT INTO relevo.outbox (aggregate_type, aggregate_id, event_type, headers) VALUES ('t', 'plain', 'e', '{}');
SELECT collect(format('EXECUTE page(%s, ''1:1:'', pg_current_snapshot(), 7, ''{0,1,2,3,4,5,6,7}'')', max(id) - 4)) FROM relevo.outbox \g /dev/null
SELECT assert.that(payload IS NULL AND payload_size = 2049, 'large payload') FROM got WHERE aggregate_id = 'big';
SELECT assert.that(octet_length(payload) = 2048 AND payload_size = 2048, 'payload at the limit') FROM got WHERE aggregate_id = 'limit';
SELECT assert.that(payload IS NULL AND payload_size IS NULL AND headers_text = '{"a": "1", "b": "2"}' AND topic = 'p' AND tenant = 'n', 'tombstone') FROM got WHERE aggregate_id = 'gone';
SELECT assert.that(headers_text IS NULL, 'empty headers') FROM got WHERE aggregate_id = 'plain';
SELECT id AS big FROM got WHERE aggregate_id = 'big' \gset
EXECUTE payloads(ARRAY[:big]) \gset p_
SELECT assert.equal(octet_length(:'p_payload'::bytea), 2049, 'the large payload, fetched');
EXECUTE tick_by_ids(ARRAY[:b_id, 999999]) \gset t_
SELECT assert.that(:t_id = :b_id AND :t_fingerprint = :b_fingerprint AND :'t_snapshot_text' = :'b_snapshot_text', 'a tick by its id');

-- where a huge window starts: at its first leaf, or below it when the DEFAULT partition holds rows of it
TRUNCATE relevo.outbox;
SELECT setval('relevo.outbox_id_seq', 2500000) \g /dev/null
SELECT pg_snapshot_xmax(pg_current_snapshot()) AS xa \gset
EXECUTE window_start(:'xa', '{}') \gset
SELECT assert.that(NOT :{?last_id}, 'no row, no start');
SELECT assert.publish('w1', 3) \g /dev/null
EXECUTE window_start(:'xa', '{}') \gset
SELECT assert.equal(:last_id::bigint, 1999999::bigint, 'the lower bound of the first leaf with a row');
SELECT xid AS late FROM relevo.outbox LIMIT 1 \gset
EXECUTE window_start(pg_snapshot_xmax(pg_current_snapshot()), ARRAY[:'late']::xid8[]) \gset
SELECT assert.equal(:last_id::bigint, 1999999::bigint, 'late xids count');
SELECT setval('relevo.outbox_id_seq', 21000099) \g /dev/null
SELECT assert.publish('w1', 2) \g /dev/null
EXECUTE window_start(:'xa', '{}') \gset
SELECT assert.equal(:last_id::bigint, 1999999::bigint, 'rows in DEFAULT above the first leaf');
TRUNCATE relevo.outbox_p2;
EXECUTE window_start(:'xa', '{}') \gset
SELECT assert.equal(:last_id::bigint, 21000099::bigint, 'rows in DEFAULT only');
SELECT relevo.create_leaf(22) \g /dev/null
SELECT setval('relevo.outbox_id_seq', 22000000) \g /dev/null
SELECT pg_snapshot_xmax(pg_current_snapshot()) AS xa2 \gset
SELECT assert.publish('w1', 2) \g /dev/null
EXECUTE window_start(:'xa', '{}') \gset
SELECT assert.equal(:last_id::bigint, 21000099::bigint, 'rows in DEFAULT below the first leaf');
EXECUTE window_start(:'xa2', '{}') \gset
SELECT assert.equal(:last_id::bigint, 21999999::bigint, 'DEFAULT without rows of the window does not count');
SELECT 'ok';
