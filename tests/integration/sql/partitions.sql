-- relevo.ensure_partitions: what it creates, beside writers, beside others, after rows spilt into the DEFAULT partition.
SELECT assert.connect('writer') \g /dev/null
SELECT assert.connect('other') \g /dev/null
CREATE VIEW leaf AS SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'relevo.outbox'::regclass;

SELECT assert.equal(count(*), 22::bigint, 'leaves of the migration: the current one, 20 ahead, DEFAULT') FROM leaf;
EXECUTE ensure_partitions(20) \gset
SELECT assert.equal(:created, 0, 'nothing is missing at first');
SELECT assert.fails('SELECT relevo.ensure_partitions(0)', '22023', 'ahead: must be between 1 and 1000');

-- one leaf filled, one created, although a writer holds its locks
SELECT setval('relevo.outbox_id_seq', 999999) \g /dev/null
SELECT assert.run('writer', 'BEGIN'), assert.publish('writer', 3) \g /dev/null
BEGIN;
EXECUTE ensure_partitions(20) \gset
SELECT assert.equal(:created, 1, 'one leaf created beside an open writer');
-- writers do not wait for the creation
SELECT assert.run('writer', 'SET lock_timeout = ''1s'''), assert.publish('writer', 3), assert.run('writer', 'COMMIT') \g /dev/null
-- a second caller goes away
SELECT assert.equal(n, 0, 'a second caller at once') FROM assert.dblink('other', 'SELECT relevo.ensure_partitions(20)') t (n int);
COMMIT;
SELECT assert.equal(bound, 'FOR VALUES FROM (''21000000'') TO (''22000000'')', 'bounds of the new leaf') FROM leaf WHERE name = 'outbox_p21';
SELECT assert.equal(count(*), 2::bigint, 'its indexes') FROM pg_index WHERE indrelid = 'relevo.outbox_p21'::regclass;
SELECT assert.equal(array_agg(DISTINCT tableoid::regclass::text), ARRAY['relevo.outbox_p1'], 'rows go to their leaf') FROM relevo.outbox;

-- several at once: one creates, the others return 0, nobody fails
SELECT setval('relevo.outbox_id_seq', 5000000) \g /dev/null
SELECT assert.dblink_send_query(c, 'SELECT relevo.ensure_partitions(20)') FROM unnest(ARRAY['writer', 'other']) c \g /dev/null
EXECUTE ensure_partitions(20) \gset
SELECT assert.equal(:created + a.n + b.n, 4, 'leaves created by three callers')
FROM assert.dblink_get_result('writer') a (n int), assert.dblink_get_result('other') b (n int);
SELECT * FROM assert.dblink_get_result('writer') t (n int) \g /dev/null
SELECT * FROM assert.dblink_get_result('other') t (n int) \g /dev/null

-- a reader that stays: gives up after lock_timeout, does not stall writers for longer
SELECT setval('relevo.outbox_id_seq', 6000000) \g /dev/null
SELECT assert.run('other', 'BEGIN; DO $$ BEGIN PERFORM count(*) FROM relevo.outbox; END $$') \g /dev/null
SELECT clock_timestamp() AS began \gset
SELECT assert.fails('SELECT relevo.ensure_partitions(20)', '55P03', 'lock timeout');
SELECT assert.that(clock_timestamp() - :'began'::timestamptz < interval '2 s', 'gives up soon');
SELECT assert.run('other', 'COMMIT') \g /dev/null
EXECUTE ensure_partitions(20) \gset
SELECT assert.equal(:created, 1, 'made good afterwards');

-- spill: rows beyond the last leaf land in DEFAULT; new leaves begin above them, and above every id that a running INSERT may draw
SELECT setval('relevo.outbox_id_seq', 26999998) \g /dev/null
SELECT assert.publish('writer', 5) \g /dev/null
SELECT assert.equal(array_agg(tableoid::regclass::text ORDER BY id), '{relevo.outbox_p26,relevo.outbox_default,relevo.outbox_default,relevo.outbox_default,relevo.outbox_default}'::text[], 'rows at the end of the leaves')
FROM relevo.outbox WHERE id >= 26999999;
EXECUTE partitions \gset
SELECT assert.that(:leaves_ahead = 0 AND :'default_in_use', 'the status says so');
SELECT assert.dblink_send_query('writer', $$SELECT count(*) FROM relevo.publish_many(array_fill('t'::text, ARRAY[50000]), array_fill('i'::text, ARRAY[50000]), array_fill('e'::text, ARRAY[50000]), NULL)$$) \g /dev/null
CREATE FUNCTION ensure() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1..100 LOOP
    BEGIN
      RETURN relevo.ensure_partitions(3);
    EXCEPTION WHEN lock_not_available THEN NULL;
    END;
  END LOOP;
END $$;
SELECT assert.equal(ensure(), 2, 'leaves created after the spill');
SELECT assert.equal(n, 50000::bigint, 'a bulk INSERT running meanwhile') FROM assert.dblink_get_result('writer') t (n bigint);
SELECT * FROM assert.dblink_get_result('writer') t (n bigint) \g /dev/null
SELECT assert.equal(array_agg(name ORDER BY name), '{outbox_p29,outbox_p30}'::name[], 'the new leaves') FROM leaf WHERE name ~ '^outbox_p(2[7-9]|3.)$';
SELECT setval('relevo.outbox_id_seq', 28999998) \g /dev/null
SELECT assert.publish('writer', 3) \g /dev/null
SELECT assert.equal(array_agg(tableoid::regclass::text ORDER BY id), '{relevo.outbox_default,relevo.outbox_p29,relevo.outbox_p29}'::text[], 'back in leaves') FROM relevo.outbox WHERE id >= 28999999;
SELECT 'ok';
