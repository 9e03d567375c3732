-- Changing a job that waits: at once where the row decides, by the holder of its lane where that may have it in memory.
UPDATE relevo.lane SET holder = 'A', epoch = 1, expires = now() + '1 hour';

CREATE FUNCTION pg_temp.answer(id bigint, change jsonb) RETURNS text LANGUAGE sql AS $$ SELECT answer FROM relevo.edit_job(id, change) $$;
CREATE FUNCTION pg_temp.lanes(OUT ids smallint[], OUT epochs bigint[]) LANGUAGE sql AS $$ SELECT array_agg(lane ORDER BY lane), array_agg(1::bigint) FROM relevo.lane $$;
CREATE FUNCTION pg_temp.apply(signal bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT relevo.edit_waiting(l.ids, l.epochs, signal) FROM pg_temp.lanes() l $$;

-- a unique job is changed at once
SELECT relevo.enqueue('k', '{"a": 1}', unique_key => 'u', run_at => now() + '1 day') AS unique_job \gset
SELECT assert.equal(pg_temp.answer(:unique_job, '{"payload": null, "queue": "other", "priority": -3}'), 'edited', 'unique, waiting');
SELECT assert.equal((SELECT concat_ws(' ', payload, queue, priority, class, token, run_at > now() + '23 hours') FROM relevo.job WHERE id = :unique_job), 'null other -3 2 1 t', 'what is asked changes, the rest stays');
SELECT assert.equal(pg_temp.answer(:unique_job, '{"run_at": "2000-01-01T00:00:00Z"}'), 'edited', 'the past');
SELECT assert.equal((SELECT run_at BETWEEN now() - interval '1 minute' AND clock_timestamp() FROM relevo.job WHERE id = :unique_job), true, 'the past is now');
UPDATE relevo.job SET state = 1 WHERE id = :unique_job;
SELECT assert.equal(pg_temp.answer(:unique_job, '{"priority": 1}'), 'running', 'unique, running');
UPDATE relevo.job SET state = 2 WHERE id = :unique_job;
SELECT assert.equal(pg_temp.answer(:unique_job, '{"priority": 1}'), 'dead', 'dead');
SELECT assert.equal(pg_temp.answer(987654321, '{"priority": 1}'), 'not found', 'not there');

-- a row without key is left to the holder
SELECT relevo.enqueue('k', '{"a": 1}') AS plain \gset
SELECT assert.equal(pg_temp.answer(:plain, '{"payload": {"a": 2}, "priority": 5}'), 'requested', 'without key');
SELECT assert.equal((SELECT concat_ws(' ', payload, priority, token) FROM relevo.job WHERE id = :plain), '{"a": 1} 0 0', 'nothing has changed yet');
SELECT s.id AS signal, s.operation FROM relevo.job_signal s WHERE s.job_id = :plain \gset
SELECT assert.equal((SELECT lane FROM relevo.job_signal WHERE id = :signal), relevo.lane_of(:plain, NULL), 'asked of its lane');
-- a worker that has lost the lane changes nothing, and the wish stays
SELECT assert.equal(relevo.edit_waiting('{0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15}', array_fill(0::bigint, ARRAY[16]), :signal) IS NULL
                    AND EXISTS (SELECT FROM relevo.job_signal WHERE id = :signal), true, 'fenced');
SELECT assert.equal(pg_temp.apply(:signal), :plain::bigint, 'applied');
SELECT assert.equal((SELECT concat_ws(' ', payload, priority, class, token, run_at IS NULL) FROM relevo.job WHERE id = :plain), '{"a": 2} 5 0 1 t', 'applied');
SELECT assert.equal((SELECT concat_ws(' ', what, changed, lanes_left, finished_at IS NOT NULL, filter) FROM relevo.job_operation WHERE id = :operation),
                    format('edit 1 0 t {"job_id": %s}', :plain), 'the operation tells how it ended, and holds no payload');
SELECT assert.equal((SELECT count(*) FROM relevo.job_signal), 0::bigint, 'the wish is gone');
SELECT assert.equal(pg_temp.apply(:signal) IS NULL, true, 'twice');
SELECT assert.equal((SELECT token FROM relevo.job WHERE id = :plain), 1, 'applied once');

-- one that has been journalled meanwhile runs: it is left alone, and that is told
SELECT assert.equal(pg_temp.answer(:plain, '{"queue": "late"}'), 'requested', 'still waits');
UPDATE relevo.lane SET open = ARRAY[:plain], open_token = '{1}' WHERE lane = relevo.lane_of(:plain, NULL);
SELECT assert.equal(pg_temp.answer(:plain, '{"queue": "late"}'), 'running', 'journalled');
SELECT assert.equal((SELECT pg_temp.apply(id) IS NULL FROM relevo.job_signal), true, 'journalled by then');
SELECT assert.equal((SELECT queue FROM relevo.job WHERE id = :plain), 'default', 'left alone');
SELECT assert.equal((SELECT concat_ws(' ', changed, finished_at IS NOT NULL) FROM relevo.job_operation ORDER BY id DESC LIMIT 1), '0 t', 'told');
-- an entry of the journal with an older token is no run
UPDATE relevo.job SET token = token + 1 WHERE id = :plain;
SELECT assert.equal(pg_temp.answer(:plain, '{"queue": "late"}'), 'requested', 'waits again');
DELETE FROM relevo.job WHERE id = :plain;
SELECT assert.equal((SELECT pg_temp.apply(id) IS NULL FROM relevo.job_signal), true, 'gone by then');
SELECT assert.equal((SELECT count(*) FROM relevo.job_signal), 0::bigint, 'gone by then');

-- what is no change is refused, by the name of the member, and no payload is quoted
SELECT relevo.enqueue('k', '{"a": 1}') AS plain \gset
SELECT assert.fails(format('SELECT relevo.edit_job(%s, %L)', :plain, c.change), '22023', c.problem) FROM (VALUES
  ('{}', 'is empty'), ('[]', 'a JSON array'), (NULL, 'is NULL'), ('{"kind": "x"}', '"kind": cannot be changed'), ('{"priority": 1.5}', 'priority: '),
  ('{"priority": "1"}', 'priority: is a JSON string'), ('{"priority": null}', 'priority: is a JSON null'), ('{"queue": ""}', 'queue: is empty'),
  ('{"queue": 1}', 'queue: is a JSON number'), ('{"run_at": "soon"}', 'run_at: '), ('{"run_at": "infinity"}', 'run_at: is infinity')) c (change, problem);
SELECT assert.equal((SELECT count(*) FROM relevo.job_signal), 0::bigint, 'nothing was asked');
SELECT 'ok';
