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

-- parked messages
CREATE FUNCTION park(subscription text, at bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT (r ->> 'id')::bigint FROM rows_of(format($q$EXECUTE message_park(%L, 't', 3, %s, 'e', '\x01', '\x0203', '{"h": "v"}', 'no', 4)$q$, subscription, at)) r $$;
SELECT park('s', 10) AS a, park('s', 11) AS b, park('r', 10) AS c \gset
SELECT assert.that(:a < :b AND :b < :c AND park('s', 10) IS NULL, 'a redelivery parks once');
SELECT assert.that(r ->> 'subscription' = 's' AND r ->> 'topic' = 't' AND (r ->> 'partition')::int = 3 AND (r ->> 'record_offset')::int = 10 AND r ->> 'event_id' = 'e' AND r ->> 'key' = '\x01' AND r ->> 'payload' = '\x0203'
  AND (r ->> 'headers_text')::jsonb = '{"h": "v"}' AND r ->> 'error' = 'no' AND (r ->> 'attempts')::int = 4 AND r ->> 'redriven_at' IS NULL, 'all of it') FROM rows_of(format($$EXECUTE message_by_ids('{%s}')$$, :a)) r;
EXECUTE message_park('s', 't', 3, 12, NULL, NULL, NULL, NULL, 'tombstone', 1) \gset d_
SELECT assert.equal(ids($$EXECUTE messages_list(0, NULL, 10)$$), ARRAY[:a, :b, :c, :d_id]::bigint[], 'all');
SELECT assert.equal(ids(format($$EXECUTE messages_list(%s, 's', 1)$$, :a)), ARRAY[:b]::bigint[], 'of a subscription, beyond an id, so many');
SELECT assert.equal(string_agg(r ->> 'payload_size', ','), '2,2,2', 'sizes') FROM rows_of($$EXECUTE messages_list(0, NULL, 10)$$) r;
CREATE FUNCTION counts() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(r ->> 'subscription' || ' ' || (r ->> 'messages'), ',') FROM rows_of('EXECUTE message_counts') r $$;
SELECT assert.equal(counts(), 'r 1,s 3', 'counts');
SELECT assert.equal(ids(format($$EXECUTE message_redriven('{%s,%s,999}')$$, :a, :c)), ARRAY[:a, :c]::bigint[], 'redriven');
SELECT assert.equal(ids(format($$EXECUTE message_redriven('{%s}')$$, :a)), '{}', 'once');
SELECT assert.equal(counts(), 's 2', 'what waits');
SELECT assert.equal(ids(format($$EXECUTE message_drop('{%s,%s,999}')$$, :a, :b)), ARRAY[:a, :b]::bigint[], 'dropped');
SELECT assert.equal(counts(), 's 1', 'what waits');
INSERT INTO relevo.dead_message (subscription, topic, partition, record_offset, error, attempts) SELECT 'many', 't', 0, i, 'e', 1 FROM generate_series(1, 10100) i;
SELECT assert.equal(counts(), 'many 10001,s 1', 'counts are bounded');
SELECT 'ok';
