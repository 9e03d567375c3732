-- relevo.enqueue and enqueue_many: what a job may hold, times, unique keys, holds, order.
\ir helpers/jobs.sql
SELECT assert.connect('other') \g /dev/null
SET lock_timeout = '5s';

-- what is stored
SELECT relevo.enqueue('mail.send', '{"to": "a"}', 'mail', now() + interval '1 hour', -3, 'u', 'keep', 'c', 'r', 't', 7, '90 s', now() + interval '1 day', '{"h": "v"}') AS id \gset
SELECT assert.that(j.kind = 'mail.send' AND j.payload = '{"to": "a"}' AND j.queue = 'mail' AND j.run_at > now() + interval '59 min' AND j.priority = -3 AND j.class = 2 AND j.unique_key = 'u'
  AND j.concurrency_key = 'c' AND j.rate_key = 'r' AND j.tenant = 't' AND j.max_attempts = 7 AND j.timeout = '90 s' AND j.expires_at > now() + interval '23 h' AND j.headers = '{"h": "v"}'
  AND j.state = 0 AND j.token = 0 AND j.attempts = 0 AND j.crashes = 0 AND NOT j.again AND j.batch IS NULL AND j.error IS NULL AND j.xid <> '0', 'every argument arrives')
FROM job(:id) j;
SELECT relevo.enqueue('k') AS id \gset
SELECT assert.that(j.payload = '{}' AND j.queue = 'default' AND j.run_at IS NULL AND j.priority = 0 AND j.class = 1 AND j.headers = '{}'
  AND num_nonnulls(j.unique_key, j.concurrency_key, j.rate_key, j.tenant, j.max_attempts, j.timeout, j.expires_at) = 0, 'defaults') FROM job(:id) j;

-- times
SELECT assert.that((job(relevo.enqueue('k', run_at => t::timestamptz))).run_at IS NULL, 'run_at ' || t || ' is now') FROM unnest(ARRAY['-infinity', '0001-01-01', '1970-01-01', 'yesterday', 'now']) t;
SELECT assert.equal((job(relevo.enqueue('k', run_at => '9999-12-31 23:59:59Z'))).run_at, '9999-12-31 23:59:59Z', 'run_at in the year 9999');
SELECT assert.equal((job(relevo.enqueue('k', expires_at => '1999-01-01Z'))).expires_at, '1999-01-01Z', 'expires_at in the past');
SELECT assert.that((job(relevo.enqueue('k', timeout => '1 day'))).timeout = '24 h', 'a day is 24 hours');

-- what is refused
SELECT assert.fails(format('SELECT relevo.enqueue(%s)', arguments), '22023', 'relevo.enqueue: ' || message)
FROM (VALUES
  ('NULL',                                        'kind: is NULL; give 1 to 255 bytes'),
  ($$''$$,                                        'kind: is empty; give 1 to 255 bytes'),
  ($$repeat('x', 256)$$,                          'kind: has 256 bytes; give at most 255'),
  ($$E'a\nb'$$,                                   'kind: holds a control character; remove'),
  ($$'k', queue => NULL$$,                        'queue: is NULL; give 1 to 255 bytes'),
  ($$'k', queue => ''$$,                          'queue: is empty'),
  ($$'k', queue => E'\u0085'$$,                   'queue: holds a control character'),
  ($$'k', unique_key => ''$$,                     'unique_key: is empty; give 1 to 1024 bytes, or NULL'),
  ($$'k', unique_key => repeat('x', 1025)$$,      'unique_key: has 1025 bytes; give at most 1024'),
  ($$'k', concurrency_key => ''$$,                'concurrency_key: is empty'),
  ($$'k', concurrency_key => repeat('é', 513)$$,  'concurrency_key: has 1026 bytes'),
  ($$'k', rate_key => ''$$,                       'rate_key: is empty'),
  ($$'k', tenant => repeat('x', 256)$$,           'tenant: has 256 bytes; give at most 255'),
  ($$'k', priority => NULL$$,                     'priority: is NULL; give a number'),
  ($$'k', NULL$$,                                 'payload: is NULL; give a JSON value, {} for none'),
  ($$'k', to_jsonb(repeat('x', 8388607))$$,       'payload: has 8388609 bytes as text; give at most 8388608 (8 MiB), or store it elsewhere'),
  ($$'k', to_jsonb(array_fill(1e131071::numeric, ARRAY[70]))$$, 'payload: has 9175180 bytes as text'),
  ($$'k', run_at => 'infinity'$$,                 'run_at: is infinity; give a time, or NULL for now'),
  ($$'k', max_attempts => 0$$,                    'max_attempts: is 0; give 1 to 10000'),
  ($$'k', max_attempts => 10001$$,                'max_attempts: is 10001'),
  ($$'k', timeout => '0'$$,                       'timeout: must be above 0 and at most 24 hours'),
  ($$'k', timeout => '-1 s'$$,                    'timeout: must be above 0'),
  ($$'k', timeout => '24:00:01'$$,                'timeout: must be above 0 and at most 24 hours'),
  ($$'k', timeout => '1 month'$$,                 'timeout: must be above 0 and at most 24 hours'),
  ($$'k', headers => NULL$$,                      'headers: is NULL'),
  ($$'k', headers => '[]'$$,                      'headers: is a JSON array; give an object whose values are strings'),
  ($$'k', headers => '{"a": 1}'$$,                'headers: the value of "a" is a JSON number; give a string'),
  ($$'k', headers => '{"": "x"}'$$,               'headers: has an empty name'),
  ($$'k', headers => jsonb_build_object('a', repeat('x', 32768))$$, 'headers: has 32777 bytes as text; give at most 32768'),
  ($$'k', headers => (SELECT jsonb_object_agg('h' || i, '') FROM generate_series(1, 101) i)$$, 'headers: has 101 entries; give at most 100'),
  ($$'k', on_conflict => 'ignore'$$,              'on_conflict: is ''ignore''; give keep, replace or after_running'),
  ($$'k', unique_key => 'a', on_conflict => NULL$$, 'on_conflict: is NULL; give keep, replace or after_running')) v (arguments, message);
SELECT relevo.enqueue('k', to_jsonb(repeat('x', 8388606))), relevo.enqueue(repeat('x', 255), 'null', timeout => '24 h', max_attempts => 10000, unique_key => repeat('x', 1024)) \g /dev/null

-- the rule and its explanation agree
SELECT assert.equal(relevo.job_is_valid(kind, queue, 0, ukey, ukey, ukey, tenant, payload, h, run_at, attempts, timeout) IS TRUE,
                    relevo.job_problem(kind, queue, 0, ukey, ukey, ukey, tenant, payload, h, run_at, attempts, timeout) IS NULL,
                    concat_ws(' ', 'rule against explanation for', kind, queue, left(ukey, 9), tenant, payload, left(h::text, 60), run_at, attempts, timeout))
FROM unnest(ARRAY['k', '', NULL, repeat('x', 256)]) kind, unnest(ARRAY['q', E'\x7f', NULL]) queue, unnest(ARRAY['u', NULL, '', repeat('x', 1025)]) ukey, unnest(ARRAY['n', NULL, '', E'\n']) tenant,
     unnest(ARRAY['{}', NULL, 'null']::jsonb[]) payload, unnest(ARRAY[NULL, '{}', '[]', '{"a": "b"}', '{"a": 1}', '{"": "x"}', '1']::jsonb[]) h,
     unnest(ARRAY[NULL, '-infinity', 'infinity', '9999-01-01']::timestamptz[]) run_at, unnest(ARRAY[NULL, 1, 0]) attempts, unnest(ARRAY[NULL, '1 s', '-1 s', '2 days']::interval[]) timeout;

-- a plain INSERT and COPY meet the same rules
INSERT INTO relevo.job (kind, priority) VALUES ('hi', 3), ('no', 0), ('lo', -3);
SELECT assert.equal(array_agg(class ORDER BY id), '{0,1,2}', 'class is the sign of the priority') FROM relevo.job WHERE kind IN ('hi', 'no', 'lo');
SELECT assert.fails(format('INSERT INTO relevo.job (kind, %s) VALUES (%s)', names, value), state, message)
FROM (VALUES
  ('queue',   $$'', 'q'$$,                        '23514', 'relevo.job: kind: is empty; give 1 to 255 bytes'),
  ('queue',   $$'k', ''$$,                        '23514', 'relevo.job: queue: is empty'),
  ('run_at',  $$'k', 'infinity'$$,                '23514', 'relevo.job: run_at: is infinity'),
  ('payload', $$'k', to_jsonb(repeat('x', 8388607))$$, '23514', 'relevo.job: payload: has 8388609 bytes'),
  ('headers', $$'k', '{"a": true}'$$,             '23514', 'relevo.job: headers: the value of "a" is a JSON boolean'),
  ('timeout', $$'k', '25 h'$$,                    '23514', 'relevo.job: timeout: must be above 0'),
  ('again',   $$'k', true$$,                      '23514', 'relevo.job: state or again is not possible'),
  ('state',   $$'k', 4$$,                         '23514', 'relevo.job: state or again is not possible'),
  ('payload', $$'k', NULL$$,                      '23502', 'payload'),
  ('class',   $$'k', 2$$,                         '428C9', 'class')) v (names, value, state, message);
CREATE TABLE copied (kind text, max_attempts int);
INSERT INTO copied VALUES ('a', 3), ('b', 0);
SELECT assert.fails('INSERT INTO relevo.job (kind, max_attempts) SELECT * FROM copied', '23514', 'relevo.job: max_attempts: is 0; give 1 to 10000');
-- and an UPDATE keeps to the states there are
SELECT assert.fails(format('UPDATE relevo.job SET %s WHERE kind = ''hi''', change), '23514', 'relevo.job: state or again is not possible')
FROM unnest(ARRAY['state = 4', 'state = -1', 'again = true', 'again = true, state = 1', 'token = 1, again = true']) change;
DO $$
DECLARE
  before xid8;
BEGIN
  SELECT xid INTO before FROM relevo.job WHERE kind = 'hi';
  UPDATE relevo.job SET tenant = 't' WHERE kind = 'hi';
  PERFORM assert.that(xid <> before AND xid = pg_current_xact_id(), 'an UPDATE sets xid') FROM relevo.job WHERE kind = 'hi';
END $$;
-- the rules do not depend on the caller's search_path
CREATE SCHEMA trap;
CREATE FUNCTION trap.octet_length(text) RETURNS int LANGUAGE sql AS 'SELECT 1';
SET search_path = trap, pg_catalog;
SELECT assert.fails($$INSERT INTO relevo.job (kind) VALUES ('')$$, '23514', 'kind: is empty');
SELECT assert.fails($$SELECT relevo.enqueue('')$$, '22023', 'kind: is empty');
RESET search_path;
SELECT assert.that(EXISTS (SELECT FROM pg_sequences WHERE schemaname = 'relevo' AND sequencename = 'job_id_seq' AND cache_size = 1), 'the sequence caches no ids');

-- unique key, a waiting twin
DELETE FROM relevo.job;
SELECT relevo.enqueue('k', '{"v": 1}', unique_key => 'u') AS u \gset
SELECT assert.equal(relevo.enqueue('k', '{"v": 2}', unique_key => 'u', on_conflict => p), :u::bigint, p || ' gives the waiting one') FROM unnest('{keep,after_running}'::text[]) p;
SELECT assert.that((job(:u)).payload = '{"v": 1}' AND (job(:u)).token = 0, 'and leaves it alone');
UPDATE relevo.job SET attempts = 4, crashes = 1, error = 'e', run_at = now() + interval '1 h' WHERE id = :u;
SELECT assert.equal(relevo.enqueue('k', '{"v": 4}', unique_key => 'u', on_conflict => 'replace', priority => 5), :u::bigint, 'replace gives the same job');
SELECT assert.that(j.payload = '{"v": 4}' AND j.attempts = 0 AND j.crashes = 0 AND j.token = 1 AND j.class = 0 AND j.error IS NULL AND j.run_at IS NULL, 'a first attempt of the new') FROM job(:u) j;
-- a running twin
UPDATE relevo.job SET state = 1, attempts = 2, crashes = 1, error = 'last' WHERE id = :u;
SELECT assert.equal(relevo.enqueue('k', '{"v": 5}', unique_key => 'u'), :u::bigint, 'keep gives the running one');
SELECT assert.that(NOT (job(:u)).again AND (job(:u)).payload = '{"v": 4}', 'and owes nothing');
SELECT relevo.enqueue('k', '{"v": 6}', unique_key => 'u', on_conflict => 'after_running', run_at => now() + interval '2 days') \g /dev/null
SELECT relevo.enqueue('k', '{"v": 7}', unique_key => 'u', on_conflict => 'after_running', run_at => now() + interval '1 day') \g /dev/null
SELECT relevo.enqueue('k', '{"v": 8}', unique_key => 'u', on_conflict => 'after_running', run_at => now() + interval '3 days') \g /dev/null
SELECT assert.that(j.again AND j.state = 1 AND j.token = 1 AND j.attempts = 2 AND j.crashes = 1 AND j.error = 'last' AND j.payload = '{"v": 8}', 'one more run is owed, with the newest payload; the running one keeps its token') FROM job(:u) j;
SELECT assert.that((job(:u)).run_at BETWEEN now() + interval '23 h' AND now() + interval '25 h', 'at the sooner time');
SELECT relevo.enqueue('k', '{"v": 9}', unique_key => 'u', on_conflict => 'replace', run_at => now() + interval '4 days') \g /dev/null
SELECT assert.that((job(:u)).again AND (job(:u)).run_at > now() + interval '95 h', 'replace: at its own time');
-- a dead job does not hold its key
UPDATE relevo.job SET state = 2, again = false WHERE id = :u;
SELECT assert.that(relevo.enqueue('k', unique_key => 'u') > :u, 'a dead job does not hold its key');
-- somebody is inserting the same key: wait for the outcome
SELECT assert.run('other', 'BEGIN'), assert.run('other', $$DO $d$ BEGIN PERFORM relevo.enqueue('k', unique_key => 'w'); END $d$ $$) \g /dev/null
SET lock_timeout = '100ms';
SELECT assert.fails($$SELECT relevo.enqueue('k', unique_key => 'w')$$, '55P03', 'lock timeout');
SET lock_timeout = '5s';
SELECT assert.run('other', 'ROLLBACK') \g /dev/null
SELECT assert.that(relevo.enqueue('k', unique_key => 'w') > :u, 'the other rolled back: a job of its own');

-- a hold: the key stays taken after its job has completed
DELETE FROM relevo.job;
INSERT INTO relevo.unique_hold VALUES ('h', 9000042, now() + interval '1 h'), ('past', 9000043, now() - interval '1 s');
SELECT assert.equal(relevo.enqueue('k', unique_key => 'h'), 9000042::bigint, 'keep gives the job that holds the key');
SELECT assert.equal(count(*), 0::bigint, 'jobs stored') FROM relevo.job;
SELECT assert.equal(relevo.enqueue_many('[{"kind": "k", "unique_key": "h"}]'), '{9000042}', 'so does the bulk form');
SELECT assert.that(relevo.enqueue('k', unique_key => 'past') <> 9000043, 'a hold that has run out holds nothing');
SELECT relevo.enqueue('k', unique_key => 'h', on_conflict => 'replace') AS r \gset
SELECT assert.that(:r <> 9000042 AND (job(:r)).unique_key = 'h', 'replace asks for a run and gets it');
SELECT assert.equal(relevo.enqueue('k', unique_key => 'h'), :r::bigint, 'keep gives the live twin rather than the held one');
DELETE FROM relevo.job;
SELECT assert.that(relevo.enqueue('k', unique_key => 'h', on_conflict => 'after_running') <> 9000042, 'so does after_running');
-- whoever completes while keep waits for the key: the hold is seen
DELETE FROM relevo.job; DELETE FROM relevo.unique_hold;
SELECT relevo.enqueue('k', unique_key => 'late') AS l \gset
SELECT assert.run('other', 'BEGIN'), assert.run('other', format($$DELETE FROM relevo.job WHERE id = %s$$, :l)),
       assert.run('other', format($$INSERT INTO relevo.unique_hold VALUES ('late', %s, now() + interval '1 h')$$, :l)) \g /dev/null
SELECT assert.connect('waiting') \g /dev/null
SELECT assert.dblink_send_query('waiting', $$SELECT relevo.enqueue('k', unique_key => 'late')$$) \g /dev/null
CREATE PROCEDURE wait_until(condition text) LANGUAGE plpgsql AS $$
DECLARE
  holds boolean := false;
  since timestamptz := clock_timestamp();
BEGIN
  LOOP
    EXECUTE condition INTO holds;
    EXIT WHEN holds;
    IF clock_timestamp() > since + interval '10 s' THEN RAISE EXCEPTION 'never: %', condition; END IF;
    PERFORM pg_sleep(0.005);
    COMMIT;
  END LOOP;
END $$;
CALL wait_until($$SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() AND query ~ 'late')$$);
SELECT assert.run('other', 'COMMIT') \g /dev/null
SELECT assert.equal(x, :l::bigint, 'who waited for the completion gets the held job') FROM assert.dblink_get_result('waiting') t (x bigint);

-- bulk: ids in order, duplicates follow the rule in order, plain rows matched to their places
DELETE FROM relevo.job;
SELECT relevo.enqueue_many('[{"kind": "m", "unique_key": "b1", "payload": {"v": 1}}, {"kind": "p", "payload": {"n": 1}, "priority": -2}, {"kind": "m", "unique_key": "a1"},
  {"kind": "m", "unique_key": "b1", "payload": {"v": 2}, "on_conflict": "replace"}, {"kind": "m", "unique_key": "b1", "payload": {"v": 3}, "on_conflict": "replace"},
  {"kind": "p", "payload": {"n": 2}, "concurrency_key": "c", "queue": null, "run_at": null, "headers": null}]') AS ids \gset
SELECT assert.that(i[1] = i[4] AND i[4] = i[5] AND i[2] < i[6] AND cardinality(i) = 6 AND array_position(i, NULL) IS NULL, 'ids in order, duplicates are one') FROM (SELECT :'ids'::bigint[] i) x;
SELECT assert.that(payload = '{"v": 3}' AND token = 2, 'the last replacement stays') FROM relevo.job WHERE unique_key = 'b1';
SELECT assert.that(j.payload = '{"n": 2}' AND j.concurrency_key = 'c' AND j.queue = 'default', 'a plain row at its place') FROM job((:'ids'::bigint[])[6]) j;
SELECT assert.equal(relevo.enqueue_many('[]'), '{}', 'none');
SELECT assert.equal(count(*), 0::bigint, 'elements whose id is not in order')
FROM (SELECT relevo.enqueue_many(jsonb_agg(jsonb_build_object('kind', 'o', 'payload', i) ORDER BY i)) AS ids FROM generate_series(1, 20000) i) x,
     unnest(x.ids) WITH ORDINALITY u (id, place) JOIN relevo.job j USING (id) WHERE j.payload <> to_jsonb(u.place);
SELECT relevo.enqueue_many(jsonb_build_array(jsonb_build_object('kind', 'full', 'payload', '[1]'::jsonb, 'queue', 'q', 'run_at', '9999-01-01Z', 'priority', 7, 'on_conflict', 'keep', 'concurrency_key', 'c', 'rate_key', 'r',
  'tenant', 't', 'max_attempts', 3, 'timeout', '5 min', 'expires_at', '2099-01-01Z', 'headers', '{"a": "b"}'::jsonb))) \g /dev/null
SELECT assert.that(j.payload = '[1]' AND j.queue = 'q' AND j.run_at = '9999-01-01Z' AND j.priority = 7 AND j.concurrency_key = 'c' AND j.rate_key = 'r' AND j.tenant = 't' AND j.max_attempts = 3
  AND j.timeout = '5 min' AND j.expires_at = '2099-01-01Z' AND j.headers = '{"a": "b"}', 'every name arrives') FROM job(id_of('full')) j;

CREATE TABLE before AS SELECT count(*) AS n FROM relevo.job;
SELECT assert.fails(format('SELECT relevo.enqueue_many(%L)', jobs), '22023', 'relevo.enqueue_many: ' || message)
FROM (VALUES
  (NULL,                                                                   'jobs: is NULL; give an array of objects'),
  ('{"kind": "k"}',                                                        'jobs: is a JSON object; give an array of objects'),
  ('[{"kind": "k"}, 7]',                                                   'element 2: is a JSON number; give an object'),
  ('[{"kind": "k"}, {"kind": "k"}, {"kind": ""}]',                         'element 3: kind: is empty'),
  ('[{"kind": "k"}, {}]',                                                  'element 2: kind: is NULL'),
  ('[{"kind": "k", "uniqe_key": "a"}]',                                    'element 1: "uniqe_key": is no parameter of relevo.enqueue'),
  ('[{"kind": "k", "unique_key": "a", "on_conflict": "x"}]',               'element 1: on_conflict: is ''x''; give keep, replace or after_running'),
  ('[{"kind": "k", "on_conflict": "x"}]',                                  'element 1: on_conflict: is ''x'''),
  ('[{"kind": "k"}, {"kind": "k", "unique_key": ""}]',                     'element 2: unique_key: is empty'),
  ('[{"kind": "k"}, {"kind": "k", "unique_key": "a", "timeout": "-1 s"}]', 'element 2: timeout: must be above 0'),
  ('[{"kind": "k", "run_at": "infinity"}]',                                'element 1: run_at: is infinity'),
  ('[{"kind": "k", "run_at": "tomorrowish"}]',                             'element 1: run_at: invalid input syntax'),
  ('[{"kind": "k", "priority": "high"}]',                                  'element 1: priority: invalid input syntax for type integer: "high"; give a whole number'),
  ('[{"kind": "k", "priority": 3000000000}]',                              'element 1: priority: value "3000000000" is out of range'),
  ('[{"kind": "k", "headers": {"a": {"b": 1}}}]',                          'element 1: headers: the value of "a" is a JSON object')) v (jobs, message);
SELECT assert.equal(count(*), (SELECT n FROM before), 'refusals leave no row') FROM relevo.job;
-- two calls with the same keys in other orders do not deadlock
SELECT assert.run('other', 'BEGIN'), assert.run('other', $$DO $d$ BEGIN PERFORM relevo.enqueue_many('[{"kind": "d", "unique_key": "d1"}]'); END $d$ $$) \g /dev/null
SELECT assert.dblink_send_query('waiting', $$SELECT relevo.enqueue_many('[{"kind": "d", "unique_key": "d2"}, {"kind": "d", "unique_key": "d1"}]')$$) FROM (SELECT assert.dblink_disconnect('waiting'), assert.connect('waiting')) x \g /dev/null
CALL wait_until($$SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() AND query ~ 'd2')$$);
SELECT assert.run('other', $$DO $d$ BEGIN PERFORM relevo.enqueue('d', unique_key => 'd2'); END $d$ $$), assert.run('other', 'COMMIT') \g /dev/null
SELECT assert.equal(cardinality(x), 2, 'both of the waiting call') FROM assert.dblink_get_result('waiting') t (x bigint[]);
SELECT assert.equal(count(*), 2::bigint, 'one job per key') FROM relevo.job WHERE kind = 'd';
SELECT 'ok';
