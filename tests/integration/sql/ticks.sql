-- relevo.next_tick and relevo.prune_ticks: each refusal, and what a tick sees.
SELECT assert.connect('writer') \g /dev/null
SELECT assert.connect('ticker') \g /dev/null

-- isolation, own xid
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT assert.fails('EXECUTE next_tick', '25000', 'READ COMMITTED only');
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT assert.fails('EXECUTE next_tick', '25000', 'READ COMMITTED only');
ROLLBACK;
BEGIN;
SELECT relevo.publish('order', '1', 'E', '1') \g /dev/null
SELECT assert.fails('EXECUTE next_tick', '25000', 'not in a transaction that has written');
ROLLBACK;
-- the reason for that refusal: an own uncommitted xid counts as visible as soon as a later one has finished
BEGIN;
SELECT pg_current_xact_id() AS own \gset
SELECT assert.run('writer', 'CREATE TABLE later ()') \g /dev/null
SELECT assert.that(pg_visible_in_snapshot(:'own'::xid8, pg_current_snapshot()), 'PostgreSQL counts the own xid as visible');
ROLLBACK;

-- nothing became visible: the same tick, for a second
EXECUTE next_tick \gset first_
UPDATE relevo.tick SET at = clock_timestamp() + interval '1 h' WHERE id = :first_id;
EXECUTE next_tick \gset second_
SELECT assert.equal(:'second_id'::bigint, :'first_id'::bigint, 'tick without news');
SELECT assert.equal(:'second_fingerprint'::bigint, :'first_fingerprint'::bigint, 'its fingerprint');
-- foreign writes are no news, an event is
SELECT assert.run('writer', 'CREATE TABLE foreign_write ()') \g /dev/null
UPDATE relevo.tick SET at = clock_timestamp() + interval '1 h' WHERE id = :first_id;
EXECUTE next_tick \gset second_
SELECT assert.equal(:'second_id'::bigint, :'first_id'::bigint, 'tick after a foreign write');
SELECT assert.publish('writer', 1) \g /dev/null
EXECUTE next_tick \gset second_
SELECT assert.equal(:'second_id'::bigint, :'first_id'::bigint + 1, 'tick after an event');
-- an event in progress at a tick is news when it commits
SELECT assert.run('writer', 'BEGIN') \g /dev/null
SELECT assert.publish('writer', 1) \g /dev/null
SELECT assert.run('ticker', 'CREATE TABLE raises_xmax ()') \g /dev/null
UPDATE relevo.tick SET at = '-infinity' WHERE id = :second_id;
EXECUTE next_tick \gset third_
SELECT assert.equal(:'third_id'::bigint, :'second_id'::bigint + 1, 'a tick a second, also without news');
SELECT assert.that((SELECT count(*) FROM pg_snapshot_xip((SELECT snapshot FROM relevo.tick WHERE id = :third_id))) > 0, 'the writer is in progress in the tick');
SELECT assert.run('writer', 'COMMIT') \g /dev/null
EXECUTE next_tick \gset fourth_
SELECT assert.equal(:'fourth_id'::bigint, :'third_id'::bigint + 1, 'tick after a late commit');

-- somebody else ticking: NULL, until that transaction ends
SELECT assert.run('ticker', 'BEGIN') \g /dev/null
SELECT assert.run('ticker', 'DO $$ BEGIN PERFORM relevo.next_tick(); END $$') \g /dev/null
SELECT assert.that(t.id IS NULL AND t.fingerprint IS NULL AND t.snapshot IS NULL, 'NULLs beside another ticker') FROM relevo.next_tick() t;
SELECT assert.run('ticker', 'ROLLBACK') \g /dev/null
SELECT assert.that(t.id IS NOT NULL, 'a tick again after the other ended') FROM relevo.next_tick() t;

-- never less durable than synchronous_commit = local
BEGIN;
SET LOCAL synchronous_commit = off;
EXECUTE next_tick \g /dev/null
SELECT assert.equal(current_setting('synchronous_commit'), 'local', 'synchronous_commit after a tick');
COMMIT;
SELECT assert.that((SELECT prosrc FROM pg_proc WHERE oid = 'relevo.next_tick()'::regprocedure) ~ 'pg_is_in_recovery\(\)', 'a standby is refused');

-- a restored cluster, whose counter is behind the tick
BEGIN;
INSERT INTO relevo.tick VALUES (1000000, 1, '9000000000:9000000000:');
COMMIT;
SELECT assert.fails('EXECUTE next_tick', 'RV001', 'the transaction counter is behind the last tick');
DELETE FROM relevo.tick WHERE id = 1000000;

-- ticks contain each other, with writers beside; until the writer is done, however late it begins
SELECT set_config('test.events', (SELECT (count(*) + 300)::text FROM relevo.outbox), false) \g /dev/null
SELECT assert.dblink_send_query('writer', $$DO $d$ BEGIN FOR i IN 1..300 LOOP PERFORM relevo.publish('order', '1', 'E', '1'); COMMIT; END LOOP; END $d$ $$) \g /dev/null
SELECT assert.dblink_send_query('ticker', $$DO $d$ BEGIN FOR i IN 1..150 LOOP PERFORM relevo.next_tick(); COMMIT; END LOOP; END $d$ $$) \g /dev/null
DO $$
BEGIN
  WHILE (SELECT count(*) FROM relevo.outbox) < current_setting('test.events')::bigint LOOP
    PERFORM relevo.next_tick();
    COMMIT;
  END LOOP;
END $$;
SELECT * FROM assert.dblink_get_result('writer') t (x text) \g /dev/null
SELECT * FROM assert.dblink_get_result('writer') t (x text) \g /dev/null
SELECT * FROM assert.dblink_get_result('ticker') t (x text) \g /dev/null
SELECT * FROM assert.dblink_get_result('ticker') t (x text) \g /dev/null
SELECT assert.that(count(*) > 10, 'the load produced ticks') FROM relevo.tick;
SELECT assert.equal(count(*), 0::bigint, 'ticks that do not contain their predecessor')
FROM relevo.tick a JOIN relevo.tick b ON b.id = a.id + 1
WHERE pg_snapshot_xmax(b.snapshot) < pg_snapshot_xmax(a.snapshot)
   OR EXISTS (SELECT FROM pg_snapshot_xip(b.snapshot) x WHERE pg_visible_in_snapshot(x, a.snapshot));

-- pruning
DELETE FROM relevo.tick WHERE id > 1;
UPDATE relevo.tick SET at = clock_timestamp() - interval '2 min';
INSERT INTO relevo.tick SELECT i, i, (SELECT snapshot FROM relevo.tick WHERE id = 1), clock_timestamp() - interval '2 min' FROM generate_series(2, 60000) i;
EXECUTE prune_ticks \gset
SELECT assert.equal(:deleted::bigint, 0::bigint, 'ticks deleted while positions stand at the first');
UPDATE relevo.position SET a = 59999, b = 60000;
UPDATE relevo.position SET a = 55000, b = 60000 WHERE shard = 3;
EXECUTE prune_ticks \gset
SELECT assert.equal(:deleted::bigint, 50000::bigint, 'at most 50,000 a call');
EXECUTE prune_ticks \gset
SELECT assert.equal(:deleted::bigint, 4999::bigint, 'up to the slowest position');
SELECT assert.equal(min(id), 55000::bigint, 'first tick kept') FROM relevo.tick;
UPDATE relevo.position SET a = 60000;
UPDATE relevo.tick SET at = clock_timestamp() WHERE id = 55010;
EXECUTE prune_ticks \gset
SELECT assert.equal(:deleted::bigint, 10::bigint, 'up to the first young tick');
UPDATE relevo.tick SET at = clock_timestamp() - interval '2 min';
SELECT assert.run('ticker', 'BEGIN; DO $$ BEGIN PERFORM relevo.prune_ticks(); END $$') \g /dev/null
EXECUTE prune_ticks \gset
SELECT assert.equal(:deleted::bigint, 0::bigint, 'two do not prune at once');
SELECT assert.run('ticker', 'ROLLBACK') \g /dev/null
EXECUTE prune_ticks \gset
SELECT assert.equal(:deleted::bigint, 4990::bigint, 'a rolled-back call is made good');
UPDATE relevo.position SET a = 60001, b = 60001;
EXECUTE prune_ticks \gset
SELECT assert.equal(count(*), 1::bigint, 'the newest tick stays') FROM relevo.tick;
SELECT 'ok';
