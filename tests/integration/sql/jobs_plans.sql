-- The plans of the statements about jobs, pinned as the program pins them, on tables that were never analysed.
\ir helpers/no_autovacuum.sql
-- a session that made its plans while the tables were small
VACUUM relevo.job, relevo.unique_hold;
SELECT relevo.enqueue('early', unique_key => 'early'), relevo.enqueue('gone', unique_key => 'gone') \g /dev/null
VACUUM relevo.job, relevo.unique_hold;
\if :{?small}
\ir helpers/small_plans.sql
\endif
SELECT relevo.enqueue('early', unique_key => 'early') FROM generate_series(1, 10) \g /dev/null
DO $$ BEGIN FOR i IN 1..10 LOOP PERFORM relevo.enqueue('e', unique_key => 'e' || i); COMMIT; END LOOP; END $$;
DELETE FROM relevo.job WHERE kind = 'e';
DO $$
BEGIN
  FOR i IN 1..20 LOOP
    INSERT INTO relevo.job (kind, queue, priority, run_at, state, concurrency_key, created_at)
    SELECT 'k' || j % 50, 'q' || j % 7, CASE WHEN j % 100 = 0 THEN 1 WHEN j % 10 = 0 THEN -1 ELSE 0 END,
           CASE j % 5 WHEN 0 THEN now() - j * interval '1 s' WHEN 1 THEN now() + j * interval '1 s' END, CASE WHEN j % 50 = 3 THEN 2 ELSE 0 END, CASE j % 3 WHEN 0 THEN 'c' || j % 20 END, now() - interval '1 h'
    FROM generate_series(1, 10000) j;
    COMMIT;
  END LOOP;
  FOR i IN 1..2000 LOOP INSERT INTO relevo.job (kind, unique_key) VALUES ('u', 'u' || i); END LOOP;
END $$;
INSERT INTO relevo.job_history (finished, job_id, outcome, queue, kind, priority, attempts, crashes, created_at)
SELECT now() + i % 5 * interval '1 day', i, 'completed', 'q', 'k', 0, 1, 0, now() FROM generate_series(1, 20000) i;
INSERT INTO relevo.job_attempt (job_id, attempt, outcome) SELECT i, 1, 'retry' FROM generate_series(1, 20000) i;
INSERT INTO relevo.inbox (subscription, event_id, day) SELECT 's', i, current_date FROM generate_series(1, 20000) i;
INSERT INTO relevo.unique_hold SELECT 'h' || i, i, now() + interval '1 h' FROM generate_series(1, 50000) i;
INSERT INTO relevo.tick SELECT i, i, (SELECT snapshot FROM relevo.tick WHERE id = 1), clock_timestamp() FROM generate_series((SELECT max(id) + 1 FROM relevo.tick), 20000) i;
INSERT INTO relevo.job_signal (lane, what, job_id) SELECT i % 16, 'cancel', i FROM generate_series(1, 20000) i;
SELECT relevo.enqueue_batch('[{"kind": "b"}]', '{"kind": "t"}') FROM generate_series(1, 2000) \g /dev/null
SELECT assert.equal(count(*), 0::bigint, 'analysed tables') FROM pg_stat_user_tables WHERE schemaname = 'relevo' AND (last_analyze IS NOT NULL OR last_autoanalyze IS NOT NULL) AND relname ~ '^(job|lane|inbox|tick)';
\ir helpers/plans.sql
\if :{?stale}
UPDATE pg_class c SET reltuples = 6, relpages = pg_relation_size(c.oid) / 8192 WHERE c.oid = 'relevo.job'::regclass OR c.oid IN (SELECT i.indexrelid FROM pg_index i WHERE i.indrelid = 'relevo.job'::regclass);
\endif
RESET enable_seqscan;
RESET enable_bitmapscan;
SELECT assert.that(buffers($$SELECT relevo.enqueue('early', unique_key => 'early')$$) < 300, 'enqueue finds a twin by its key');
SELECT assert.that(buffers($$SELECT relevo.enqueue('h', unique_key => 'h50000')$$) < 300, 'and a hold, and what it takes back');
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT array_agg(id) AS ids, array_agg(0) AS tokens FROM (SELECT id FROM relevo.job WHERE state = 0 AND batch IS NULL ORDER BY id LIMIT 500) x \gset
SELECT array_fill(NULL::text, ARRAY[500]) AS none, array_fill(1, ARRAY[500]) AS one, xid AS x FROM relevo.job WHERE id = 50000 \gset
SELECT '{0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15}' AS all \gset

-- reads: from the start of a class, from its middle, of one late transaction, of what is due
SELECT expect(format($$EXECUTE job_page(%s::smallint, '0', -1, '9000000000', pg_current_snapshot(), 15, %L)$$, c, :'all'), '^job$', '^job_feed$', 2000) FROM generate_series(0, 2) c;
SELECT expect(format($$EXECUTE job_page(1::smallint, %L, 50000, '9000000000', pg_current_snapshot(), 15, '{3}')$$, :'x'), '^job$', '^job_feed$', 2000);
SELECT expect(format($$EXECUTE job_page(1::smallint, '8000000000', -1, '9000000000', pg_current_snapshot(), 15, '{3}')$$), '^job$', '^job_feed$', 0);
SELECT expect(format($$EXECUTE job_late(1::smallint, '{%s,7999999999}', '0', -1, 15, %L)$$, :'x', :'all'), '^job$', '^job_feed$', 2000);
SELECT expect(format($$EXECUTE job_late(1::smallint, '{%s}', %L, 50000, 15, %L)$$, :'x', :'x', :'all'), '^job$', '^job_feed$', 2000);
SELECT expect(format($$EXECUTE job_peek('8000000000', '{%s,7999999999}', 15, %L)$$, :'x', :'all'), '^job$', '^job_feed$', 300);
SELECT expect(format($$EXECUTE job_peek(%L, '{}', 15, %L)$$, :'x', :'all'), '^job$', '^job_feed$', 300);
SELECT expect(format($$EXECUTE job_due(%s::smallint, '-infinity', -1, 15, %L)$$, c, :'all'), '^job$', '^job_due$', 2000) FROM generate_series(0, 2) c;
SELECT expect(format($$EXECUTE job_due(1::smallint, %L, 5, 15, %L)$$, now() - interval '50 s', :'all'), '^job$', '^job_due$', 2000);
SELECT expect(format($$EXECUTE job_due(1::smallint, %L, 5, 15, %L)$$, now(), :'all'), '^job$', '^job_due$', 0);
SELECT expect($$EXECUTE job_next_due('{-infinity,-infinity,-infinity}', '{-1,-1,-1}')$$, '^job$', '^job_due$', 3);
SELECT expect(format($$EXECUTE job_scan(1::smallint, %L, 50000, 'kind', 'k1*', 15, %L)$$, :'x', :'all'), '^job$', '^job_feed$', 2000);
SELECT expect(format($$EXECUTE job_of_key('c6', 0, 15, %L)$$, :'all'), '^job$', '^job_key$', 110);
SELECT expect(format('EXECUTE job_payloads(%L)', :'ids'), '^job$', '^job_pkey$', 500);
-- ends
BEGIN;
SELECT expect(format('EXECUTE job_still(%L, %L)', :'ids', :'tokens'), '^job$', '^job_pkey$', 500);
SELECT expect(format('EXECUTE job_finish(%L, %L)', :'ids', :'tokens'), '^job$', '^job_pkey$', 500);
ROLLBACK;
BEGIN;
SELECT expect(format('EXECUTE job_finish_full(%L, %L, %L, %L, %L, ''w'', %L, %L, %L)', :'ids', :'tokens', :'none', :'none', :'none', :'one', :'one', :'one'), '^job$', '^job_pkey$', 1000);
ROLLBACK;
BEGIN;
SELECT expect(format('EXECUTE job_fail(%L, %L, %L, %L, %L, %L, ''w'', %L)', :'ids', :'tokens', :'one', :'one', :'tokens', :'none', :'one'), '^job$', '^job_pkey$', 1000);
ROLLBACK;
BEGIN;
SELECT expect(format('EXECUTE job_crashed(%L, %L, 3, %L, %L, ''w'', %L)', :'ids', :'tokens', :'one', :'none', :'one'), '^job$', '^job_pkey$', 1000);
ROLLBACK;
-- lanes
EXECUTE lane_take('w', '1 h', 16, 16) \g /dev/null
SELECT format($$EXECUTE lane_journal('{0,1}', '{1,1}', '{1,1}', '{"%1$s","%1$s"}', '{"{}","{}"}', '{"{}","{}"}', '{[],[]}', '{0,1}', '{%2$s,%3$s}', '{0,0}')$$, '{19999,20000,0,-1,20000,19999,20000,0,-1,20000,19999,20000,0,-1,20000}',
  (SELECT min(id) FROM relevo.job WHERE kind = 'u'), (SELECT max(id) FROM relevo.job WHERE kind = 'u')) AS journal \gset
BEGIN;
SELECT expect(:'journal', '^lane$', '^lane_pkey$', 16);
ROLLBACK; BEGIN;
SELECT expect(:'journal', '^tick$', '^tick_pkey$', 6);
ROLLBACK; BEGIN;
SELECT expect(:'journal', '^job$', '^job_pkey$', 4);
ROLLBACK;
SELECT expect($$EXECUTE lane_renew('{0,1}', '{1,1}', 'w', '1 min')$$, '^lane$', '^lane_pkey$', 16);
SELECT expect($$EXECUTE lane_fence('{0,1}', '{1,1}')$$, '^lane$', '^lane_pkey$', 16);
-- the rest
SELECT expect($$EXECUTE job_signals('{0,1}')$$, '^job_signal$', '^job_signal_lane$', 2000);
SELECT expect($$EXECUTE job_signals_done('{1,2}')$$, '^job_signal$', '^job_signal_pkey$', 2);
SELECT expect($$EXECUTE job_sweep(0, ARRAY[pg_current_snapshot(), pg_current_snapshot(), pg_current_snapshot()], ARRAY[now(), now(), now()], '{0,0,0}', 15, '{0,1}')$$, '^job$', '^job_pkey$', 2000);
SELECT expect('EXECUTE job_show(50000)', '^job(_history.*|_attempt.*)?$', '(_pkey|job_id_idx|_job|job_id_at_idx)$', 2);
SELECT expect('EXECUTE job_show(3)', '^job(_history.*|_attempt.*)?$', '(_pkey|job_id_idx|_job|job_id_at_idx)$', 2);
SELECT relevo.schedule_put('s', 'k', '* * * * *') \g /dev/null
UPDATE relevo.schedule SET last_job = 50000;
SELECT expect('EXECUTE schedules_list', '^job(_history.*)?$', '(_pkey|job_id_idx)$', 2);
SELECT expect($$EXECUTE job_list('{}', 1000, 50)$$, '^job(_history.*)?$', '(_pkey|job_id_idx|_job|_dead)$', 101);
SELECT expect($$EXECUTE job_list('{"state": "dead"}', 1000, 50)$$, '^job$', '(_pkey|_dead)$', 101);
-- inside functions
UPDATE relevo.lane SET (open, open_token) = (:'ids'::bigint[], :'tokens'::int[]) WHERE lane = 0;
BEGIN;
SELECT assert.that(buffers('EXECUTE lane_settle(0::smallint, 1, 1, true, 3, ''1 min'', ''w'')') < 40 * 500, 'settle asks by id: ' || buffers('EXECUTE lane_settle(0::smallint, 1, 1, true, 3, ''1 min'', ''w'')')) \g /dev/null
ROLLBACK;
SELECT relevo.next_tick(), relevo.prune_ticks() \g /dev/null
BEGIN;
SELECT assert.that(buffers('SELECT relevo.next_tick()') < 200, 'next_tick asks by index');
ROLLBACK;
SELECT assert.that(buffers('SELECT relevo.prune_ticks()') < 1000, 'prune_ticks asks by index');
SELECT relevo.start_operation('discard', '{}') AS op \gset
BEGIN;
SELECT assert.that(buffers(format('EXECUTE job_apply_operation(%s, ''{0}'', ''{1}'', 0, 100, ''{}'')', :op)) < 3000, 'a page of the dead');
ROLLBACK;
SELECT relevo.enqueue_batch('[{"kind": "last"}]', '{"kind": "t"}') AS b \gset
BEGIN;
SELECT assert.that(buffers(format('SELECT relevo.batch_ended(''{%s}'')', :b)) < 300, 'a batch ends by id');
ROLLBACK;
BEGIN;
SELECT assert.that(buffers('SELECT relevo.enqueue(''k'', unique_key => ''u7'', on_conflict => ''replace'')') < 300, 'enqueue asks by key');
ROLLBACK;
SELECT assert.that(buffers('EXECUTE queue_figures') < 60000, 'figures read a bounded part');
SELECT 'ok';
