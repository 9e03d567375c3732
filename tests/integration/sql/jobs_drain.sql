-- Whether anything is due, and what a drain tells at its end.
\ir helpers/jobs.sql
CREATE FUNCTION due(queues text[] DEFAULT '{}') RETURNS boolean LANGUAGE sql AS $$ SELECT (r ->> 'due')::boolean FROM rows_of(format('EXECUTE job_anything_due(%L)', queues)) r $$;
CREATE FUNCTION drained(since timestamptz, queues text[] DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_object_agg(e.key, e.value) FROM rows_of(format('EXECUTE job_drained(%L, %L)', since, queues)) r CROSS JOIN LATERAL jsonb_each(r) e WHERE e.key <> 'retry_at' AND e.value <> '0' $$;
CREATE FUNCTION failed(since timestamptz, queues text[] DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', r ->> 'kind', r ->> 'state', r ->> 'error'), ',') FROM rows_of(format('EXECUTE job_failed_since(%L, %L, 10)', since, queues)) r $$;
SELECT clock_timestamp() AS start \gset

-- nothing, later, dead
SELECT assert.equal(due(), false, 'an empty table');
SELECT relevo.enqueue('later', run_at => now() + interval '1 h'), relevo.enqueue('dead') \g /dev/null
UPDATE relevo.job SET state = 2, run_at = now(), error = 'why' WHERE kind = 'dead';
SELECT assert.equal(due(), false, 'what is later or dead is not due');

-- due, in which queue, behind which pause
SELECT relevo.enqueue('mail.send', queue => 'mail') \g /dev/null
SELECT assert.that(due() AND due('{mail}') AND due('{x,mail}') AND NOT due('{x}'), 'due in its queue');
SELECT relevo.pause('mail') \g /dev/null
SELECT assert.equal(due(), false, 'its queue is paused');
SELECT relevo.resume('mail'), relevo.pause(kind => 'mail.*') \g /dev/null
SELECT assert.equal(due(), false, 'its kind is paused');
SELECT relevo.resume(kind => 'mail.*'), relevo.pause('other'), relevo.pause('mail', 'mail.read') \g /dev/null
SELECT assert.equal(due(), true, 'other pauses');
SELECT relevo.pause() \g /dev/null
SELECT assert.equal(due(), false, 'everything is paused');
-- what runs is waited for all the same, also in the journal of a worker that is gone
SELECT claim(3, 'mail.send') \g /dev/null
SELECT assert.that(due() AND due('{mail}') AND NOT due('{x}'), 'it runs');
UPDATE relevo.job SET token = token + 1 WHERE kind = 'mail.send';
SELECT assert.equal(due(), false, 'another attempt of it ran');
SELECT relevo.resume() \g /dev/null
SELECT assert.equal(due(), true, 'it is due again');

-- the figures
SELECT relevo.pause('mail') \g /dev/null
SELECT relevo.enqueue('retry'), relevo.enqueue('quarantined', queue => 'q'), relevo.enqueue('before'), relevo.enqueue('cancelled', unique_key => 'u') \g /dev/null
UPDATE relevo.job SET attempts = 1, run_at = now() + interval '1 min', error = 'not now' WHERE kind = 'retry';
INSERT INTO relevo.job_attempt (job_id, attempt, outcome, error) SELECT id_of('retry'), 1, 'retry', 'not now';
UPDATE relevo.job SET state = 3, run_at = now(), error = 'crashed' WHERE kind = 'quarantined';
UPDATE relevo.job SET state = 2, run_at = now() - interval '1 h', error = 'long ago' WHERE kind = 'before';
SELECT relevo.cancel(unique_key => 'u') \g /dev/null
SELECT assert.equal(drained(:'start'), '{"due": 1, "dead": 1, "paused": 1, "cancelled": 1, "retryable": 1, "scheduled": 1, "quarantined": 1}', 'since the start');
SELECT assert.equal(drained(:'start', '{q}'), '{"quarantined": 1}', 'of one queue');
SELECT assert.equal(drained(clock_timestamp()), '{"due": 1, "paused": 1, "retryable": 1, "scheduled": 1}', 'nothing died since now');
SELECT assert.that((r ->> 'retry_at')::timestamptz > now(), 'the next retry') FROM rows_of('EXECUTE job_drained(now(), ''{}'')') r;
SELECT assert.equal(failed(:'start'), 'dead dead why,quarantined quarantined crashed,retry retryable not now', 'with their reasons, dead ones first');
SELECT assert.equal(failed(:'start', '{q}'), 'quarantined quarantined crashed', 'of one queue');
SELECT assert.equal(failed(clock_timestamp()), NULL, 'since now');
SELECT 'ok';
