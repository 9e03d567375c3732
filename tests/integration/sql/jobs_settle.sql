-- A worker is lost: its journal is settled; the sweeper finds what stands nowhere.
\ir helpers/jobs.sql
SELECT assert.connect('other') \g /dev/null
SET lock_timeout = '5s';

-- a running, b snoozed for a week, c dead (both still in the journal), d unique and running, e its last crash, f locked by a late
-- result, g unique and never marked, h unique with a run owed
INSERT INTO relevo.job (kind) SELECT unnest('{a,b,c,e,f}'::text[]);
SELECT relevo.enqueue('d', unique_key => 'd'), relevo.enqueue('g', unique_key => 'g'), relevo.enqueue('h', unique_key => 'h') \g /dev/null
UPDATE relevo.job SET crashes = 2 WHERE kind IN ('e', 'h');
UPDATE relevo.job SET state = 1 WHERE kind IN ('d', 'h');
SELECT relevo.enqueue('h', unique_key => 'h', on_conflict => 'after_running') \g /dev/null
EXECUTE lane_take('w1', '1 h', 16, 16) \g /dev/null
SELECT claim(3, 'a,b,c,d,e,f,g,h') \g /dev/null
SELECT assert.equal(cardinality(ids(format($$EXECUTE job_fail(%L, '{0,0}', '{0,5}', '{604800000,0}', '{0,2}', '{NULL,no}', 'w1', '{1,1}')$$, ids_of('b,c')))), 2, 'outcomes after the last journal');
SELECT string_agg(j::text, ';' ORDER BY id) AS before FROM relevo.job j WHERE kind IN ('b', 'c') \gset
UPDATE relevo.lane SET expires = '-infinity' WHERE lane = 3;
EXECUTE lane_take('w2', '1 h', 16, 16) \gset t_
SELECT assert.that(:t_lane = 3 AND :t_epoch = 2 AND cardinality(:'t_open_text'::bigint[]) = 8 AND cardinality(:'t_open_token_text'::int[]) = 8 AND :'t_previous_holder' = 'w1', 'a take-over leaves the journal alone');
SELECT assert.that(count(*) = 1 AND min(r ->> 'ver') IS NULL, 'an old epoch is fenced') FROM rows_of(format($$EXECUTE lane_settle(3::smallint, 1, %s, true, 3, '1 min', 'w1')$$, :t_ver)) r;
SELECT assert.that(count(*) = 1 AND min(r ->> 'ver') IS NULL, 'an old ver is fenced') FROM rows_of(format($$EXECUTE lane_settle(3::smallint, 2, %s, true, 3, '1 min', 'w1')$$, :t_ver - 1)) r;
SELECT assert.that((job(id_of('a'))).crashes = 0, 'and counts nothing');
SELECT assert.run('other', 'BEGIN'), assert.run('other', $$DELETE FROM relevo.job WHERE kind = 'f'$$) \g /dev/null
EXECUTE lane_settle(3::smallint, 2, :t_ver, true, 3, '1 min', 'w1') \gset s_
SELECT assert.that(:s_left_open = 1 AND :s_ver = :t_ver + 1, 'the locked row stays in the journal');
SELECT assert.run('other', 'COMMIT') \g /dev/null
SELECT assert.that(j.token = 1 AND j.crashes = 1 AND j.state = 0 AND j.error = 'the worker process was lost' AND j.run_at > clock_timestamp() + interval '50 s', j.kind || ': the crash is counted') FROM relevo.job j WHERE kind IN ('a', 'd');
SELECT assert.that(j.token = 1 AND j.crashes = 3 AND j.state = 3 AND j.run_at <= clock_timestamp(), 'e: quarantined') FROM job(id_of('e')) j;
SELECT assert.that(j.token = 1 AND j.crashes = 0 AND j.state = 0 AND j.error IS NULL AND j.run_at <= clock_timestamp(), 'g: never started, not blamed, not lost') FROM job(id_of('g')) j;
SELECT assert.that(j.token = 1 AND j.crashes = 2 AND j.state = 0 AND NOT j.again AND j.error IS NULL AND j.run_at <= clock_timestamp(), 'h: what is owed is not quarantined, and stays a suspect') FROM job(id_of('h')) j;
SELECT assert.equal(string_agg(j::text, ';' ORDER BY id), :'before', 'b, c: the week-long snooze and the dead job are untouched') FROM relevo.job j WHERE kind IN ('b', 'c');
SELECT assert.equal(string_agg(j.kind || ' ' || a.attempt || ' ' || a.worker, ',' ORDER BY j.kind), 'a 1 w1,d 1 w1,e 3 w1,h 3 w1', 'attempts') FROM relevo.job_attempt a JOIN relevo.job j ON j.id = a.job_id WHERE a.outcome = 'crash';
EXECUTE lane_settle(3::smallint, 2, :s_ver, true, 3, '1 min', 'w1') \gset s_
SELECT assert.that(:s_left_open = 0 AND (SELECT open = '{}' AND open_token = '{}' AND ver = :s_ver FROM relevo.lane WHERE lane = 3), 'the late result has committed: the journal is empty');
-- the same process took it back: nothing is counted
SELECT claim(3, 'a') \g /dev/null
EXECUTE lane_settle(3::smallint, 2, :s_ver, false, 3, '1 min', NULL) \gset s_
SELECT assert.that(j.token = 2 AND j.crashes = 1 AND j.run_at <= clock_timestamp(), 'a: no crash counted') FROM job(id_of('a')) j;
SELECT assert.equal(count(*), 4::bigint, 'attempts') FROM relevo.job_attempt WHERE outcome = 'crash';
-- worker not known
SELECT claim(3, 'a') \g /dev/null
SELECT ver AS s_ver FROM relevo.settle(3::smallint, 2, :s_ver, true, 9, '1 min') \gset
SELECT assert.that(count(*) = 1, 'an attempt without a name') FROM relevo.job_attempt WHERE worker IS NULL;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT assert.fails($$EXECUTE lane_settle(3::smallint, 2, 1, true, 3, '1 min', NULL)$$, '25000', 'READ COMMITTED only');
ROLLBACK;
-- it blames each row that the old holder could have started, however many
INSERT INTO relevo.job (kind) SELECT 'many' FROM generate_series(1, 512);
SELECT claim(3, 'many') \g /dev/null
EXECUTE lane_settle(3::smallint, 2, :s_ver, true, 3, '1 min', 'w1') \gset s_
SELECT assert.that(count(*) = 512 AND bool_and(crashes = 1 AND token = 1), 'a full journal') FROM relevo.job WHERE kind = 'many';
-- a take-over finds what is due from the start, not from where the lost one stood
SELECT id AS a FROM relevo.job WHERE kind = 'a' \gset
UPDATE relevo.job SET run_at = now() - interval '10 s' WHERE kind = 'a';
SELECT assert.that(:a = ANY (ids($$EXECUTE job_due(1::smallint, '-infinity', -1, 0, '{0}')$$)) AND NOT :a = ANY (ids(format($$EXECUTE job_due(1::smallint, %L, -1, 0, '{0}')$$, now()))), 'restart of the due scan');

-- the sweeper: overdue by ten minutes, passed, in no journal; and marks without a journal
DELETE FROM relevo.job; UPDATE relevo.lane SET open = '{}', open_token = '{}';
INSERT INTO relevo.job (kind, created_at, run_at) VALUES ('s1', now() - interval '1 h', NULL), ('s2', now(), now() - interval '11 min'), ('s3', now(), now() - interval '9 min'), ('s4', now(), NULL), ('s5', now() - interval '1 h', NULL);
INSERT INTO relevo.job (kind, state, unique_key) VALUES ('s6', 1, 's6'), ('s7', 1, 's7'), ('s8', 2, NULL);
SELECT claim(3, 's5,s7') \g /dev/null
CREATE FUNCTION sweep(after bigint, a text, due_at text) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_agg(r) FROM rows_of(format($q$EXECUTE job_sweep(%s, ARRAY[%L, %L, %L]::pg_snapshot[], ARRAY[%L, %L, %L]::timestamptz[], '{0,0,0}', 0, '{0}')$q$, after, a, a, a, due_at, due_at, due_at)) r $$;
CREATE FUNCTION swept(sweep jsonb) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(j.kind, ',' ORDER BY j.kind) FROM jsonb_array_elements(sweep) s JOIN relevo.job j ON j.id = (s ->> 'id')::bigint WHERE s ->> 'token' IS NOT NULL $$;
SELECT assert.equal(swept(sweep(0, pg_current_snapshot()::text, now()::text)), 's1,s2,s6', 'swept');
SELECT assert.equal(swept(sweep(0, '1:1:', '-infinity')), 's6', 'a backlog not yet read is not swept');
SELECT assert.that((s -> -1 ->> 'id')::bigint = id_of('s8') AND s -> -1 ->> 'token' IS NULL, 'how far') FROM (SELECT sweep(0, '1:1:', '-infinity') AS s) x;
SELECT assert.that(jsonb_array_length(s) = 1 AND s -> 0 ->> 'id' IS NULL, 'the end') FROM (SELECT sweep(id_of('s8'), '1:1:', '-infinity') AS s) x;
UPDATE relevo.job SET again = true, run_at = now() + interval '1 h' WHERE kind = 's6';
SELECT array_agg(l ORDER BY l) AS lanes, array_agg(e ORDER BY l) AS epochs FROM (SELECT lane AS l, epoch AS e FROM relevo.lane) x \gset
SELECT assert.equal(ids(format($$EXECUTE job_sweep_fix('{0}', '{99}', %L, '{0,0,0,0}')$$, ids_of('s1,s2,s6,s8'))), '{}', 'lanes that are lost: nothing');
SELECT assert.equal(ids(format($$EXECUTE job_sweep_fix(%L, %L, %L, '{0,0,0,0}')$$, :'lanes', :'epochs', ids_of('s1,s2,s6,s8'))), ids_of('s1,s2,s6'), 'put back');
SELECT assert.that(bool_and(state = 0 AND token = 1 AND NOT again AND (run_at <= clock_timestamp() OR kind = 's6')), 'they wait again') FROM relevo.job WHERE kind IN ('s1', 's2', 's6');
SELECT assert.that((job(id_of('s6'))).run_at > now() + interval '59 min', 'what is owed at its own time');
SELECT assert.equal(string_agg(state, ',' ORDER BY kind), 'available,running', 'the view: a plain row in a journal runs') FROM relevo.jobs WHERE kind IN ('s4', 's5');
SELECT 'ok';
