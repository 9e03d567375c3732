-- The inbox of consumers, and the messages they could not consume.
\ir helpers/jobs.sql
SELECT assert.connect('other') \g /dev/null
SET lock_timeout = '5s';
CREATE FUNCTION seen(subscription text, events text, days text) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(r ->> 'event_id', ',' ORDER BY r ->> 'event_id') FROM rows_of(format('EXECUTE inbox_seen(%L, %L, %L)', subscription, events, days)) r $$;

SELECT assert.equal(seen('s', '{e1,e2}', '{2026-11-22,2026-11-22}'), 'e1,e2', 'new');
SELECT assert.equal(seen('s', '{e2,e3}', '{2026-11-22,2026-11-22}'), 'e3', 'one was consumed before');
SELECT assert.equal(seen('t', '{e2}', '{2026-11-22}'), 'e2', 'another subscription');
UPDATE relevo.inbox SET at = at - interval '1 day';
SELECT assert.equal(seen('s', '{e1}', '{2026-11-22}'), NULL, 'once, also after midnight: by the event''s own day');
SELECT assert.equal(seen('s', '{old,far}', '{1999-01-01,2999-01-01}'), 'far,old', 'any day');
SELECT assert.equal(seen('s', '{twice,twice}', '{2026-11-22,2026-11-22}'), 'twice', 'twice in one call');
-- somebody consumes it at this moment: wait for the outcome
SELECT assert.run('other', $$BEGIN; INSERT INTO relevo.inbox (subscription, event_id, day) VALUES ('s', 'now', '2026-11-22')$$) \g /dev/null
SET lock_timeout = '100ms';
SELECT assert.fails($$EXECUTE inbox_seen('s', '{now}', '{2026-11-22}')$$, '55P03', 'lock timeout');
SELECT assert.run('other', 'ROLLBACK') \g /dev/null
SELECT assert.equal(seen('s', '{now}', '{2026-11-22}'), 'now', 'rolled back: new');
EXECUTE inbox_withdraw('s', 'now', '2026-11-22');
SELECT assert.equal(seen('s', '{now}', '{2026-11-22}'), 'now', 'withdrawn: it comes again');

-- parked messages
CREATE FUNCTION park(subscription text, at bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT (r ->> 'id')::bigint FROM rows_of(format($q$EXECUTE message_park(%L, 't', 3, %s, 'e', '\x01', '\x0203', '{"h": "v"}', 'no', 4, 'rejected', 1000000, 2000000, '[{"attempt": 4}]')$q$, subscription, at)) r $$;
SELECT park('s', 10) AS a, park('s', 11) AS b, park('r', 10) AS c \gset
SELECT assert.that(:a < :b AND :b < :c AND park('s', 10) IS NULL, 'a redelivery parks once');
SELECT assert.that(r ->> 'subscription' = 's' AND r ->> 'topic' = 't' AND (r ->> 'partition')::int = 3 AND (r ->> 'record_offset')::int = 10 AND r ->> 'event_id' = 'e' AND r ->> 'key' = '\x01' AND r ->> 'payload' = '\x0203'
  AND (r ->> 'headers_text')::jsonb = '{"h": "v"}' AND r ->> 'error' = 'no' AND (r ->> 'attempts')::int = 4 AND r ->> 'error_class' = 'rejected' AND (r ->> 'first_failed_at')::timestamptz = '1970-01-01 00:00:02Z' AND r ->> 'redriven_at' IS NULL
  AND (r ->> 'attempt_log_text')::jsonb = '[{"attempt": 4}]', 'all of it') FROM rows_of(format($$EXECUTE message_by_ids('{%s}')$$, :a)) r;
EXECUTE message_park('s', 't', 3, 12, NULL, NULL, NULL, NULL, 'tombstone', 1, 'undecodable', 1000000, 2000000, '[]') \gset d_
SELECT assert.equal(ids($$EXECUTE messages_list(0, NULL, 10)$$), ARRAY[:a, :b, :c, :d_id]::bigint[], 'all');
SELECT assert.equal(ids(format($$EXECUTE messages_list(%s, 's', 1)$$, :a)), ARRAY[:b]::bigint[], 'of a subscription, beyond an id, so many');
SELECT assert.equal(string_agg(r ->> 'payload_size', ','), '2,2,2', 'sizes') FROM rows_of($$EXECUTE messages_list(0, NULL, 10)$$) r;
CREATE FUNCTION counts() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(r ->> 'subscription' || ' ' || (r ->> 'messages'), ',') FROM rows_of('EXECUTE message_counts') r $$;
SELECT assert.equal(counts(), 'r 1,s 3', 'counts');
SELECT assert.equal(ids(format($$EXECUTE message_redriven('{%s,%s,999}', 'eva')$$, :a, :c)), ARRAY[:a, :c]::bigint[], 'redriven');
SELECT assert.equal(ids(format($$EXECUTE message_redriven('{%s}', 'eva')$$, :a)), '{}', 'once');
SELECT assert.equal(counts(), 's 2', 'what waits');
-- a redrive: one at a time, done or parked again
BEGIN;
SELECT assert.equal(ids($$EXECUTE message_to_redrive('s')$$), ARRAY[:a]::bigint[], 'the first marked one');
SELECT assert.that(NOT EXISTS (SELECT FROM assert.dblink('other', $$SELECT id FROM relevo.dead_message WHERE subscription = 's' AND redriven_at IS NOT NULL FOR UPDATE SKIP LOCKED$$) t (id bigint)), 'nobody else tries it');
SELECT assert.equal(r ->> 'attempt_log_text', '[{"attempt": 4}]', 'with its failed attempts') FROM rows_of($$EXECUTE message_to_redrive('s')$$) r;
EXECUTE message_park_again(:a, 'again', 5, 'exhausted', '[{"attempt": 4}, {"attempt": 5}]');
COMMIT;
SELECT assert.that(m.redriven_at IS NULL AND m.error = 'again' AND m.attempts = 5 AND m.error_class = 'exhausted' AND m.attempt_log = '[{"attempt": 4}, {"attempt": 5}]', 'parked again') FROM relevo.dead_message m WHERE m.id = :a;
SELECT assert.equal(ids($$EXECUTE message_to_redrive('s')$$), '{}', 'none marked');
SELECT assert.fails(format($$UPDATE relevo.dead_message SET attempt_log = %L$$, log), '23514', 'dead_message_attempt_log_is_bounded') FROM (SELECT jsonb_agg(i) FROM generate_series(1, 21) i UNION ALL VALUES (jsonb '{}'), ('null')) v (log);
EXECUTE message_done(:c);
SELECT assert.that(NOT EXISTS (SELECT FROM relevo.dead_message WHERE id = :c), 'done');
SELECT assert.equal(ids(format($$EXECUTE message_drop('{%s,%s,999}', 'eva', 'not wanted')$$, :a, :b)), ARRAY[:a, :b]::bigint[], 'dropped');
SELECT assert.equal(string_agg(concat_ws(' ', actor, action, subject_id, from_state, to_state, reason), ',' ORDER BY action, subject_id::int), format('eva drop %1$s parked dropped not wanted,eva drop %2$s parked dropped not wanted,eva redrive %1$s parked retry,eva redrive %3$s parked retry', :a, :b, :c), 'who did it') FROM relevo.audit_log;
SELECT assert.fails('UPDATE relevo.audit_log SET actor = NULL', '42501', 'a line is never changed');
SELECT assert.equal(counts(), 's 1', 'what waits');
INSERT INTO relevo.dead_message (subscription, topic, partition, record_offset, error, attempts) SELECT 'many', 't', 0, i, 'e', 1 FROM generate_series(1, 10100) i;
SELECT assert.equal(counts(), 'many 10001,s 1', 'counts are bounded');
SELECT 'ok';
