-- What a subscription has consumed, and the messages that it could not.

-- name: inbox_seen
-- $1 subscription, $2 event ids, $3 their days. In the handler's transaction, in one order: two that consume
-- the same events wait for each other, and no more. Returns the new ones; a missing id was consumed before.
INSERT INTO relevo.inbox (subscription, event_id, day)
SELECT $1::text, k.event_id, k.day FROM unnest($2::text[], $3::date[]) k (event_id, day)
ORDER BY k.event_id, k.day
ON CONFLICT DO NOTHING RETURNING event_id;

-- name: message_park
-- $1 subscription, $2 topic, $3 partition, $4 offset, $5 event id, $6 key, $7 payload, $8 headers, $9 error, $10 attempts. No row: it is parked already.
INSERT INTO relevo.dead_message (subscription, topic, partition, record_offset, event_id, key, payload, headers, error, attempts)
VALUES ($1::text, $2::text, $3::int, $4::bigint, $5::text, $6::bytea, $7::bytea, $8::jsonb, $9::text, $10::int)
ON CONFLICT DO NOTHING RETURNING id;

-- name: messages_list
-- For people. $1 id after which to go on (0 at first), $2 subscription or NULL, $3 limit. No payload; redriven ones have redriven_at.
SELECT m.id, m.subscription, m.topic, m.partition, m.record_offset, m.event_id, octet_length(m.payload) AS payload_size, m.error, m.attempts,
       m.at, m.redriven_at
FROM relevo.dead_message m WHERE m.id > $1::bigint AND ($2::text IS NULL OR m.subscription = $2::text)
ORDER BY m.id LIMIT $3::int;

-- name: message_by_ids
-- $1 ids
SELECT m.id, m.subscription, m.topic, m.partition, m.record_offset, m.event_id, m.key, m.payload, m.headers::text AS headers_text, m.error,
       m.attempts, m.at, m.redriven_at
FROM relevo.dead_message m WHERE m.id = ANY ($1::bigint[]) ORDER BY m.id;

-- name: message_redriven
-- $1 ids. Those that were not yet.
UPDATE relevo.dead_message m SET redriven_at = clock_timestamp() WHERE m.id = ANY ($1::bigint[]) AND m.redriven_at IS NULL RETURNING m.id;

-- name: message_drop
-- $1 ids
DELETE FROM relevo.dead_message m WHERE m.id = ANY ($1::bigint[]) RETURNING m.id;

-- name: message_counts
-- Messages that wait, per subscription, at most 10,001 of each. Steps from subscription to subscription through the index.
WITH RECURSIVE s (subscription) AS (
  (SELECT m.subscription FROM relevo.dead_message m WHERE m.redriven_at IS NULL ORDER BY m.subscription LIMIT 1)
  UNION ALL
  SELECT (SELECT m.subscription FROM relevo.dead_message m
          WHERE m.redriven_at IS NULL AND m.subscription > s.subscription ORDER BY m.subscription LIMIT 1)
  FROM s WHERE s.subscription IS NOT NULL
)
SELECT s.subscription, c.messages, c.oldest_at FROM s
CROSS JOIN LATERAL (
  SELECT count(*) AS messages, min(f.at) AS oldest_at
  FROM (SELECT m.at FROM relevo.dead_message m WHERE m.subscription = s.subscription AND m.redriven_at IS NULL ORDER BY m.id LIMIT 10001) f) c
WHERE s.subscription IS NOT NULL;
