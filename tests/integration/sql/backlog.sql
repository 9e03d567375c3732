-- The backlog: exact while small, an estimate that says so beyond.
SELECT assert.connect('writer') \g /dev/null
SELECT assert.publish('writer', 5, 'published') \g /dev/null
EXECUTE next_tick \gset a_
UPDATE relevo.position SET a = :a_id, b = :a_id, fingerprint = :a_fingerprint;
EXECUTE backlog \gset
SELECT assert.that(:events = 0 AND :'is_exact' AND NOT :{?oldest_created_at}, 'everything is published');

-- late, new and half-published windows are counted row by row
SELECT assert.run('writer', 'BEGIN'), assert.publish('writer', 40, 'late') \g /dev/null
SELECT relevo.publish('order', 'x', 'E', '1') \g /dev/null
UPDATE relevo.tick SET at = '-infinity';
EXECUTE next_tick \gset b_
UPDATE relevo.position SET b = :b_id, fingerprint = :b_fingerprint;
SELECT assert.run('writer', 'COMMIT') \g /dev/null
EXECUTE backlog \gset
SELECT assert.that(:events = 41 AND :'is_exact', 'late and new rows');
SELECT assert.equal(:'oldest_created_at'::timestamptz, min(created_at), 'the oldest') FROM relevo.outbox WHERE aggregate_id ~ 'late';
UPDATE relevo.position SET a = :b_id WHERE shard IN (1, 2);
EXECUTE backlog \gset
SELECT assert.equal(:events::bigint, count(*), 'shards at different ticks: late rows, and x unless its shard is ahead') FROM relevo.outbox o
WHERE o.aggregate_id ~ '^late' OR o.aggregate_id = 'x' AND hashtextextended(aggregate_id, 0) & 7 NOT IN (1, 2);
UPDATE relevo.position SET a = :a_id;
SELECT id AS x FROM relevo.outbox WHERE aggregate_id = 'x' \gset
UPDATE relevo.position SET last_id = :x;
EXECUTE backlog \gset
SELECT assert.equal(:events::bigint, 40::bigint, 'up to last_id inside the window');

-- 10,000 rows are counted, more are estimated
EXECUTE next_tick \gset b_
UPDATE relevo.position SET a = :b_id, b = :b_id, last_id = -1, fingerprint = :b_fingerprint;
SELECT assert.publish('writer', 10000) \g /dev/null
EXECUTE backlog \gset
SELECT assert.that(:events = 10000 AND :'is_exact', 'the largest exact backlog');
SELECT assert.publish('writer', 40000) \g /dev/null
EXECUTE backlog \gset
SELECT assert.that(:events = 50000 AND NOT :'is_exact', 'an estimate');
-- within a huge window the estimate follows last_id
EXECUTE next_tick \gset b_
UPDATE relevo.position SET b = :b_id, last_id = (SELECT max(id) - 20000 FROM relevo.outbox), fingerprint = :b_fingerprint;
EXECUTE backlog \gset
SELECT assert.that(:events = 20000 AND NOT :'is_exact', 'an estimate from last_id');
SELECT assert.equal(:'oldest_created_at'::timestamptz, created_at, 'the oldest of a half-published window') FROM relevo.outbox WHERE id = (SELECT max(id) - 19999 FROM relevo.outbox);
SELECT 'ok';
