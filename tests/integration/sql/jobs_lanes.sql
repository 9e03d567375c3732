-- Lanes: leases, the claim journal, ticks that see jobs and are kept for them.
\ir helpers/jobs.sql
SELECT assert.connect('other') \g /dev/null
SET lock_timeout = '5s';
CREATE FUNCTION lanes(statement text) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(r ->> 'lane', ',' ORDER BY (r ->> 'lane')::int) FROM rows_of(statement) r $$;
CREATE FUNCTION row_of(n int) RETURNS relevo.lane LANGUAGE sql AS 'SELECT p FROM relevo.lane p WHERE p.lane = n';

-- the number of lanes, before a worker took one
SELECT assert.that(count(*) = 16 AND bool_and(lanes = 16 AND expires = '-infinity' AND epoch = 0 AND cardinality(pos) = 15 AND open = '{}'), '16 lanes') FROM relevo.lane;
SELECT assert.fails(format('SELECT relevo.initialise_lanes(%s)', n), '22023', format('n: is %s; give 16', n)) FROM unnest(ARRAY['0', '3', '8', '32', '-8', 'NULL']) n;
-- a database that was given another number by hand is put right
DELETE FROM relevo.lane WHERE lane >= 4;
UPDATE relevo.lane SET lanes = 4;
SELECT relevo.start_operation('cancel', '{}') \g /dev/null
SELECT assert.equal(relevo.lane_of(7, 'x'), (hashtextextended('x', 0) & 3)::smallint, 'of four lanes');
SELECT relevo.initialise_lanes(16) \g /dev/null
SELECT assert.that(count(*) = 16 AND min(lanes) = 16 AND count(DISTINCT pos) = 1, 'more lanes, at the same position') FROM relevo.lane;
SELECT assert.that(NOT EXISTS (SELECT FROM relevo.job_signal) AND (SELECT bool_and(finished_at IS NOT NULL) FROM relevo.job_operation), 'wishes for other lanes are gone');
SELECT assert.equal(relevo.lane_of(7, 'x'), (hashtextextended('x', 0) & 15)::smallint, 'lane of a key');
SELECT assert.equal(relevo.lane_of(7, NULL), (hashtextextended('7', 0) & 15)::smallint, 'lane of an id');

-- take
SELECT assert.equal(lanes($$EXECUTE lane_take('A', '1 min', 100, 8)$$), NULL, 'another number of lanes takes nothing');
SELECT assert.equal(cardinality(string_to_array(lanes($$EXECUTE lane_take('A', '1 min', 3, 16)$$), ',')), 3, 'as many as asked for');
SELECT assert.equal(cardinality(string_to_array(lanes($$EXECUTE lane_take('A', '1 min', 100, 16)$$), ',')), 13, 'the rest');
SELECT assert.equal(lanes($$EXECUTE lane_take('B', '1 min', 100, 16)$$), NULL, 'B finds none free');
SELECT assert.that((row_of(3)).epoch = 1 AND (row_of(3)).ver = 1 AND (row_of(3)).holder = 'A', 'epoch and ver are raised');
BEGIN;
UPDATE relevo.lane SET lanes = 32 WHERE lane = 0;
SELECT assert.fails('SELECT relevo.initialise_lanes(16)', '55000', 'a worker has already taken a lane; the number of lanes stays 32');
ROLLBACK;
SELECT relevo.initialise_lanes(16) \g /dev/null
SELECT assert.that(r ->> 'pos_text' ~ '^\{1,1,0,-1,' AND (r ->> 'open_jobs')::int = 0 AND (r ->> 'held')::boolean AND r ->> 'holder' = 'A', 'lanes as shown') FROM rows_of('EXECUTE lanes') r WHERE r ->> 'lane' = '3';
-- renew, retake, release
SELECT assert.equal(lanes($$EXECUTE lane_renew('{0,1,2}', '{1,1,9}', 'A', '1 min')$$), '0,1', 'renewed by holder and epoch');
SELECT assert.equal(lanes($$EXECUTE lane_renew('{0,1}', '{1,1}', 'B', '1 min')$$), NULL, 'not by another holder');
SELECT assert.equal((row_of(0)).ver, 1::bigint, 'ver after a renewal');
UPDATE relevo.lane SET expires = clock_timestamp() - interval '1 s' WHERE lane IN (4, 5);
SELECT assert.equal(lanes($$EXECUTE lane_renew('{5}', '{1}', 'A', '1 min')$$), NULL, 'a lapsed lease is not renewed');
SELECT assert.equal(r ->> 'previous_holder', 'A', 'who takes over learns from whom') FROM rows_of($$EXECUTE lane_take('B', '1 min', 1, 16)$$) r;
SELECT lane AS b FROM relevo.lane WHERE holder = 'B' \gset
SELECT assert.equal(lanes($$EXECUTE lane_retake('A', '1 min', '{4,5}', '{1,1}')$$), (9 - :b)::text, 'the same process takes back what nobody else took, also late');
SELECT assert.that(epoch = 2 AND ver = 2 AND expires > clock_timestamp() AND holder = 'A', 'in a new epoch') FROM relevo.lane WHERE lane = 9 - :b;
SELECT assert.equal(lanes($$EXECUTE lane_retake('B', '1 min', '{0}', '{1}')$$), NULL, 'not another holder''s');
SELECT assert.equal(lanes($$EXECUTE lane_release('{0,1,2}', '{1,9,1}', '{1,1,7}')$$), '0', 'released by epoch and ver');
SELECT assert.that((row_of(0)).holder IS NULL AND (row_of(0)).expires = '-infinity' AND (row_of(0)).ver = 2, 'free at once');
SELECT assert.that(r ->> 'lane' = '0' AND r ->> 'previous_holder' IS NULL AND (r ->> 'epoch')::int = 2, 'the next finds it') FROM rows_of($$EXECUTE lane_take('B', '1 min', 100, 16)$$) r;
-- a lane being taken is skipped, not waited for
UPDATE relevo.lane SET expires = '-infinity' WHERE lane IN (6, 7);
SELECT assert.run('other', 'BEGIN'), assert.run('other', 'DO $$ BEGIN PERFORM 1 FROM relevo.lane WHERE lane = 6 FOR UPDATE; END $$') \g /dev/null
SELECT assert.equal(lanes($$EXECUTE lane_take('B', '1 min', 100, 16)$$), '7', 'take passes locked rows');
SELECT assert.run('other', 'COMMIT') \g /dev/null

-- next_tick: a lone job of each class, a late commit, also below xmax
EXECUTE next_tick \gset t0_
UPDATE relevo.tick SET at = clock_timestamp() + interval '1 h' WHERE id = :t0_id;   -- or a second may be over
EXECUTE next_tick \gset t1_
SELECT assert.equal(:t1_id::bigint, :t0_id::bigint, 'nothing new: the same tick');
INSERT INTO relevo.job (kind, priority) VALUES ('lo', -1);
EXECUTE next_tick \gset t1_
SELECT assert.equal(:t1_id::bigint, :t0_id::bigint + 1, 'a low job makes a tick');
UPDATE relevo.tick SET at = clock_timestamp() + interval '1 h' WHERE id = :t1_id;
EXECUTE next_tick \gset t2_
SELECT assert.equal(:t2_id::bigint, :t1_id::bigint, 'once');
SELECT assert.run('other', $$BEGIN; INSERT INTO relevo.job (kind, priority) VALUES ('late', 1)$$) \g /dev/null
INSERT INTO relevo.job (kind) VALUES ('no');
EXECUTE next_tick \gset t2_
SELECT assert.equal(:t2_id::bigint, :t1_id::bigint + 1, 'a normal job makes a tick');
UPDATE relevo.tick SET at = clock_timestamp() + interval '1 h' WHERE id = :t2_id;
EXECUTE next_tick \gset t3_
SELECT assert.equal(:t3_id::bigint, :t2_id::bigint, 'not yet committed: no tick');
SELECT assert.run('other', 'COMMIT') \g /dev/null
EXECUTE next_tick \gset t3_
SELECT assert.equal(:t3_id::bigint, :t2_id::bigint + 1, 'a late commit below xmax makes a tick');
UPDATE relevo.tick SET at = clock_timestamp() + interval '1 h' WHERE id = :t3_id;
UPDATE relevo.job SET run_at = now() WHERE kind = 'no';
EXECUTE next_tick \gset tick_
SELECT assert.equal(:tick_id::bigint, :t3_id::bigint + 1, 'a change of a job makes a tick');

-- the journal: two lanes in one write, one of them with a stale ver; a key whose row is locked; a tick of another history
DELETE FROM relevo.job;
UPDATE relevo.lane SET holder = 'A', expires = '-infinity', epoch = 0, ver = 0, pos = position_at(1, (SELECT fingerprint FROM relevo.tick WHERE id = 1))::bigint[];
SELECT assert.equal(cardinality(string_to_array(lanes($$EXECUTE lane_take('A', '1 h', 100, 16)$$), ',')), 16, 'all lanes');
SELECT position_at(:tick_id, :tick_fingerprint) AS pos, position_at(:tick_id, :tick_fingerprint + 1) AS bad, ((position_at(:tick_id, :tick_fingerprint)::bigint[])[1:14] || (:tick_fingerprint + 1))::text AS half \gset
SELECT relevo.enqueue('u1', unique_key => 'u1') AS u1, relevo.enqueue('u2', unique_key => 'u2') AS u2, relevo.enqueue('u3', unique_key => 'u3') AS u3 \gset
SELECT assert.equal(lanes(format($$EXECUTE lane_journal('{0}', '{1}', '{1}', '{"%s"}', '{"{}"}', '{"{}"}', '{[]}', '{0}', '{%s}', '{0}')$$, p, :u1)), NULL, 'a tick of another history in any class is refused')
FROM unnest(ARRAY[:'bad', :'half']) p;
SELECT assert.that((SELECT bool_and(ver = 1) FROM relevo.lane) AND (job(:u1)).state = 0, 'and marks nothing');
SELECT assert.run('other', format('BEGIN; UPDATE relevo.job SET tenant = NULL WHERE id = %s', :u3)) \g /dev/null
SELECT format($$EXECUTE lane_journal('{0,1}', '{1,1}', '{1,0}', '{"%1$s","%1$s"}', '{"{%2$s,%4$s}","{%3$s}"}', '{"{0,0}","{0}"}', ARRAY['[{"class": 1}]', '[]'], '{0,1,0}', '{%2$s,%3$s,%4$s}', '{0,0,0}')$$, :'pos', :u1, :u2, :u3) AS journal \gset
SELECT assert.equal(array_agg(r ->> 'lane' || ' ' || (r ->> 'marked_text')), ARRAY[format('0 {%s}', :u1)], 'one lane has won, one key is marked') FROM rows_of(:'journal') r;
SELECT assert.run('other', 'ROLLBACK') \g /dev/null
SELECT assert.equal(array_agg(state ORDER BY id), '{1,0,0}', 'marked only where the lane won and the row was free') FROM relevo.job;
SELECT assert.that(p.ver = 2 AND p.open = ARRAY[:u1, :u3]::bigint[] AND p.open_token = '{0,0}' AND p.pos = :'pos'::bigint[] AND p.revisit = '[{"class": 1}]', 'the whole state is written') FROM row_of(0) p;
SELECT assert.equal(lanes(:'journal'), NULL, 'the own delayed statement changes nothing');
SELECT assert.that(p.ver = 2 AND (job(:u2)).state = 0, 'nor marks') FROM row_of(0) p;
SELECT assert.that((SELECT p.xid FROM relevo.job p WHERE p.id = :u1) > (SELECT p.xid FROM relevo.job p WHERE p.id = :u2), 'a mark is a change');
SELECT assert.equal(array_agg(id), ARRAY[:u1, :u3]::bigint[], 'open jobs') FROM relevo.open_job WHERE holder = 'A' AND lane = 0;
SELECT assert.equal(array_agg(state ORDER BY id), '{running,available,available}', 'what runs: of unique jobs the marked') FROM relevo.jobs;
SELECT assert.fails(format('UPDATE relevo.lane SET %s WHERE lane = 2', change), '23514', c)
FROM (VALUES ($$open = '{1}'$$, 'lane_journal_has_ids_and_tokens'), ($$open = '{NULL}', open_token = '{1}'$$, 'lane_journal_has_ids_and_tokens'),
             ($$open = array_fill(1::bigint, ARRAY[513]), open_token = array_fill(1, ARRAY[513])$$, 'lane_journal_has_ids_and_tokens'), ($$pos = '{1}'$$, 'lane_has_a_position_per_class'),
             ('lanes = 3', 'lane_lanes_is_a_power_of_two'), ('lane = 16', 'lane_is_below_lanes')) v (change, c);
-- fence: held lanes only, and a take-over waits for it
SELECT assert.equal(lanes($$EXECUTE lane_fence('{0,1,2}', '{1,9,1}')$$), '0,2', 'fenced by epoch');
UPDATE relevo.lane SET expires = '-infinity' WHERE lane = 2;
BEGIN;
EXECUTE lane_fence('{2}', '{1}') \g /dev/null
SELECT assert.that(NOT EXISTS (SELECT FROM assert.dblink('other', $$SELECT 1 FROM relevo.lane WHERE lane = 2 FOR UPDATE SKIP LOCKED$$) t (x int)), 'a take-over passes a fenced lane');
COMMIT;

-- pruning keeps what a lane's slot needs
DELETE FROM relevo.job;
DELETE FROM relevo.tick WHERE id > 1;
UPDATE relevo.tick SET at = clock_timestamp() - interval '2 min';
INSERT INTO relevo.tick SELECT i, i, (SELECT snapshot FROM relevo.tick WHERE id = 1), clock_timestamp() - interval '2 min' FROM generate_series(2, 6000) i;
UPDATE relevo.position SET a = 6000, b = 6000;
UPDATE relevo.lane SET pos = position_at(6000, 6000)::bigint[];
UPDATE relevo.lane SET pos[11] = 200 WHERE lane = 5;
UPDATE relevo.lane SET pos[6] = 300 WHERE lane = 6;
EXECUTE prune_ticks \gset
SELECT assert.equal(min(id), 200::bigint, 'the third class of one lane holds ticks') FROM relevo.tick;
UPDATE relevo.lane SET pos[11] = 6000 WHERE lane = 5;
EXECUTE prune_ticks \gset
SELECT assert.equal(min(id), 300::bigint, 'the second class of another') FROM relevo.tick;
-- lanes that nobody has ever taken go along, while there is no job
UPDATE relevo.lane SET epoch = 0, pos = position_at(300, 300)::bigint[];
UPDATE relevo.lane SET epoch = 1 WHERE lane = 9;
EXECUTE prune_ticks \gset
SELECT assert.equal(:deleted::bigint, 0::bigint, 'a worker has taken a lane: all positions count');
UPDATE relevo.lane SET epoch = 0;
INSERT INTO relevo.job (kind) VALUES ('waits');
EXECUTE prune_ticks \gset
SELECT assert.equal(:deleted::bigint, 0::bigint, 'a job waits for its first worker');
DELETE FROM relevo.job;
EXECUTE prune_ticks \gset
SELECT assert.equal(count(*), 1::bigint, 'ticks where no worker is wanted') FROM relevo.tick;
SELECT assert.that(bool_and(pos = position_at(6000, 6000)::bigint[] AND epoch = 0), 'the lanes stand at the newest tick') FROM relevo.lane;
SELECT 'ok';
