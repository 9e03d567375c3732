-- What people ask for: cancel, retry, redrive, discard, of one job and of many.
\ir helpers/jobs.sql
SELECT assert.connect('other') \g /dev/null
SET lock_timeout = '5s';
EXECUTE lane_take('w', '1 h', 16, 16) \g /dev/null
SELECT array_agg(lane ORDER BY lane) AS lanes, array_agg(epoch ORDER BY lane) AS epochs FROM relevo.lane \gset

-- one job
SELECT assert.fails(format('SELECT relevo.cancel(%s)', a), '22023', 'relevo.cancel: give job_id or unique_key') FROM unnest('{"NULL, NULL","1, ''u''"}'::text[]) a;
SELECT relevo.enqueue('plain', concurrency_key => 'c') AS plain, relevo.enqueue('u', '{"p": 1}', unique_key => 'u') AS u, relevo.enqueue('runs', unique_key => 'r') AS runs \gset
UPDATE relevo.job SET state = 1 WHERE kind = 'runs';
SELECT assert.equal(relevo.cancel(999999), 'not found', 'none');
SELECT assert.equal(relevo.cancel(unique_key => 'u'), 'cancelled', 'a waiting unique job, at once');
SELECT assert.that(count(*) = 1 AND bool_and(h.outcome = 'cancelled' AND h.payload = '{"p": 1}'), 'its history') FROM relevo.job_history h WHERE h.job_id = :u;
SELECT assert.equal(relevo.cancel(unique_key => 'u'), 'not found', 'once');
SELECT assert.equal(relevo.cancel(unique_key => 'r'), 'requested', 'a running one: by its holder');
SELECT assert.equal(relevo.cancel(:plain), 'requested', 'one without a key: by its holder');
SELECT assert.equal(relevo.retry_now(:plain), 'requested', 'retry: by its holder');
SELECT assert.equal(relevo.retry_now(999999), 'not found', 'none');
UPDATE relevo.job SET state = 2 WHERE kind = 'plain';
SELECT assert.equal(relevo.cancel(:plain), 'dead: discard it', 'a dead one');
SELECT assert.equal(string_agg(what || ' ' || job_id, ',' ORDER BY id), format('cancel %s,cancel %s,retry_now %s', :runs, :plain, :plain), 'signals') FROM relevo.job_signal;
SELECT assert.that(bool_and(s.lane = relevo.lane_of(j.id, j.concurrency_key)), 'for the holders of their lanes') FROM relevo.job_signal s JOIN relevo.job j ON j.id = s.job_id;
SELECT assert.equal(cardinality(ids(format($$EXECUTE job_signals('{%s}')$$, relevo.lane_of(:plain, 'c')))) >= 2, true, 'a lane''s own');
SELECT assert.equal(ids($$EXECUTE job_signals('{0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15}')$$), (SELECT array_agg(id ORDER BY id) FROM relevo.job_signal), 'of all lanes, oldest first');
EXECUTE job_signals_done('{1,2,3}');
SELECT assert.equal(count(*), 0::bigint, 'applied') FROM relevo.job_signal;
SELECT assert.equal(relevo.retry_now(:plain), 'redriven', 'a dead one waits again');
SELECT assert.fails($$INSERT INTO relevo.job_signal (lane, what, job_id, operation) VALUES (0, 'cancel', 1, 1)$$, '23514', 'job_signal_is_for_a_job_or_an_operation');

-- what the holder does with them: only in lanes it still holds
DELETE FROM relevo.job; DELETE FROM relevo.job_history;
INSERT INTO relevo.job (kind, run_at) VALUES ('a', NULL), ('b', now() + interval '1 h'), ('c', now() + interval '1 h'), ('z', now() - interval '1 s');
SELECT assert.equal(ids(format($$EXECUTE job_cancel_waiting(%L, '{9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9}', %L, '{0,0}', 'no')$$, :'lanes', ids_of('a,b'))), '{}', 'lanes that are lost');
SELECT ids_of('a,b') AS ab, ids_of('c') AS c \gset
SELECT assert.run('other', format('BEGIN; UPDATE relevo.job SET tenant = NULL WHERE id = ANY (%L)', :'c')) \g /dev/null
SELECT assert.equal(ids(format($$EXECUTE job_cancel_waiting(%L, %L, %L, '{0,0,0,7}', 'not wanted')$$, :'lanes', :'epochs', ids_of('a,b,c,z'))), :'ab'::bigint[], 'cancelled; not what is locked or has another token');
SELECT assert.run('other', 'ROLLBACK') \g /dev/null
SELECT assert.that(count(*) = 2 AND bool_and(outcome = 'cancelled' AND error = 'not wanted'), 'history') FROM relevo.job_history;
INSERT INTO relevo.job (kind) VALUES ('any');
UPDATE relevo.job SET token = 3 WHERE kind = 'any';
SELECT id_of('any') AS any \gset
SELECT assert.equal(ids(format($$EXECUTE job_cancel_waiting(%L, %L, '{%s}', '{NULL}', 'no')$$, :'lanes', :'epochs', :any)), ARRAY[:any]::bigint[], 'whatever its token');
INSERT INTO relevo.job (kind, state, unique_key) VALUES ('d', 2, NULL), ('e', 3, 'e'), ('f', 0, 'e');
SELECT assert.equal(ids(format($$EXECUTE job_retry_now(%L, %L, %L)$$, :'lanes', :'epochs', ids_of('c,d,e,f,z'))), ids_of('c,d'), 'run now: what waits for later, and the dead without a live twin');
SELECT assert.that(bool_and(state = 0 AND token = 1 AND run_at <= clock_timestamp()), 'they wait') FROM relevo.job WHERE kind IN ('c', 'd');
SELECT assert.equal(ids(format($$EXECUTE job_retry_now('{0}', '{9}', %L)$$, ids_of('e'))), '{}', 'lanes that are lost');

-- redrive and discard
DELETE FROM relevo.job; DELETE FROM relevo.job_history;
INSERT INTO relevo.job (kind, state, unique_key, crashes, payload) VALUES ('d1', 2, 'x', 0, '{}'), ('d2', 2, 'y', 0, '{}'), ('d3', 3, NULL, 3, '{}'), ('d4', 2, 'y', 0, '{"keep": 1}');
SELECT relevo.enqueue('live', unique_key => 'x') \g /dev/null
SELECT assert.that(r.redriven @> ids_of('d2,d3') AND cardinality(r.redriven) = 2 AND r.refused = ids_of('d1,d4'), 'a live twin leaves only its own row dead') FROM relevo.redrive(ids_of('d1,d2,d3,d4,live')) r;
SELECT assert.equal(string_agg(kind || state, ',' ORDER BY kind), 'd12,d20,d30,d42', 'states') FROM relevo.job WHERE kind <> 'live';
SELECT assert.that(j.token = 1 AND j.crashes = 1 AND j.attempts = 0 AND j.run_at <= clock_timestamp(), 'a suspect stays one') FROM job(id_of('d3')) j;
SELECT assert.equal(cardinality(relevo.discard(ids_of('d1,d2,d3,d4,live'))), 2, 'the dead only');
SELECT assert.that(h.payload = '{"keep": 1}' AND h.outcome = 'discarded', 'discarded, with payload') FROM relevo.job_history h WHERE kind = 'd4';
SELECT assert.equal(count(*), 1::bigint, 'in the view') FROM relevo.jobs WHERE kind = 'd4' AND state = 'discarded';

-- filters
SELECT assert.fails(format('SELECT relevo.start_operation(%s)', a), '22023', 'relevo.start_operation: ' || m)
FROM (VALUES ($$NULL, '{}'$$,                        'what: is NULL; give cancel, retry or discard'),
             ($$'kill', '{}'$$,                      'what: is ''kill''; give cancel, retry or discard'),
             ($$'cancel', NULL$$,                    'filter: is NULL; give an object, {} for all jobs'),
             ($$'cancel', '[]'$$,                    'filter: is a JSON array'),
             ($$'cancel', '{"knid": "k"}'$$,         'filter: "knid": is no condition; give some of state, kind'),
             ($$'cancel', '{"kind": 7}'$$,           'filter: kind: is a JSON number; give a string'),
             ($$'cancel', '{"state": "sleeping"}'$$, 'filter: state: is ''sleeping''; give available'),
             ($$'cancel', '{"state": "completed"}'$$, 'filter: state: is ''completed''; such jobs are history'),
             ($$'cancel', '{"before": "whenever"}'$$, 'filter: before: invalid input syntax'),
             ($$'cancel', '{"payload_path": "$.["}'$$, 'filter: payload_path: ')) v (a, m);
INSERT INTO relevo.job (kind, queue, tenant, concurrency_key, unique_key, created_at, payload, state, crashes, run_at)
VALUES ('mail.send', 'q', 't', 'c', 'u', '2020-01-01Z', '{"n": 5, "on": false}', 0, 0, NULL), ('mail.drop', 'default', NULL, NULL, NULL, '2021-01-01Z', '{"n": 1}', 0, 1, NULL),
       ('sms', 'default', NULL, NULL, NULL, '2022-01-01Z', '[]', 2, 0, NULL), ('push', 'default', NULL, NULL, NULL, '2023-01-01Z', '{}', 0, 0, '2999-01-01');
DELETE FROM relevo.job WHERE kind ~ '^(d|live)';
SELECT assert.equal((SELECT string_agg(j.kind, ',' ORDER BY j.created_at) FROM relevo.job j WHERE relevo.job_matches(j, f::jsonb)), wanted, 'matches ' || f)
FROM (VALUES ('{}', 'mail.send,mail.drop,sms,push'), ('{"kind": "sms"}', 'sms'), ('{"kind": "mail.*"}', 'mail.send,mail.drop'), ('{"kind": "mail"}', NULL), ('{"kind": "*"}', 'mail.send,mail.drop,sms,push'),
  ('{"queue": "q"}', 'mail.send'), ('{"tenant": "t"}', 'mail.send'), ('{"concurrency_key": "c"}', 'mail.send'), ('{"unique_key": "u"}', 'mail.send'), ('{"unique_key": "v"}', NULL),
  ('{"state": "available"}', 'mail.send'), ('{"state": "retryable"}', 'mail.drop'), ('{"state": "dead"}', 'sms'), ('{"state": "scheduled"}', 'push'), ('{"state": "running"}', NULL),
  ('{"before": "2021-01-01Z"}', 'mail.send'), ('{"after": "2021-01-01Z"}', 'mail.drop,sms,push'), ('{"after": "2021-01-01Z", "before": "2022-06-01Z"}', 'mail.drop,sms'),
  ('{"payload": {"n": 5}}', 'mail.send'), ('{"payload_path": "$.n > 3"}', 'mail.send'), ('{"payload_path": "$.n ? (@ < 3)"}', 'mail.drop'), ('{"payload_path": "$.on"}', NULL), ('{"payload_path": "$.n"}', 'mail.send,mail.drop'),
  ('{"payload_path": "$.none"}', NULL), ('{"kind": "mail.*", "payload": {"n": 1}}', 'mail.drop')) v (f, wanted);
SELECT assert.that(relevo.job_matches(job(id_of('mail.drop')), '{"state": "running"}', true) AND NOT relevo.job_matches(job(id_of('mail.drop')), '{"state": "retryable"}', true), 'what the holder knows to run');

-- an operation: one signal per lane, page by page
DELETE FROM relevo.job; DELETE FROM relevo.job_history; DELETE FROM relevo.job_signal;
INSERT INTO relevo.job (kind, payload) SELECT CASE i % 2 WHEN 0 THEN 'even' ELSE 'odd' END, to_jsonb(i) FROM generate_series(1, 1000) i;
INSERT INTO relevo.job (kind, unique_key, state) VALUES ('even', 'waits', 0), ('even', 'runs', 1);
SELECT relevo.start_operation('cancel', '{"kind": "even"}') AS op \gset
SELECT assert.that(count(*) = 16 AND count(DISTINCT lane) = 16 AND bool_and(operation = :op AND job_id IS NULL), 'a signal per lane') FROM relevo.job_signal;
SELECT assert.fails(format($$EXECUTE job_apply_operation(%s, '{2,3}', '{1,99}', 0, 100, '{}')$$, :op), '40001', 'a lane is held in another epoch');
CREATE TABLE applied (lane int, last_id bigint, changed int, running bigint[]);
CREATE PROCEDURE apply(op bigint, skip bigint[]) LANGUAGE plpgsql AS $$
DECLARE
  r    jsonb;
  last bigint;
BEGIN
  TRUNCATE applied;
  FOR l IN 0..15 LOOP
    last := 0;
    WHILE last IS NOT NULL LOOP
      SELECT x INTO r FROM rows_of(format($q$EXECUTE job_apply_operation(%s, '{%s}', '{1}', %s, 100, %L)$q$, op, l, last, skip)) x;
      last := r ->> 'last_id';
      INSERT INTO applied VALUES (l, last, cardinality((r ->> 'changed_text')::bigint[]), (r ->> 'running_text')::bigint[]);
    END LOOP;
    EXECUTE format('EXECUTE job_operation_lane_done(%s, %s, 0)', op, (SELECT s.id FROM relevo.job_signal s WHERE s.operation = op AND s.lane = l));
  END LOOP;
END $$;
-- three are in flight: two plain ones and the marked one; a unique one that has no mark has not started
SELECT array_agg(id ORDER BY id) AS flying FROM (SELECT id FROM relevo.job WHERE kind = 'even' AND unique_key IS NULL LIMIT 2) x \gset
SELECT :'flying'::bigint[] || id AS skip FROM relevo.job WHERE unique_key = 'waits' \gset
CALL apply(:op, :'skip');
SELECT assert.equal(sum(changed), 499::bigint, 'cancelled') FROM applied;
SELECT assert.equal((SELECT array_agg(u ORDER BY u) FROM applied, unnest(running) u), :'flying'::bigint[] || (SELECT id FROM relevo.job WHERE unique_key = 'runs'), 'named: what the holder must stop');
SELECT assert.that(count(*) FILTER (WHERE kind = 'odd') = 500 AND count(*) FILTER (WHERE kind = 'even') = 3, 'left') FROM relevo.job;
SELECT assert.that(count(*) = 499 AND bool_and(outcome = 'cancelled' AND payload IS NOT NULL), 'history') FROM relevo.job_history;
SELECT assert.that(changed = 499 AND lanes_left = 0 AND finished_at IS NOT NULL, 'finished') FROM relevo.job_operation WHERE id = :op;
SELECT assert.that(max(n) = 11, 'pages of 100 rows') FROM (SELECT count(*) AS n FROM applied GROUP BY lane) x;
-- all lanes of a holder at once, and what was changed by its name
SELECT relevo.start_operation('cancel', '{"kind": "odd"}') AS op2 \gset
SELECT array_agg(lane ORDER BY lane) AS lanes, array_agg(epoch ORDER BY lane) AS epochs FROM relevo.lane \gset
SELECT array_agg(id ORDER BY id) AS odd FROM (SELECT id FROM relevo.job ORDER BY id LIMIT 300) x JOIN relevo.job USING (id) WHERE kind = 'odd' \gset
BEGIN;
SELECT assert.equal((r ->> 'changed_text')::bigint[], :'odd'::bigint[], 'changed in all lanes') FROM rows_of(format('EXECUTE job_apply_operation(%s, %L, %L, 0, 300, ''{}'')', :op2, :'lanes', :'epochs')) r;
ROLLBACK;
DELETE FROM relevo.job_signal WHERE operation = :op2;
SELECT assert.that(r ->> 'changed_text' = '{}' AND r ->> 'last_id' IS NULL AND r ->> 'running_text' = '{}', 'an operation that is gone') FROM rows_of($$EXECUTE job_apply_operation(999, '{0}', '{1}', 0, 100, '{}')$$) r;
-- by state: running means in flight
SELECT relevo.start_operation('cancel', '{"state": "running"}') AS op \gset
CALL apply(:op, :'skip');
SELECT assert.that((SELECT sum(changed) FROM applied) = 0 AND (SELECT count(*) FROM applied, unnest(running)) = 3, 'running ones are the holder''s');
-- retry: later ones run now, dead ones wait again, refused twins stay
DELETE FROM relevo.job;
INSERT INTO relevo.job (kind, run_at, state, unique_key) VALUES ('later', now() + interval '1 h', 0, NULL), ('flies', now() + interval '1 h', 0, NULL), ('now', NULL, 0, NULL), ('dead', now(), 2, NULL), ('twin', now(), 2, 'x'), ('live', NULL, 0, 'x');
SELECT relevo.start_operation('retry', '{}') AS op \gset
CALL apply(:op, ids_of('flies'));
SELECT assert.equal(string_agg(kind || ' ' || state || ' ' || token, ',' ORDER BY kind), 'dead 0 1,flies 0 0,later 0 1,live 0 0,now 0 0,twin 2 0', 'retried') FROM relevo.job;
SELECT assert.that((SELECT changed FROM relevo.job_operation WHERE id = :op) = 2 AND (SELECT count(*) FROM applied, unnest(running)) = 0, 'counted');
-- discard: the dead only
INSERT INTO relevo.job (kind, state) SELECT 'dead', 2 + i % 2 FROM generate_series(1, 250) i;
SELECT relevo.start_operation('discard', '{"state": "dead"}') AS op \gset
CALL apply(:op, '{}');
SELECT assert.that(count(*) FILTER (WHERE state = 2) = 0 AND count(*) FILTER (WHERE state = 3) = 125 AND count(*) FILTER (WHERE state < 2) = 5, 'discarded') FROM relevo.job;
SELECT assert.equal(changed, 126::bigint, 'counted') FROM relevo.job_operation WHERE id = :op;
-- a stranger's lock is not waited for
INSERT INTO relevo.job (kind, unique_key) VALUES ('locked', 'locked'), ('free', NULL);
SELECT assert.run('other', $$BEGIN; UPDATE relevo.job SET tenant = NULL WHERE kind = 'locked'$$) \g /dev/null
SELECT relevo.start_operation('cancel', '{}') AS op \gset
CALL apply(:op, '{}');
SELECT assert.run('other', 'ROLLBACK') \g /dev/null
SELECT assert.equal(array_agg(kind), '{locked}', 'a later wish stays') FROM relevo.job WHERE state < 2;
SELECT assert.equal(count(*), 5::bigint, 'operations for people') FROM rows_of('EXECUTE job_operations(5)') r;
SELECT 'ok';
