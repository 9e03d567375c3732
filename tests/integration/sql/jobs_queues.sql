-- Pauses, limits, rates, weights, figures and lists for people, and what keeps the tables small.
\ir helpers/jobs.sql
SELECT assert.connect('other') \g /dev/null
SET lock_timeout = '5s';
CREATE FUNCTION states() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', r ->> 'queue', r ->> 'kind', CASE WHEN (r ->> 'paused')::boolean THEN 'paused' END, r ->> 'concurrency'), ',' ORDER BY r ->> 'queue', r ->> 'kind') FROM rows_of('EXECUTE queue_states') r $$;

-- pause and resume
SELECT relevo.pause(), relevo.pause('q'), relevo.pause('q', 'k'), relevo.pause(kind => 'k'), relevo.pause('q') \g /dev/null
SELECT assert.equal(states(), '* * paused,* k paused,q * paused,q k paused', 'paused');
SELECT relevo.resume(), relevo.resume('q') , relevo.resume('other') \g /dev/null
SELECT assert.equal(states(), '* k paused,q k paused', 'a resume takes back the same pause');
SELECT relevo.resume(kind => 'k'), relevo.resume('q', 'k') \g /dev/null
SELECT relevo.set_queue_concurrency('q', 3), relevo.pause('q') \g /dev/null
SELECT assert.equal(states(), 'q * paused 3', 'both');
SELECT relevo.set_queue_concurrency('q', NULL), relevo.set_queue_concurrency('r', 1) \g /dev/null
SELECT assert.equal(states(), 'q * paused,r * 1', 'no limit');
SELECT relevo.resume('q'), relevo.set_queue_concurrency('r', NULL) \g /dev/null
SELECT assert.equal(states(), NULL, 'rows that say nothing are gone');
SELECT relevo.set_tenant_weight('t', 5), relevo.set_tenant_weight('t', 7), relevo.set_tenant_weight('s', 2), relevo.set_tenant_weight('s', NULL) \g /dev/null
SELECT assert.equal(string_agg(r ->> 'tenant' || (r ->> 'weight'), ','), 't7', 'weights') FROM rows_of('EXECUTE tenant_weights') r;
SELECT assert.fails('SELECT relevo.' || call, '22023', 'relevo.' || message)
FROM (VALUES ('pause(NULL)', 'pause: queue: is NULL; give 1 to 255 bytes'), ($$pause('')$$, 'pause: queue: is empty'), ($$pause('mail*')$$, 'pause: queue: is ''mail*''; give the whole name of a queue, or * for all queues'), ($$pause('**')$$, 'pause: queue: is ''**'''), ($$resume('q', E'\n')$$, 'resume: kind: holds a control character'),
  ($$set_queue_concurrency('q', 0)$$, 'set_queue_concurrency: n: is 0; give at least 1, or NULL for no limit'), ($$set_queue_concurrency(NULL, 1)$$, 'set_queue_concurrency: queue: is NULL'),
  ($$set_rate('k', 0, 1)$$, 'set_rate: per_second: is 0; give a number above 0'), ($$set_rate('k', 'NaN', 1)$$, 'set_rate: per_second: is NaN'), ($$set_rate('k', 1, 0.5)$$, 'set_rate: burst: is 0.5; give a number from 1 on'),
  ($$set_rate('k', 1, NULL)$$, 'set_rate: burst: is NULL'), ($$set_rate(repeat('x', 1025), 1, 1)$$, 'set_rate: key: has 1025 bytes; give at most 1024'),
  ($$set_tenant_weight('t', 0)$$, 'set_tenant_weight: weight: is 0; give at least 1'), ($$set_tenant_weight('', 1)$$, 'set_tenant_weight: tenant: is empty')) v (call, message);

-- tokens
CREATE FUNCTION take(keys text[], wanted int[]) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_object_agg(r ->> 'key', r - 'key') FROM rows_of(format('EXECUTE take_tokens(%L, %L)', keys, wanted)) r $$;
SELECT relevo.set_rate('r', 0.01, 5), relevo.set_rate('s', 1000, 100) \g /dev/null
SELECT assert.equal(take('{r,none}', '{3,1}'), '{"r": {"granted": 3, "wait_ms": 0}, "none": {"granted": null, "wait_ms": 0}}', 'three; no such bucket');
SELECT assert.that((t -> 'r' ->> 'granted')::int = 2 AND (t -> 'r' ->> 'wait_ms')::int BETWEEN 1 AND 100000 AND (t -> 's' ->> 'granted')::int = 7, 'the rest, and when to ask again') FROM (SELECT take('{s,r}', '{7,9}') AS t) x;
SELECT assert.equal(take('{r}', '{-2}') -> 'r' ->> 'granted', '-2', 'given back');
SELECT assert.equal(take('{r}', '{2}') -> 'r' ->> 'granted', '2', 'and taken');
SELECT relevo.set_rate('r', 10, 5) \g /dev/null
UPDATE relevo.bucket SET tokens = 0, at = clock_timestamp() - interval '1 h' WHERE key = 'r';
SELECT assert.equal(take('{r}', '{100}') -> 'r' ->> 'granted', '5', 'never more than the burst');
UPDATE relevo.bucket SET at = clock_timestamp() + interval '1 h', tokens = 0 WHERE key = 'r';
SELECT assert.equal(take('{r}', '{1}') -> 'r' ->> 'granted', '0', 'a clock set back refills nothing');
SELECT assert.that((SELECT at <= clock_timestamp() FROM relevo.bucket WHERE key = 'r'), 'and starves nobody');
UPDATE relevo.bucket SET at = clock_timestamp() - interval '0.35 s', tokens = 0 WHERE key = 'r';
SELECT assert.that((take('{r}', '{100}') -> 'r' ->> 'granted')::int BETWEEN 3 AND 5, 'refilled by time');
SELECT relevo.set_rate('r', 1000, 1) \g /dev/null
SELECT assert.that(rate = 1000 AND burst = 1 AND tokens <= 1, 'another rate') FROM relevo.bucket WHERE key = 'r';
SELECT relevo.set_rate('r', NULL) \g /dev/null
SELECT assert.equal(take('{r}', '{1}') -> 'r' ->> 'granted', NULL, 'no limit');
BEGIN;
SELECT assert.that(current_setting('synchronous_commit') = 'on', 'before');
EXECUTE take_tokens('{s}', '{1}') \g /dev/null
SELECT assert.that(current_setting('synchronous_commit') = 'off', 'it waits for no disk');
COMMIT;
SELECT assert.that(current_setting('synchronous_commit') = 'on', 'in its own transaction only');

-- figures: exact while small
CREATE FUNCTION figures() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', r ->> 'queue', r ->> 'ready', r ->> 'dead', CASE WHEN (r ->> 'is_exact')::boolean THEN 'exact' END), ',' ORDER BY r ->> 'queue') FROM rows_of('EXECUTE queue_figures') r $$;
SELECT assert.equal(figures(), NULL, 'none');
INSERT INTO relevo.job (kind, queue, priority, created_at) SELECT 'k', 'a', i % 3 - 1, '2020-01-01Z'::timestamptz + i * interval '1 day' FROM generate_series(1, 30) i;
INSERT INTO relevo.job (kind, queue, run_at) SELECT 'k', 'b', now() + interval '1 h' FROM generate_series(1, 7) i;
INSERT INTO relevo.job (kind, queue, run_at, created_at) SELECT 'k', 'b', now() - interval '1 h', '2021-01-01Z' FROM generate_series(1, 4) i;
INSERT INTO relevo.job (kind, queue, state, run_at) SELECT 'k', 'c', 2 + i % 2, now() FROM generate_series(1, 5) i;
SELECT assert.equal(figures(), 'a 30 0 exact,b 4 0 exact,c 0 5 exact', 'figures');
SELECT assert.that(jsonb_object_agg(r ->> 'queue', r ->> 'ready_since') FILTER (WHERE r ->> 'queue' = 'a') ->> 'a' ~ '^2020-01-02' AND bool_and((r ->> 'ready_since')::timestamptz BETWEEN now() - interval '61 min' AND now() - interval '59 min') FILTER (WHERE r ->> 'queue' = 'b')
  AND bool_and(r ->> 'ready_since' IS NULL) FILTER (WHERE r ->> 'queue' = 'c'), 'since when: a job of later since its time') FROM rows_of('EXECUTE queue_figures') r;
UPDATE relevo.lane SET (open, open_token) = (SELECT array_agg(id), array_agg(token) FROM (SELECT id, token FROM relevo.job WHERE queue = 'b' AND run_at < now() LIMIT 3) x) WHERE lane = 1;
SELECT assert.equal(figures(), 'a 30 0 exact,b 1 0 exact,c 0 5 exact', 'what is in flight is not ready');
UPDATE relevo.lane SET open = '{}', open_token = '{}';
-- and near enough when large
INSERT INTO relevo.job (kind, queue) SELECT 'k', CASE WHEN i % 4 = 0 THEN 'e' ELSE 'd' END FROM generate_series(1, 100000) i;
SELECT assert.that(count(*) = 2 AND bool_and(NOT (r ->> 'is_exact')::boolean AND (r ->> 'ready')::int BETWEEN 0.6 * w AND 1.4 * w), 'estimates: ' || string_agg(r ->> 'ready', ' '))
FROM rows_of('EXECUTE queue_figures') r JOIN (VALUES ('d', 75000), ('e', 25000)) v (q, w) ON v.q = r ->> 'queue';
SELECT assert.that((r ->> 'ready_since')::timestamptz = '2020-01-02Z', 'the oldest stands at the front') FROM rows_of('EXECUTE queue_figures') r WHERE r ->> 'queue' = 'a';

-- lists and single jobs for people
TRUNCATE relevo.job;
INSERT INTO relevo.job (kind, queue, payload, run_at, state, unique_key, timeout, headers) VALUES ('one', 'q', '{"n": 1}', NULL, 0, 'u1', '90 s', '{"h": "v"}'), ('two', 'q', '{"n": 2}', '2999-01-01', 0, NULL, NULL, '{}'),
  ('three', 'r', '{"n": 3}', now(), 2, NULL, NULL, '{}'), ('four', 'r', '{"n": 4}', now(), 3, NULL, NULL, '{}');
INSERT INTO relevo.job (kind, queue, payload, attempts) VALUES ('five', 'r', '{"n": 5}', 2), ('six', 'q', '{"n": 6}', 0);
SELECT claim(2, 'six') \g /dev/null
UPDATE relevo.lane SET holder = 'w9' WHERE lane = 2;
INSERT INTO relevo.job_history (job_id, outcome, queue, kind, priority, attempts, crashes, created_at, ran, result) SELECT j.id + 1000, o, 'q', o, 0, 1, 0, now(), '2 s', '{"r": 1}'
FROM (SELECT id FROM relevo.job WHERE kind = 'one') j, unnest('{completed,cancelled,discarded}'::text[]) o;
CREATE FUNCTION list(filter text, after bigint DEFAULT 0, most int DEFAULT 100) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(r ->> 'kind' || ' ' || (r ->> 'state'), ',' ORDER BY (r ->> 'id')::bigint, r ->> 'state') FROM rows_of(format('EXECUTE job_list(%L, %s, %s)', filter, after, most)) r $$;
SELECT assert.equal(list(f), wanted, f)
FROM (VALUES ('{"state": "available"}', 'one available'), ('{"state": "running"}', 'six running'), ('{"state": "dead"}', 'three dead'), ('{"state": "quarantined"}', 'four quarantined'), ('{"state": "completed"}', 'completed completed'),
  ('{"queue": "r", "state": "dead"}', 'three dead'), ('{"unique_key": "u1"}', 'one available'), ('{"payload": {"n": 2}}', 'two scheduled'), ('{"kind": "c*"}', 'cancelled cancelled,completed completed'),
  ('{"kind": "six"}', 'six running'), ('{"queue": "none"}', NULL), ('{"before": "2000-01-01"}', NULL)) v (f, wanted);
SELECT assert.equal(list('{}', 0, 2), 'one available,two scheduled', 'a first page');
SELECT assert.that(list('{}') ~ 'three dead,four quarantined' AND list('{}') ~ 'completed completed', 'the dead, and the past');
SELECT assert.equal(list('{"queue": "q"}', id_of('two')), 'six running,cancelled cancelled,completed completed,discarded discarded', 'beyond an id');
SELECT assert.fails($$EXECUTE job_list('{"sate": "dead"}', 0, 10)$$, '22023', 'relevo.job_list: filter: "sate": is no condition');
INSERT INTO relevo.job_attempt (job_id, attempt, outcome, worker, ran, error) SELECT id_of('one'), i, 'retry', 'w', '1 s', 'e' || i FROM generate_series(1, 2) i;
SELECT assert.that(count(*) = 1 AND bool_and(r ->> 'state' = 'available' AND r ->> 'payload_text' = '{"n": 1}' AND r ->> 'headers_text' = '{"h": "v"}' AND (r ->> 'timeout_ms')::int = 90000
  AND jsonb_array_length((r ->> 'attempts_text')::jsonb) = 2 AND (r ->> 'attempts_text')::jsonb -> 1 ->> 'error' = 'e2' AND (r ->> 'attempts_text')::jsonb -> 0 ->> 'ran_ms' = '1000'), 'one job')
FROM rows_of(format('EXECUTE job_show(%s)', id_of('one'))) r;
SELECT assert.that(count(*) = 1 AND bool_and(r ->> 'state' = 'running' AND r ->> 'worker' = 'w9' AND r ->> 'attempts_text' = '[]'), 'a running one') FROM rows_of(format('EXECUTE job_show(%s)', id_of('six'))) r;
SELECT assert.that(count(*) = 3 AND bool_and((r ->> 'ran_ms')::int = 2000), 'the past') FROM rows_of(format('EXECUTE job_show(%s)', id_of('one') + 1000)) r;

-- days: made ahead, also when one has rows in DEFAULT; old ones dropped
CREATE FUNCTION days(parent text) RETURNS int LANGUAGE sql AS $$ SELECT count(*)::int FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = ('relevo.' || parent)::regclass AND c.relname ~ '_[0-9]{8}$' $$;
SELECT assert.equal(days(p), 8, p || ': today and seven ahead') FROM unnest('{job_history,job_attempt,inbox}'::text[]) p;
INSERT INTO relevo.inbox (subscription, event_id, day) VALUES ('s', 'e', (now() AT TIME ZONE 'UTC')::date + 9);
SET client_min_messages = error;
SELECT assert.equal(relevo.make_days(10, 10), 38, 'ten each way, but for the one with rows in DEFAULT');
RESET client_min_messages;
SELECT assert.equal(days('inbox'), 20, 'inbox');
SET timezone = 'Pacific/Auckland';
SELECT assert.equal(relevo.make_days(10, 9), 0, 'days do not depend on the caller''s time zone');
RESET timezone;
INSERT INTO relevo.job_history (finished, job_id, outcome, queue, kind, priority, attempts, crashes, created_at) VALUES (now() - interval '40 days', 1, 'completed', 'q', 'k', 0, 1, 0, now()), (now() + interval '40 days', 2, 'completed', 'q', 'k', 0, 1, 0, now());
INSERT INTO relevo.job_attempt (at, job_id, attempt, outcome) VALUES (now() - interval '40 days', 1, 1, 'retry');
INSERT INTO relevo.inbox (subscription, event_id, day, at) VALUES ('s', 'old', current_date - 40, now() - interval '6 days'), ('s', 'came late', current_date - 40, now());
INSERT INTO relevo.unique_hold VALUES ('gone', 1, now() - interval '1 s'), ('held', 1, now() + interval '1 h'), ('locked', 1, now() - interval '1 s');
INSERT INTO relevo.job_operation (what, filter, lanes_left, finished_at) VALUES ('cancel', '{}', 0, now() - interval '8 days'), ('cancel', '{}', 0, now()), ('cancel', '{}', 3, NULL);
SELECT assert.run('other', 'BEGIN'), assert.run('other', $$DO $d$ BEGIN PERFORM 1 FROM relevo.unique_hold WHERE unique_key = 'locked' FOR UPDATE; END $d$ $$) \g /dev/null
SET client_min_messages = error;
EXECUTE tidy_jobs('3 days', '5 days') \g /dev/null
RESET client_min_messages;
SELECT assert.run('other', 'COMMIT') \g /dev/null
SELECT assert.that((SELECT min(to_date(right(c.relname, 8), 'YYYYMMDD')) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = ('relevo.' || p)::regclass AND c.relname ~ '_[0-9]{8}$') = (now() AT TIME ZONE 'UTC')::date - k, p || ': days kept')
FROM (VALUES ('job_history', 3), ('job_attempt', 3), ('inbox', 5)) v (p, k);
SELECT assert.that((SELECT count(*) FROM relevo.job_history_default) = 1 AND (SELECT count(*) FROM relevo.job_attempt_default) = 0 AND (SELECT string_agg(event_id, ',' ORDER BY event_id) FROM relevo.inbox_default) = 'came late,e', 'DEFAULT keeps what is not old');
SELECT assert.equal(string_agg(unique_key, ',' ORDER BY unique_key), 'held,locked', 'holds; a locked one waits') FROM relevo.unique_hold;
SELECT assert.equal(count(*), 2::bigint, 'operations') FROM relevo.job_operation;
-- a reader of the history keeps its days, and does not hold up the caller; the next call makes it good
SELECT relevo.make_days(10, 7) \g /dev/null
SELECT assert.run('other', 'BEGIN'), assert.run('other', $$DO $d$ BEGIN PERFORM count(*) FROM relevo.job_history; END $d$ $$) \g /dev/null
EXECUTE tidy_jobs('3 days', '5 days') \g /dev/null
SELECT assert.that(days('job_history') = 21 AND days('job_attempt') = 14, 'only what is free');
SELECT assert.run('other', 'COMMIT') \g /dev/null
EXECUTE tidy_jobs('3 days', '5 days') \g /dev/null
SELECT assert.equal(days('job_history'), 14, 'made good');
-- one at a time
SELECT relevo.make_days(10, 7) \g /dev/null
SELECT assert.run('other', 'BEGIN'), assert.run('other', $$DO $d$ BEGIN PERFORM pg_advisory_xact_lock(1919249782, 4); END $d$ $$) \g /dev/null
EXECUTE tidy_jobs('3 days', '5 days') \g /dev/null
SELECT assert.equal(days('job_history'), 21, 'somebody else does it');
SELECT assert.run('other', 'COMMIT') \g /dev/null
SELECT assert.fails($$EXECUTE tidy_jobs('-1 day', '5 days')$$, '22023', 'give intervals that are not negative');
-- a day that is missing fails nobody
DO $$ DECLARE t text; BEGIN FOR t IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'relevo.job_history'::regclass AND c.relname ~ '_[0-9]{8}$' LOOP EXECUTE 'DROP TABLE relevo.' || t; END LOOP; END $$;
SELECT id_of('three') AS three \gset
SELECT assert.equal(relevo.discard(ARRAY[:three]), ARRAY[:three]::bigint[], 'history without a day');
SELECT 'ok';
