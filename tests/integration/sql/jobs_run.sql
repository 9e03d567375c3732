-- How an attempt ends: finished, failed, crashed; history, what is owed, holds.
\ir helpers/jobs.sql
SELECT assert.connect('other') \g /dev/null
SET lock_timeout = '5s';

-- the plain finish: id and token
INSERT INTO relevo.job (kind) VALUES ('a'), ('b'), ('c');
UPDATE relevo.job SET token = 3 WHERE kind = 'b';
SELECT id_of('a') AS a, id_of('b') AS b \gset
SELECT assert.equal(ids(format($$EXECUTE job_finish('{%s,%s,999999}', '{0,2,0}')$$, :a, :b)), ARRAY[:a]::bigint[], 'finished: id and token match');
SELECT assert.equal(array_agg(kind ORDER BY kind), '{b,c}', 'left') FROM relevo.job;
SELECT relevo.enqueue_batch('[{"kind": "of batch"}]', '{"kind": "then"}') \g /dev/null
INSERT INTO relevo.job (kind, unique_key, state, again) VALUES ('owed', 'o', 1, true);
SELECT assert.equal(ids(format($$EXECUTE job_finish('{%s,%s}', '{0,0}')$$, id_of('of batch'), id_of('owed'))), '{}', 'what it cannot do is refused, not lost');
SELECT assert.equal(ids(format($$EXECUTE job_still(%L, '{3,0,1,0}')$$, ids_of('b,c,of batch,owed'))), ids_of('b,c,owed'), 'still there unchanged');
-- it waits for a row that somebody changes, and then refuses
SELECT assert.run('other', format('BEGIN; UPDATE relevo.job SET token = token + 1 WHERE id = %s', id_of('c'))) \g /dev/null
SET lock_timeout = '50ms';
SELECT assert.fails(format($$EXECUTE job_finish('{%s}', '{0}')$$, id_of('c')), '55P03', 'lock timeout');
SET lock_timeout = '5s';
SELECT assert.equal(ids(format($$EXECUTE job_finish_full('{%s,%s}', '{0,3}', '{completed,completed}', '{NULL,NULL}', '{NULL,NULL}', 'w', '{1,1}', '{1,1}', '{NULL,NULL}')$$, id_of('c'), id_of('b'))), ARRAY[:b]::bigint[], 'the full finish waits for nobody');
SELECT assert.run('other', 'ROLLBACK') \g /dev/null

-- the full finish: history
DELETE FROM relevo.job; DELETE FROM relevo.job_history;
SELECT relevo.enqueue('done', '{"p": 1}', 'q', priority => 2, concurrency_key => 'c', tenant => 't'), relevo.enqueue('given up', '{"p": 2}'), relevo.enqueue('quiet') \g /dev/null
UPDATE relevo.job SET attempts = 3, crashes = 1, error = 'before' WHERE kind = 'done';
SELECT ids_of('done,given up,quiet') AS three \gset
SELECT assert.equal(ids(format($$EXECUTE job_finish_full(%L, '{0,0,0}', '{completed,cancelled,NULL}', '{"{\"r\": 1}",NULL,NULL}', '{NULL,expired,NULL}', 'w1', '{1500,0,0}', '{250,NULL,1}', '{60000,60000,NULL}')$$, :'three')), :'three'::bigint[], 'all three');
SELECT assert.that(NOT EXISTS (SELECT FROM relevo.job) AND (SELECT count(*) FROM relevo.job_history) = 2, 'gone, two lines of history');
SELECT assert.that(count(*) = 1 AND bool_and(h.outcome = 'completed' AND h.queue = 'q' AND h.priority = 2 AND h.concurrency_key = 'c' AND h.tenant = 't' AND h.attempts = 4 AND h.crashes = 1 AND h.waited = '1.5 s'
  AND h.ran = '0.25 s' AND h.worker = 'w1' AND h.error IS NULL AND h.result = '{"r": 1}' AND h.payload IS NULL), 'completed') FROM relevo.job_history h WHERE h.kind = 'done';
SELECT assert.that(count(*) = 1 AND bool_and(h.outcome = 'cancelled' AND h.error = 'expired' AND h.attempts = 0 AND h.payload = '{"p": 2}'), 'not completed: with payload') FROM relevo.job_history h WHERE h.kind = 'given up';
SELECT assert.that(NOT EXISTS (SELECT FROM relevo.unique_hold), 'no hold without a unique key');
SELECT assert.that(count(*) = 1 AND bool_and(v.state = 'completed' AND v.finished IS NOT NULL AND v.ran = '0.25 s' AND v.result = '{"r": 1}'), 'the view') FROM relevo.jobs v WHERE v.kind = 'done';

-- unique keys: holds, and what is owed
SELECT relevo.enqueue('u1', unique_key => 'u1') AS u1, relevo.enqueue('u2', '{"v": 1}', unique_key => 'u2') AS u2, relevo.enqueue('u3', unique_key => 'u3') AS u3, relevo.enqueue('u4', unique_key => 'u4') AS u4 \gset
UPDATE relevo.job SET state = 1;
UPDATE relevo.job SET attempts = 2, crashes = 1, error = 'e' WHERE kind = 'u2';
INSERT INTO relevo.unique_hold VALUES ('u1', 1, '2000-01-01');
SELECT relevo.enqueue('u2', '{"v": 2}', unique_key => 'u2', on_conflict => 'replace') \g /dev/null
CREATE TABLE u AS SELECT id, kind FROM relevo.job;
SELECT assert.equal((SELECT jsonb_object_agg(j.kind, r -> 'again') FROM rows_of(format($$EXECUTE job_finish_full('{%s,%s,%s,%s}', '{0,0,0,0}', '{completed,completed,completed,cancelled}', '{NULL,NULL,NULL,NULL}', '{NULL,NULL,NULL,NULL}', 'w', '{0,0,0,0}', '{0,0,0,0}', '{60000,60000,NULL,60000}')$$, :u1, :u2, :u3, :u4)) r JOIN u j ON j.id = (r ->> 'id')::bigint),
  '{"u1": false, "u2": true, "u3": false, "u4": false}', 'finished');
SELECT assert.that(j.state = 0 AND NOT j.again AND j.token = 1 AND j.attempts = 0 AND j.crashes = 0 AND j.error IS NULL AND j.run_at <= clock_timestamp() AND j.payload = '{"v": 2}', 'what is owed is a fresh waiting job') FROM job(:u2) j;
SELECT assert.equal(jsonb_object_agg(unique_key, job_id), jsonb_build_object('u1', :u1), 'held: completed, asked for, nothing owed') FROM relevo.unique_hold;
SELECT assert.that(until BETWEEN clock_timestamp() + interval '50 s' AND clock_timestamp() + interval '60 s', 'for as long as asked') FROM relevo.unique_hold;
SELECT assert.equal(relevo.enqueue('u1', unique_key => 'u1'), :u1::bigint, 'enqueue gives the held one');
UPDATE relevo.job SET state = 1, again = true, run_at = now() + interval '1 h', token = 5 WHERE id = :u2;
SELECT assert.equal(ids(format($$EXECUTE job_finish_full('{%s}', '{5}', '{NULL}', '{NULL}', '{NULL}', 'w', '{0}', '{0}', '{NULL}')$$, :u2)), ARRAY[:u2]::bigint[], 'without history');
-- nor does a kind without history lose its hold
INSERT INTO relevo.job (kind, unique_key, state) VALUES ('unseen', 'u9', 1);
SELECT assert.equal(cardinality(ids(format($$EXECUTE job_finish_full('{%s}', '{0}', '{NULL}', '{NULL}', '{NULL}', 'w', '{0}', '{0}', '{60000}')$$, id_of('unseen')))), 1, 'finished without history');
SELECT assert.that(EXISTS (SELECT FROM relevo.unique_hold WHERE unique_key = 'u9'), 'held all the same');
DELETE FROM relevo.unique_hold WHERE unique_key = 'u9';
SELECT assert.that((job(:u2)).run_at > now() + interval '59 min' AND (job(:u2)).token = 6, 'what is owed keeps its later time');

-- failing: retry, snooze, dead, quarantined
DELETE FROM relevo.job; DELETE FROM relevo.job_attempt;
INSERT INTO relevo.job (kind) VALUES ('retry'), ('snooze'), ('xdead'), ('xquarantined');
SELECT ids_of('retry,snooze,xdead,xquarantined') AS four \gset
SELECT assert.equal(array_agg((r ->> 'state')::int ORDER BY (r ->> 'id')::bigint), '{0,0,2,3}', 'states')
FROM rows_of(format($$EXECUTE job_fail(%L, '{0,0,0,0}', '{1,0,5,1}', '{5000,604800000,0,0}', '{0,0,2,3}', '{boom,NULL,no,bad}', 'w1', '{10,20,30,40}')$$, :'four')) r;
SELECT assert.that(bool_and(token = 1), 'tokens are raised') FROM relevo.job;
SELECT assert.that(j.attempts = 1 AND j.error = 'boom' AND j.run_at BETWEEN clock_timestamp() + interval '3 s' AND clock_timestamp() + interval '5 s', 'retry') FROM job(id_of('retry')) j;
SELECT assert.that(j.attempts = 0 AND j.error IS NULL AND j.run_at > clock_timestamp() + interval '6 days 23 h', 'snooze') FROM job(id_of('snooze')) j;
SELECT assert.that(j.attempts = 5 AND j.error = 'no' AND j.run_at <= clock_timestamp(), 'dead, with its time of death') FROM job(id_of('xdead')) j;
SELECT assert.equal(array_agg(outcome || ' ' || attempt || ' ' || worker || ' ' || ran || ' ' || error ORDER BY job_id), '{retry 1 w1 00:00:00.01 boom,dead 5 w1 00:00:00.03 no,quarantined 1 w1 00:00:00.04 bad}', 'attempts, but for the snooze') FROM relevo.job_attempt;
SELECT assert.equal(jsonb_path_query_array(v.errors, '$[*].error')::text || jsonb_path_query_array(v.errors, '$[*].attempt')::text, '["boom"][1]', 'the view: what went wrong') FROM relevo.jobs v WHERE v.id = id_of('retry');
SELECT assert.that(v.errors IS NULL, 'the view: a snooze is no error') FROM relevo.jobs v WHERE v.id = id_of('snooze');
SELECT assert.equal(array_agg(state ORDER BY kind), '{retryable,scheduled,dead,quarantined}', 'the view') FROM relevo.jobs WHERE finished IS NULL;
SELECT assert.equal(ids(format($$EXECUTE job_fail(%L, '{0,0,0,0}', '{1,0,5,1}', '{0,0,0,0}', '{0,0,2,3}', '{boom,NULL,no,bad}', 'w1', '{1,1,1,1}')$$, :'four')), '{}', 'a result that comes late is refused');
-- what is owed is never buried
INSERT INTO relevo.job (kind, unique_key, state, again, run_at, attempts, crashes) VALUES ('owed', 'o', 1, true, now() + interval '1 h', 3, 1), ('owed now', 'p', 1, true, NULL, 3, 1);
SELECT assert.equal(array_agg((r ->> 'state')::int), '{0,0}', 'dying with a run owed') FROM rows_of(format($$EXECUTE job_fail(%L, '{0,0}', '{7,7}', '{604800000,604800000}', '{2,3}', '{boom,boom}', 'w1', '{1,1}')$$, ids_of('owed,owed now'))) r;
SELECT assert.that(bool_and(state = 0 AND NOT again AND token = 1 AND attempts = 0 AND crashes = 0 AND error IS NULL), 'fresh waiting jobs') FROM relevo.job WHERE kind ~ 'owed';
SELECT assert.that((job(id_of('owed'))).run_at > now() + interval '59 min' AND (job(id_of('owed now'))).run_at <= clock_timestamp(), 'each at its own time');
SELECT assert.equal(count(*), 2::bigint, 'the attempts are told') FROM relevo.job_attempt WHERE job_id = ANY (ids_of('owed,owed now')) AND attempt = 7;
-- a locked row is left for later
SELECT assert.run('other', format('BEGIN; UPDATE relevo.job SET tenant = NULL WHERE id = %s', id_of('retry'))) \g /dev/null
SELECT assert.equal(ids(format($$EXECUTE job_fail('{%s,%s}', '{1,1}', '{2,1}', '{0,0}', '{0,0}', '{e,e}', 'w', '{1,1}')$$, id_of('retry'), id_of('snooze'))), ids_of('snooze'), 'it waits for nobody');
SELECT assert.run('other', 'ROLLBACK') \g /dev/null

-- the child of a suspect died
DELETE FROM relevo.job; DELETE FROM relevo.job_attempt;
INSERT INTO relevo.job (kind, crashes, attempts, unique_key, state, again) VALUES ('a first', 0, 2, NULL, 0, false), ('b last', 2, 1, NULL, 0, false), ('c owed', 5, 1, 'c', 1, true), ('d unique', 1, 0, 'd', 1, false);
SELECT array_agg(id ORDER BY kind) AS four FROM relevo.job \gset
SELECT assert.equal(array_agg((r ->> 'state')::int ORDER BY (r ->> 'id')::bigint), '{0,3,0,0}', 'states') FROM rows_of(format($$EXECUTE job_crashed(%L, '{0,0,0,0}', 3, '{60000,60000,60000,60000}', '{killed,killed,killed,killed}', 'w1', '{5,5,5,5}')$$, :'four')) r;
SELECT assert.equal(array_agg(crashes ORDER BY kind), '{1,3,2,2}', 'counted; what is owed stays a suspect') FROM relevo.job;
SELECT assert.equal(array_agg(attempts ORDER BY kind), '{2,1,0,0}', 'attempts') FROM relevo.job;
SELECT assert.that(bool_and(token = 1 AND NOT again), 'tokens') FROM relevo.job;
SELECT assert.that((job(id_of('a first'))).run_at > clock_timestamp() + interval '50 s' AND (job(id_of('c owed'))).run_at <= clock_timestamp() AND (job(id_of('a first'))).error = 'killed' AND (job(id_of('c owed'))).error IS NULL, 'when and why');
SELECT assert.equal(array_agg(outcome || ' ' || attempt || ' ' || worker ORDER BY job_id), '{crash 3 w1,crash 4 w1,crash 7 w1,crash 2 w1}', 'attempts') FROM relevo.job_attempt;
SELECT assert.equal(ids(format($$EXECUTE job_crashed(%L, '{0,0,0,0}', 3, '{0,0,0,0}', '{k,k,k,k}', 'w1', '{5,5,5,5}')$$, :'four')), '{}', 'a second report changes nothing');
SELECT 'ok';
