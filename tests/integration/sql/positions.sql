-- Leases and positions: what fences whom. And the number of shards, the replicas.
SELECT assert.connect('other') \g /dev/null
CREATE FUNCTION shards(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  r record;
  a int[] := '{}';
BEGIN
  FOR r IN EXECUTE statement LOOP a := a || r.shard::int; END LOOP;
  RETURN (SELECT string_agg(x::text, ',' ORDER BY x) FROM unnest(a) x);
END $$;
CREATE FUNCTION row_of(n int) RETURNS relevo.position LANGUAGE sql AS 'SELECT p FROM relevo.position p WHERE p.shard = n';

-- the number of shards, before a relay took one
SELECT assert.fails(format('SELECT relevo.initialise_shards(%s)', n), '22023', 'must be a power of two from 1 to 256') FROM unnest(ARRAY['0', '3', '512', '-8', 'NULL']) n;
SELECT relevo.publish('order', '1', 'E', '1') \g /dev/null
SELECT relevo.initialise_shards(32) \g /dev/null
SELECT assert.that(count(*) = 32 AND min(shards) = 32 AND max(shards) = 32 AND max(a) = 1 AND max(b) = 1 AND min(last_id) = -1, 'more shards, at the first tick') FROM relevo.position;
SELECT relevo.initialise_shards(1) \g /dev/null
SELECT assert.that(count(*) = 1 AND min(shards) = 1, 'one shard') FROM relevo.position;
SELECT relevo.initialise_shards(8) \g /dev/null
SELECT assert.that(count(*) = 8 AND count(DISTINCT fingerprint) = 1, 'eight shards') FROM relevo.position;

-- take
SELECT assert.equal(shards($$EXECUTE take('A', '1 min', 100, 16)$$), NULL, 'another number of shards takes nothing');
SELECT assert.equal(shards($$EXECUTE take('A', '1 min', 100, 8)$$), '0,1,2,3,4,5,6,7', 'A takes all');
SELECT assert.equal(shards($$EXECUTE take('B', '1 min', 100, 8)$$), NULL, 'B finds none free');
SELECT assert.that((row_of(3)).epoch = 1 AND (row_of(3)).ver = 1 AND (row_of(3)).holder = 'A', 'epoch and ver are raised');
SELECT relevo.initialise_shards(8) \g /dev/null
SELECT assert.fails('SELECT relevo.initialise_shards(16)', '55000', 'a relay has already taken a shard; the number of shards stays 8');
SELECT assert.equal(count(*), 8::bigint, 'held') FROM shards('EXECUTE positions') s, regexp_split_to_table(s, ',');

-- save: whole position, compare-and-set on ver, only with a tick that exists here
EXECUTE next_tick \gset t_
SELECT format($$EXECUTE save('{2,3}', '{1,1}', '{1,1}', '{1,1}', '{%1$s,%1$s}', '{7,8}', '{%2$s,%2$s}')$$, :t_id, :t_fingerprint) AS save \gset
SELECT assert.equal(shards(replace(:'save', format('{%s,', :t_fingerprint), '{12345,')), '3', 'a tick with another fingerprint is refused');
SELECT assert.equal(shards(:'save'), '2', 'the second time only the shard not yet written');
SELECT assert.that((row_of(3)).ver = 2 AND (row_of(3)).a = 1 AND (row_of(3)).b = :t_id AND (row_of(3)).last_id = 8 AND (row_of(3)).fingerprint = :t_fingerprint, 'the position as saved');
SELECT assert.equal(shards(:'save'), NULL, 'the own delayed statement changes nothing');
SELECT assert.equal(shards(replace(replace(:'save', '{1,1}', '{9,9}'), '{2,3}', '{4,5}')), NULL, 'another epoch and ver change nothing');
SELECT assert.fails($$UPDATE relevo.position SET a = b + 1$$, '23514', 'position_window_is_ordered');

-- renew
SELECT assert.equal(shards($$EXECUTE renew('{0,1,2}', '{1,1,9}', 'A', '1 min')$$), '0,1', 'renewed by holder and epoch');
SELECT assert.equal(shards($$EXECUTE renew('{0,1}', '{1,1}', 'B', '1 min')$$), NULL, 'not by another holder');
SELECT assert.equal((row_of(0)).ver, 1::bigint, 'ver after a renewal');
-- release: at once free, and a late renewal does not revive it
SELECT assert.equal(shards($$EXECUTE release('{0,1}', '{1,7}', 'A')$$), '0', 'released by holder and epoch');
SELECT assert.equal(shards($$EXECUTE renew('{0}', '{1}', 'A', '1 min')$$), NULL, 'a late renewal of a released shard');
SELECT assert.equal(shards($$EXECUTE take('B', '1 min', 100, 8)$$), '0', 'the released shard is taken');
SELECT assert.equal(shards($$EXECUTE release('{0}', '{1}', 'A')$$), NULL, 'a late release by the old holder');
-- expired: a late renewal by the old holder fails, also before anybody took it
UPDATE relevo.position SET expires = clock_timestamp() - interval '1 s' WHERE shard = 5;
SELECT assert.equal(shards($$EXECUTE renew('{5}', '{1}', 'A', '1 min')$$), NULL, 'a lapsed lease is not renewed');
-- taken by another: the zombie cannot save
SELECT assert.equal(shards($$EXECUTE take('B', '1 min', 1, 8)$$), '5', 'the lapsed shard is taken, at most one asked for');
SELECT assert.equal(shards(format($$EXECUTE save('{5}', '{1}', '{%s}', '{1}', '{1}', '{-1}', '{%s}')$$, (row_of(5)).ver, (row_of(5)).fingerprint)), NULL, 'a zombie with the right ver and the old epoch');
-- a row being taken is skipped, not waited for
UPDATE relevo.position SET expires = '-infinity' WHERE shard IN (6, 7);
SELECT assert.run('other', 'BEGIN'), assert.run('other', 'DO $$ BEGIN PERFORM 1 FROM relevo.position WHERE shard = 6 FOR UPDATE; END $$') \g /dev/null
SET lock_timeout = '2s';
SELECT assert.equal(shards($$EXECUTE take('B', '1 min', 100, 8)$$), '7', 'take passes locked rows');
RESET lock_timeout;
SELECT assert.run('other', 'COMMIT') \g /dev/null

-- replicas
EXECUTE heartbeat('A', '1.0', 'host-a', 'relay', '10 s');
EXECUTE heartbeat('B', '1.0', 'host-b', 'relay', '10 s');
SELECT started_at AS a_started FROM relevo.replica WHERE id = 'A' \gset
EXECUTE heartbeat('A', '1.1', 'host-a', 'relay,worker', '10 s');
SELECT assert.that(version = '1.1' AND roles = 'relay,worker' AND started_at = :'a_started' AND seen_at > started_at, 'a second heartbeat') FROM relevo.replica WHERE id = 'A';
UPDATE relevo.replica SET seen_at = clock_timestamp() - interval '11 s' WHERE id = 'B';
EXECUTE replicas_alive('10 s', NULL) \gset r_
SELECT assert.equal(:'r_id'::text, 'A', 'the only one alive');
EXECUTE heartbeat('A', '1.1', 'host-a', 'relay', '10 s');
SELECT assert.equal(count(*), 2::bigint, 'a silent replica is remembered for a while') FROM relevo.replica;
UPDATE relevo.replica SET seen_at = clock_timestamp() - interval '101 s' WHERE id = 'B';
EXECUTE heartbeat('A', '1.1', 'host-a', 'relay', '10 s');
SELECT assert.equal(count(*), 1::bigint, 'and forgotten after ten leases') FROM relevo.replica;
EXECUTE replica_gone('A');
SELECT assert.equal(count(*), 0::bigint, 'replicas after a clean stop') FROM relevo.replica;
SELECT 'ok';
