-- Batches: whoever ends the last job enqueues the follow-up; each job counts once.
\ir helpers/jobs.sql
SELECT assert.connect('other') \g /dev/null
SET lock_timeout = '5s';
CREATE FUNCTION left_of(batch bigint) RETURNS int LANGUAGE sql AS $$ SELECT b.remaining FROM relevo.job_batch b WHERE b.id = batch $$;

SELECT assert.fails(format('SELECT relevo.enqueue_batch(%L, %L)', jobs, follow_up), state, 'relevo.enqueue_batch: ' || message)
FROM (VALUES ('[{"kind": "k"}]', NULL, '22023', 'follow_up: is NULL; give a job, or an array of jobs'),
             ('[{"kind": "k"}]', '7', '22023', 'follow_up: is a JSON number; give an object'),
             ('[{"kind": "k"}]', '{"kind": ""}', '22023', 'follow_up: kind: is empty'),
             ('[{"kind": "k"}]', '[{"kind": "k"}, {"kind": "k", "timeout": "2 days"}]', '22023', 'follow_up: timeout: must be above 0'),
             (NULL, '{"kind": "k"}', '22023', 'jobs: is NULL; give an array'),
             ('[{"kind": "k"}, {"kind": ""}]', '{"kind": "k"}', '22023', 'element 2: kind: is empty'),
             ('[{"kind": "k"}, {"kind": "k", "unique_key": "u"}]', '{"kind": "k"}', '0A000', 'element 2: unique_key: jobs of a batch have none')) v (jobs, follow_up, state, message);
SELECT assert.that((SELECT count(*) FROM relevo.job) + (SELECT count(*) FROM relevo.job_batch) = 0, 'refusals leave nothing');

-- without jobs: at once
SELECT relevo.enqueue_batch('[]', '{"kind": "then", "payload": {"of": "none"}}') AS b \gset
SELECT assert.that(count(*) = 1 AND bool_and(kind = 'then' AND payload = '{"of": "none"}' AND batch IS NULL) AND NOT EXISTS (SELECT FROM relevo.job_batch), 'no jobs') FROM relevo.job;
DELETE FROM relevo.job;

-- every way to end counts, once
SELECT relevo.enqueue_batch('[{"kind": "completes"}, {"kind": "dies"}, {"kind": "quarantined"}, {"kind": "cancelled"}, {"kind": "crashes"}, {"kind": "lost"}, {"kind": "swept away"}, {"kind": "last"}]',
  '[{"kind": "then", "queue": "q"}, {"kind": "and"}]') AS b \gset
SELECT assert.that(remaining = 8 AND total = 8, 'eight jobs') FROM relevo.job_batch WHERE id = :b;
SELECT assert.that(bool_and(batch = :b) AND (SELECT bool_and(v.batch = :b) FROM relevo.jobs v), 'their batch') FROM relevo.job;
EXECUTE lane_take('w', '1 h', 16, 16) \g /dev/null
SELECT array_agg(lane ORDER BY lane) AS lanes, array_agg(epoch ORDER BY lane) AS epochs FROM relevo.lane \gset
SELECT assert.equal(cardinality(ids(format($$EXECUTE job_fail('{%s,%s}', '{0,0}', '{1,1}', '{0,0}', '{0,0}', '{no,NULL}', 'w', '{1,1}')$$, id_of('dies'), id_of('completes')))), 2, 'a retry and a snooze');
SELECT assert.equal(left_of(:b), 8, 'are no end');
SELECT id_of('dies') AS dies \gset
SELECT assert.equal(cardinality(ids(format($$EXECUTE job_finish_full('{%s}', '{1}', '{completed}', '{NULL}', '{NULL}', 'w', '{1}', '{1}', '{NULL}')$$, id_of('completes')))), 1, 'completed');
SELECT assert.equal(left_of(:b), 7, 'left');
SELECT assert.equal(cardinality(ids(format($$EXECUTE job_fail('{%s,%s}', '{1,0}', '{1,1}', '{0,0}', '{2,3}', '{no,no}', 'w', '{1,1}')$$, :dies, id_of('quarantined')))), 2, 'dead and quarantined by the worker');
SELECT assert.equal(left_of(:b), 5, 'two at once');
SELECT assert.that(batch IS NULL, kind || ' counts no more') FROM relevo.job WHERE kind IN ('dies', 'quarantined');
SELECT assert.equal((SELECT count(*) FROM relevo.redrive(ids_of('dies,quarantined'))), 1::bigint, 'redriven');
SELECT assert.equal(cardinality(ids(format($$EXECUTE job_finish('{%s}', '{3}')$$, :dies))), 1, 'and finished');
SELECT relevo.discard(ids_of('quarantined')) \g /dev/null
SELECT assert.equal(left_of(:b), 5, 'once is once');
SELECT assert.equal(cardinality(ids(format($$EXECUTE job_cancel_waiting(%L, %L, '{%s}', '{0}', 'no')$$, :'lanes', :'epochs', id_of('cancelled')))), 1, 'cancelled');
SELECT assert.equal(left_of(:b), 4, 'left');
SELECT assert.equal(batch, :b::bigint, 'the history knows the batch') FROM relevo.job_history WHERE kind = 'cancelled';
SELECT assert.equal(cardinality(ids(format($$EXECUTE job_crashed('{%s,%s}', '{0,0}', 1, '{0,0}', '{no,no}', 'w', '{1,1}')$$, id_of('crashes'), 999999))), 1, 'quarantined by a dead child');
SELECT assert.equal(left_of(:b), 3, 'left');
SELECT claim(3, 'lost') \g /dev/null
SELECT ver AS v FROM relevo.settle(3::smallint, 1, 1, true, 1, '1 s', 'w') \gset
SELECT assert.that(left_of(:b) = 2 AND (job(id_of('lost'))).state = 3 AND (job(id_of('lost'))).batch IS NULL, 'quarantined by settle()');
SELECT relevo.start_operation('cancel', '{"kind": "swept*"}') AS op \gset
SELECT assert.equal(sum(cardinality((r ->> 'changed_text')::bigint[])), 1::bigint, 'cancelled by an operation') FROM generate_series(0, 15) l CROSS JOIN LATERAL rows_of(format($$EXECUTE job_apply_operation(%s, '{%s}', '{1}', 0, 1000, '{}')$$, :op, l)) r;
SELECT assert.that(left_of(:b) = 1 AND NOT EXISTS (SELECT FROM relevo.job WHERE kind = 'then'), 'one left');
SELECT assert.equal(cardinality(ids(format($$EXECUTE job_finish_full('{%s}', '{0}', '{NULL}', '{NULL}', '{NULL}', 'w', '{1}', '{1}', '{NULL}')$$, id_of('last')))), 1, 'the last');
SELECT assert.that(left_of(:b) IS NULL AND (SELECT string_agg(kind || ' ' || queue, ',' ORDER BY id) FROM relevo.job WHERE kind IN ('then', 'and')) = 'then q,and default', 'the follow-up');

-- several batches in one statement; a crash that is no end; a bulk of one batch
DELETE FROM relevo.job;
SELECT relevo.enqueue_batch(jsonb_agg(jsonb_build_object('kind', 'j', 'payload', i)), '{"kind": "then"}') AS b FROM generate_series(1, 700) i \gset
SELECT relevo.enqueue_batch('[{"kind": "j"}, {"kind": "k"}]', '{"kind": "then"}') AS c \gset
SELECT array_agg(id) AS ids, array_fill(0, ARRAY[701]) AS tokens, array_fill(NULL::text, ARRAY[701]) AS none, array_fill(NULL::bigint, ARRAY[701]) AS zero FROM relevo.job WHERE kind = 'j' \gset
SELECT assert.equal(cardinality(ids(format('EXECUTE job_finish_full(%L, %L, %L, %L, %L, ''w'', %L, %L, %L)', :'ids', :'tokens', :'none', :'none', :'none', :'zero', :'zero', :'zero'))), 701, 'all');
SELECT assert.that(left_of(:b) IS NULL AND left_of(:c) = 1 AND (SELECT count(*) FROM relevo.job WHERE kind = 'then') = 1, 'one batch has ended');
SELECT assert.equal(cardinality(ids(format($$EXECUTE job_crashed('{%s}', '{0}', 3, '{0}', '{no}', 'w', '{1}')$$, id_of('k')))), 1, 'a first crash');
SELECT assert.equal(left_of(:c), 1, 'is no end');

-- two end jobs of the same batch at once: the second waits, and ends the batch
SELECT relevo.enqueue_batch('[{"kind": "x"}, {"kind": "y"}]', '{"kind": "both"}') AS d \gset
SELECT assert.run('other', 'BEGIN'), assert.run('other', format('DO $d$ BEGIN PERFORM relevo.remove_jobs(ARRAY[%s], false, ''cancelled'', NULL); END $d$', id_of('x'))) \g /dev/null
SET lock_timeout = '100ms';
SELECT assert.fails(format($$SELECT relevo.remove_jobs(ARRAY[%s], false, 'cancelled', NULL)$$, id_of('y')), '55P03', 'lock timeout');
SELECT assert.run('other', 'COMMIT') \g /dev/null
SET lock_timeout = '5s';
SELECT assert.that(left_of(:d) = 1 AND NOT EXISTS (SELECT FROM relevo.job WHERE kind = 'both'), 'one of two');
SELECT relevo.remove_jobs(ARRAY[id_of('y')], false, 'cancelled', NULL) \g /dev/null
SELECT assert.that(left_of(:d) IS NULL AND (SELECT count(*) FROM relevo.job WHERE kind = 'both') = 1, 'both');
-- rolled back: not counted
SELECT relevo.enqueue_batch('[{"kind": "z"}]', '{"kind": "zz"}') AS e \gset
BEGIN;
SELECT relevo.remove_jobs(ARRAY[id_of('z')], false, 'cancelled', NULL) \g /dev/null
ROLLBACK;
SELECT assert.that(left_of(:e) = 1 AND NOT EXISTS (SELECT FROM relevo.job WHERE kind = 'zz'), 'a rolled-back end');
SELECT 'ok';
