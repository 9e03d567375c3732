-- Schedules: what they may hold, which are due, that each tick fires once.
\ir helpers/jobs.sql
SELECT assert.connect('other') \g /dev/null
CREATE FUNCTION due() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(r ->> 'name', ',') FROM rows_of('EXECUTE schedules_due') r $$;
CREATE FUNCTION of(name text) RETURNS relevo.schedule LANGUAGE sql AS $$ SELECT s FROM relevo.schedule s WHERE s.name = of.name $$;

SELECT assert.fails(format('SELECT relevo.schedule_put(%s)', a), '22023', 'relevo.schedule_put: ' || m)
FROM (VALUES ($$NULL, 'k', '* * * * *'$$,                          'name: is NULL; give 1 to 255 bytes'),
             ($$'', 'k', '* * * * *'$$,                            'name: is empty'),
             ($$'s', '', '* * * * *'$$,                            'kind: is empty'),
             ($$'s', 'k'$$,                                        'cron, every, at: give one of them'),
             ($$'s', 'k', '* * * * *', '1 h'$$,                    'cron, every, at: give one of them'),
             ($$'s', 'k', ''$$,                                    'cron: is empty; give an expression'),
             ($$'s', 'k', every => '0.5 s'$$,                      'every: is below 1 second; give more'),
             ($$'s', 'k', at => 'infinity'$$,                      'at: is infinity; give a time'),
             ($$'s', 'k', '* * * * *', time_zone => 'Mars/Base'$$, 'time_zone: the server does not know ''Mars/Base''; give a name such as Europe/Madrid'),
             ($$'s', 'k', '* * * * *', time_zone => NULL$$,        'time_zone: is NULL'),
             ($$'s', 'k', '* * * * *', headers => '{"a": 1}'$$,    'headers: the value of "a" is a JSON number'),
             ($$'s', 'k', '* * * * *', payload => NULL$$,          'payload: is NULL'),
             ($$'s', 'k', '* * * * *', missed => 'twice'$$,        'missed: is ''twice''; give skip, once or all'),
             ($$'s', 'k', '* * * * *', missed_max => 0$$,          'missed_max: is 0; give 1 to 10000'),
             ($$'s', 'k', '* * * * *', origin => 'x'$$,            'origin: is ''x''; give config or sql')) v (a, m);
SELECT assert.fails(format('INSERT INTO relevo.schedule (name, kind, %s)', v), state, m)
FROM (VALUES ($$cron, every) VALUES ('x', 'k', '*', '1 h'$$, '23514', 'schedule_has_one_timing'), ($$cron, time_zone) VALUES ('x', 'k', '*', 'Mars/Base'$$, '22023', 'time zone')) v (v, state, m);

-- put: made, changed; a new timing counts from now, anything else does not
SELECT relevo.schedule_put('cron', 'nightly', '0 3 * * *', time_zone => 'Europe/Madrid', queue => 'q', payload => '{"p": 1}', priority => 4, headers => '{"h": "v"}', missed => 'all', missed_max => 7, origin => 'config') \g /dev/null
SELECT relevo.schedule_put('every', 'poll', every => '90 s'), relevo.schedule_put('at', 'once', at => '2026-01-01Z') \g /dev/null
SELECT assert.equal(due(), 'at,cron,every', 'not computed yet');
SELECT assert.that(r ->> 'cron' = '0 3 * * *' AND r ->> 'time_zone' = 'Europe/Madrid' AND r ->> 'kind' = 'nightly' AND r ->> 'queue' = 'q' AND r ->> 'missed' = 'all' AND (r ->> 'missed_max')::int = 7 AND r ->> 'every_ms' IS NULL AND NOT (r ->> 'paused')::boolean
  AND (r ->> 'now')::timestamptz BETWEEN now() - interval '1 s' AND clock_timestamp(), 'a due one: ' || r::text) FROM rows_of('EXECUTE schedules_due') r WHERE r ->> 'name' = 'cron';
SELECT assert.that((r ->> 'every_ms')::int = 90000, 'every') FROM rows_of('EXECUTE schedules_due') r WHERE r ->> 'name' = 'every';
UPDATE relevo.schedule SET next_tick = clock_timestamp() + interval '1 h', last_tick = '2026-01-01Z' WHERE name = 'cron';
SELECT assert.equal(due(), 'at,every', 'computed');
UPDATE relevo.schedule SET next_tick = clock_timestamp() + interval '1 s' WHERE name = 'cron';
SELECT assert.equal(due(), 'at,cron,every', 'due within two seconds');
SELECT relevo.schedule_put('cron', 'nightly', '0 3 * * *', time_zone => 'Europe/Madrid', queue => 'other') \g /dev/null
SELECT assert.that((of('cron')).next_tick IS NOT NULL AND (of('cron')).last_tick IS NOT NULL AND (of('cron')).queue = 'other' AND (of('cron')).payload = '{}' AND (of('cron')).origin = 'sql', 'the same timing goes on');
SELECT changed_at AS changed FROM relevo.schedule WHERE name = 'cron' \gset
SELECT relevo.schedule_put('cron', 'nightly', '0 3 * * *', time_zone => 'Europe/Madrid', queue => 'other') \g /dev/null
SELECT assert.equal((of('cron')).changed_at, :'changed'::timestamptz, 'the same again is no change');
SELECT relevo.schedule_put('cron', 'nightly', '0 3 * * *', time_zone => 'UTC', queue => 'other') \g /dev/null
SELECT assert.that((of('cron')).next_tick IS NULL AND (of('cron')).last_tick IS NULL AND (of('cron')).changed_at > :'changed', 'another time zone is another timing');
-- fire: compare-and-set, one job per tick
CREATE FUNCTION fire(name text, expected text, next text, ticks text[]) RETURNS int LANGUAGE sql AS $$ SELECT (r ->> 'jobs')::int FROM rows_of(format('EXECUTE schedule_fire(%L, %L, %L, %L)', name, expected, next, ticks)) r $$;
SELECT assert.equal(fire('cron', NULL, '2026-11-22 03:00Z', '{}'), 0, 'computed');
SELECT assert.equal((of('cron')).next_tick, '2026-11-22 03:00Z', 'next tick');
SELECT relevo.schedule_put('cron', 'nightly', '0 3 * * *', queue => 'q', payload => '{"p": 1}', priority => 4, headers => '{"h": "v", "tick": "x"}') \g /dev/null
SELECT assert.equal(fire('cron', '2026-11-22 03:00Z', '2026-11-24 03:00Z', '{2026-11-23 03:00Z,2026-11-22 04:00+01}'), 2, 'two ticks');
SELECT assert.equal(fire('cron', '2026-11-22 03:00Z', '2026-11-24 03:00Z', '{2026-11-23 03:00Z,2026-11-22 03:00Z}'), NULL, 'another was first');
SELECT assert.equal(string_agg(headers ->> 'tick', ',' ORDER BY id), '2026-11-22T03:00:00Z,2026-11-23T03:00:00Z', 'in order, once') FROM relevo.job;
SELECT assert.that(bool_and(kind = 'nightly' AND queue = 'q' AND payload = '{"p": 1}' AND priority = 4 AND headers ->> 'h' = 'v' AND headers ->> 'schedule' = 'cron' AND run_at IS NULL), 'the jobs') FROM relevo.job;
SELECT assert.that(s.last_tick = '2026-11-23 03:00Z' AND s.next_tick = '2026-11-24 03:00Z' AND s.last_job = (SELECT max(id) FROM relevo.job), 'what it did') FROM of('cron') s;
SELECT assert.equal(fire('cron', NULL, NULL, '{2026-11-24 03:00Z}'), NULL, 'an expectation of none');
SELECT assert.equal(fire('none', NULL, NULL, '{2026-11-24 03:00Z}'), NULL, 'no such schedule');
-- a one-off is done
SELECT assert.equal(fire('at', NULL, '2026-01-01Z', '{}'), 0, 'computed');
SELECT assert.equal(fire('at', '2026-01-01Z', NULL, '{2026-01-01Z}'), 1, 'fired');
SELECT assert.that(due() !~ 'at', 'a one-off that has fired is not due');
SELECT relevo.schedule_put('at', 'once', at => '2027-01-01Z') \g /dev/null
SELECT assert.that(due() ~ 'at', 'put again for another time it is');
-- the last outcome
SELECT assert.equal(string_agg(r ->> 'name' || ' ' || coalesce(r ->> 'last_state', '-'), ','), 'at available,cron available,every -', 'last outcomes') FROM rows_of('EXECUTE schedules_list') r;
SELECT last_job AS j FROM relevo.schedule WHERE name = 'cron' \gset
SELECT assert.equal(cardinality(ids(format($$EXECUTE job_finish_full('{%s}', '{0}', '{completed}', '{NULL}', '{NULL}', 'w', '{0}', '{0}', '{NULL}')$$, :j))), 1, 'finished');
SELECT assert.equal(last_state, 'completed', 'from the history') FROM relevo.schedules WHERE name = 'cron';
-- pause: no job, but the daemon may compute; resume: nothing is made up
SELECT assert.that(relevo.schedule_pause('cron') AND NOT relevo.schedule_pause('none') AND (of('cron')).paused, 'paused');
SELECT assert.equal(fire('cron', '2026-11-24 03:00Z', '2026-11-25 03:00Z', '{2026-11-24 03:00Z}'), 0, 'a paused schedule does not fire');
SELECT assert.equal((of('cron')).next_tick, '2026-11-24 03:00Z', 'and stays where it is');
SELECT assert.equal(fire('cron', '2026-11-24 03:00Z', '2026-11-25 03:00Z', '{}'), 0, 'without ticks');
SELECT assert.equal((of('cron')).next_tick, '2026-11-25 03:00Z', 'it can be moved on');
SELECT assert.that(relevo.schedule_resume('cron') AND NOT relevo.schedule_resume('none') AND NOT (of('cron')).paused AND (of('cron')).next_tick IS NULL AND (of('cron')).last_tick IS NULL, 'resumed: from now');
UPDATE relevo.schedule SET next_tick = '2026-11-25 03:00Z' WHERE name = 'cron';
SELECT relevo.schedule_resume('cron') \g /dev/null
SELECT assert.equal((of('cron')).next_tick, '2026-11-25 03:00Z', 'resuming what runs changes nothing');
SELECT assert.that(relevo.schedule_remove('cron') AND NOT relevo.schedule_remove('cron') AND (of('cron')).name IS NULL, 'removed');
-- by statement, as the daemon puts its configuration
EXECUTE schedule_put('conf', 'k', NULL, 60000, NULL, 'UTC', 'default', '{}', 0, '{}', 'skip', 1, 'config', NULL, NULL, NULL, NULL) \g /dev/null
SELECT assert.that((of('conf')).every = '1 min' AND (of('conf')).origin = 'config' AND (of('conf')).missed = 'skip', 'put');
-- two leaders at once
SELECT assert.run('other', 'BEGIN'), assert.run('other', $$DO $d$ BEGIN PERFORM relevo.schedule_fire('conf', NULL, '2026-11-22Z', '{2026-11-21Z}'); END $d$ $$) \g /dev/null
SET lock_timeout = '100ms';
SELECT assert.fails($$SELECT relevo.schedule_fire('conf', NULL, '2026-11-22Z', '{2026-11-21Z}')$$, '55P03', 'lock timeout');
SELECT assert.run('other', 'COMMIT') \g /dev/null
SELECT assert.equal(fire('conf', NULL, '2026-11-22Z', '{2026-11-21Z}'), NULL, 'the second fires nothing');
SELECT assert.equal(count(*), 1::bigint, 'one job') FROM relevo.job WHERE kind = 'k';
-- apart from the ticks; and what the configuration does not have any more
SELECT assert.that(cardinality(a) = 1 AND (job(a[1])).kind = 'k' AND (job(a[1])).headers = '{"schedule": "conf"}', 'run now') FROM (SELECT array_agg((r ->> 'job')::bigint) AS a FROM rows_of($$EXECUTE schedule_run('conf')$$) r) x;
SELECT assert.equal(count(*), 0::bigint, 'none') FROM rows_of($$EXECUTE schedule_run('none')$$) r;
SELECT assert.equal(count(*), 0::bigint, 'still configured') FROM rows_of($$EXECUTE schedules_remove_configured('{conf}')$$) r;
SELECT assert.equal(string_agg(r ->> 'name', ','), 'conf', 'not configured any more; those made by SQL stay') FROM rows_of($$EXECUTE schedules_remove_configured('{}')$$) r;
SELECT assert.equal(string_agg(name, ',' ORDER BY name), 'at,every', 'left') FROM relevo.schedule;
-- keys and tenant of its jobs; with a unique key a tick makes no job beside an unfinished one
EXECUTE schedule_put('keys', 'sync', NULL, 60000, NULL, 'UTC', 'default', '{}', 0, '{}', 'all', 10, 'config', 'u', 'c', 'r', 't') \g /dev/null
SELECT assert.that(s.unique_key = 'u' AND s.concurrency_key = 'c' AND s.rate_key = 'r' AND s.tenant = 't', 'listed') FROM relevo.schedules s WHERE name = 'keys';
SELECT assert.equal(fire('keys', NULL, '2026-11-22 03:03Z', '{2026-11-22 03:01Z,2026-11-22 03:02Z}'), 2, 'two ticks');
SELECT assert.that(count(*) = 1 AND bool_and(unique_key = 'u' AND concurrency_key = 'c' AND rate_key = 'r' AND tenant = 't' AND headers ->> 'tick' = '2026-11-22T03:01:00Z' AND id = (of('keys')).last_job), 'one job') FROM relevo.job WHERE kind = 'sync';
EXECUTE schedule_run('keys') \gset run_
SELECT assert.equal(:run_job::bigint, (of('keys')).last_job, 'nor does one by hand');
DELETE FROM relevo.job WHERE kind = 'sync';
EXECUTE schedule_run('keys') \gset run_
SELECT assert.that(unique_key = 'u' AND headers = '{"schedule": "keys"}', 'a job by hand') FROM relevo.job WHERE id = :run_job;
SELECT changed_at AS changed FROM relevo.schedule WHERE name = 'keys' \gset
EXECUTE schedule_put('keys', 'sync', NULL, 60000, NULL, 'UTC', 'default', '{}', 0, '{}', 'all', 10, 'config', 'u', 'c', 'r', NULL) \g /dev/null
SELECT assert.that((of('keys')).changed_at > :'changed' AND (of('keys')).tenant IS NULL AND (of('keys')).next_tick IS NOT NULL, 'a key is a change, but no other timing');
SELECT assert.fails(format('SELECT relevo.schedule_put(''s'', ''k'', ''* * * * *'', %s)', a), '22023', 'relevo.schedule_put: ' || m)
FROM (VALUES ($$unique_key => ''$$, 'unique_key: is empty'), ($$tenant => repeat('t', 256)$$, 'tenant: has 256 bytes'), ($$concurrency_key => E'\n'$$, 'concurrency_key: '), ($$rate_key => ''$$, 'rate_key: is empty')) v (a, m);
SELECT 'ok';
