-- The plans of the relay's statements, pinned as the relay pins them, on tables that were never analysed.
\ir helpers/no_autovacuum.sql
SELECT setval('relevo.outbox_id_seq', 850000) \g /dev/null
\if :{?small}
SELECT relevo.publish('order', '1', 'E', '1') FROM generate_series(1, 100) \g /dev/null
SELECT relevo.publish('order', '1', 'E', '1') \g /dev/null
VACUUM relevo.outbox_p0, relevo.outbox_p1, relevo.tick, relevo.position;
\ir helpers/small_plans.sql
DELETE FROM relevo.outbox;
SELECT setval('relevo.outbox_id_seq', 850000) \g /dev/null
\endif
DO $$
BEGIN
  FOR i IN 1..30 LOOP
    INSERT INTO relevo.outbox (aggregate_type, aggregate_id, event_type, payload) SELECT 'order', 'a' || j % 5000, 'E', repeat('x', 150)::bytea FROM generate_series(1, 10000) j;
    COMMIT;
  END LOOP;
END $$;
INSERT INTO relevo.tick SELECT i, i, (SELECT snapshot FROM relevo.tick WHERE id = 1), clock_timestamp() FROM generate_series((SELECT max(id) + 1 FROM relevo.tick), 20000) i;
INSERT INTO relevo.dead_event (id, shard, event_id, aggregate_type, aggregate_id, event_type, content_type, payload, created_at, reason, error, state)
SELECT o.id, hashtextextended(o.aggregate_id, 0) & 7, o.event_id, o.aggregate_type, o.aggregate_id, o.event_type, o.content_type, o.payload, o.created_at, 'rejected', '',
       CASE o.id % 3 WHEN 0 THEN 'parked' WHEN 1 THEN 'retry' ELSE 'skipped' END
FROM relevo.outbox o WHERE o.id < 870000;
SELECT assert.equal(count(*), 0::bigint, 'analysed tables') FROM pg_stat_user_tables WHERE schemaname = 'relevo' AND (last_analyze IS NOT NULL OR last_autoanalyze IS NOT NULL) AND relname ~ 'outbox_p[01]';

\ir helpers/plans.sql

-- an old window of one transaction with much behind it; a huge one
SELECT xid AS x1 FROM relevo.outbox WHERE id = 855000 \gset
SELECT xid AS x2 FROM relevo.outbox WHERE id = 865000 \gset
SELECT xid AS x30 FROM relevo.outbox WHERE id = 1145000 \gset
SELECT expect(format($$EXECUTE small_window(%L, %L, pg_current_snapshot(), 7, '{0,1,2,3,4,5,6,7}')$$, :'x30', pg_snapshot_xmax(pg_current_snapshot())), '^outbox', '_xid_idx$', 10000);
SELECT expect(format($$EXECUTE small_window(%L, %L, pg_current_snapshot(), 7, '{0,1,2,3,4,5,6,7}')$$, :'x1', :'x2'), '^outbox', '_xid_idx$', 2001);
SELECT expect(format($$EXECUTE small_window(%L, '9000000000', pg_current_snapshot(), 7, '{2}')$$, :'x1'), '^outbox', '_xid_idx$', 40000);
SELECT expect(format($$EXECUTE small_window_late('{%s}', 7, '{0,1,2,3,4,5,6,7}')$$, :'x1'), '^outbox', '_xid_idx$', 2001);
SELECT expect($$EXECUTE page(-1, '3:3:', pg_current_snapshot(), 7, '{0,1,2,3,4,5,6,7}')$$, '^outbox', '_pkey$', 2000);
SELECT expect($$EXECUTE page(1000000, '3:3:', pg_current_snapshot(), 7, '{3}')$$, '^outbox', '_pkey$', 2000);
SELECT expect($$EXECUTE page(999999, pg_current_snapshot(), pg_current_snapshot(), 7, '{3}')$$, '^outbox', '_pkey$', 2000);
SELECT expect($$EXECUTE payloads('{850010,1000010}')$$, '^outbox', '_pkey$', 2);
SELECT expect('EXECUTE backlog', '^outbox', '(_xid_idx|_pkey)$', 10001);
SELECT expect('EXECUTE backlog', '^tick', '^tick_pkey$', 20);
SELECT expect('EXECUTE partitions', '^outbox_p', '_pkey$', 22);
SELECT expect('EXECUTE shard_status', '^tick', '^tick_pkey$', 20);
SELECT expect($$EXECUTE tick_by_ids('{1,20000}')$$, '^tick', '^tick_pkey$', 2);
SELECT expect($$EXECUTE save('{0,1}', '{0,0}', '{0,0}', '{1,1}', '{20000,20000}', '{-1,-1}', '{20000,20000}')$$, '^tick', '^tick_pkey$', 2);
SELECT expect($$EXECUTE save('{0,1}', '{0,0}', '{0,0}', '{1,1}', '{20000,20000}', '{-1,-1}', '{20000,20000}')$$, '^position', '^position_pkey$', 8);
SELECT expect($$EXECUTE renew('{0,1}', '{0,0}', 'A', '1 min')$$, '^position', '^position_pkey$', 8);
SELECT expect($$EXECUTE park('{850001,1000001}', '{0,1}', '{1,1}', 'A', '{rejected,rejected}', '{no,no}', '{t,t}')$$, '^outbox', '_pkey$', 2);
SELECT expect($$EXECUTE dead_retry('{0,1,2,3,4,5,6,7}', 100)$$, '^dead_event', '^dead_event_(to_retry|open_by)', 3000);
SELECT expect($$EXECUTE dead_open('{0,1,2}', 100000)$$, '^dead_event', '^dead_event_open_by_shard$', 20000);
SELECT expect($$EXECUTE dead_open_of('{order}', '{a7}')$$, '^dead_event', '^dead_event_open_by', 1);
SELECT expect($$EXECUTE dead_skipped('{0}', 4102444800000000)$$, '^dead_event', '^dead_event_skipped$', 0);
SELECT expect($$EXECUTE dead_missing_topics('{0,1}')$$, '^dead_event', '^dead_event_without_topic$', 5);
SELECT expect($$EXECUTE dead_sent('{850002}')$$, '^dead_event', '^dead_event_pkey$', 1);
SELECT expect($$EXECUTE dead_failed('{850002}', '{0}', '{rejected}', '{no}', '{t}')$$, '^dead_event', '^dead_event_pkey$', 1);
SELECT expect($$EXECUTE dead_release('{order}', '{a7}')$$, '^dead_event', '^dead_event_(open_by|pkey)', 10);

-- the statements inside functions: bounded buffers tell the plan
SELECT buffers('SELECT relevo.next_tick()'), buffers(format('SELECT relevo.window_start(%L, %L)', :'x1', '{5,6}')), buffers('SELECT relevo.prune_ticks()'), relevo.ensure_partitions() \g /dev/null
SELECT assert.that(buffers(format('SELECT relevo.window_start(%L, %L)', :'x1', '{5,6}')) < 1000, 'window_start asks by index');
BEGIN;
SELECT assert.that(buffers('SELECT relevo.next_tick()') < 1000, 'next_tick asks by index');
ROLLBACK;
SELECT assert.that(buffers('SELECT relevo.prune_ticks()') < 1000, 'prune_ticks asks by index');
SELECT assert.that(buffers('SELECT relevo.ensure_partitions()') < 1000, 'ensure_partitions asks by index');
SELECT 'ok';
