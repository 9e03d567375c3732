-- What a subscription has consumed, and the messages that it could not.

-- name: inbox_seen
-- $1 subscription, $2 event ids, $3 their days. In the handler's transaction, in one order: two that consume
-- the same events wait for each other, and no more. Returns the new ones; a missing id was consumed before.
INSERT INTO relevo.inbox (subscription, event_id, day)
SELECT $1::text, k.event_id, k.day FROM unnest($2::text[], $3::date[]) k (event_id, day)
ORDER BY k.event_id, k.day
ON CONFLICT DO NOTHING RETURNING event_id;

-- name: inbox_withdraw
-- $1 subscription, $2 event id, $3 its day. Of an event that the same transaction entered: it is to come again.
DELETE FROM relevo.inbox i WHERE i.subscription = $1::text AND i.event_id = $2::text AND i.day = $3::date;

-- name: message_park
-- $1 subscription, $2 topic, $3 partition, $4 offset, $5 event id, $6 key, $7 payload, $8 headers, $9 error, $10 attempts, $11 error class,
-- $12 time of the record and $13 of the first failure, in microseconds after 1970, $14 the failed attempts. No row: it is parked already.
INSERT INTO relevo.dead_message (subscription, topic, partition, record_offset, event_id, key, payload, headers, error, attempts, error_class,
                                 record_time, first_failed_at, attempt_log)
VALUES ($1::text, $2::text, $3::int, $4::bigint, $5::text, $6::bytea, $7::bytea, $8::jsonb, $9::text, $10::int, $11::text,
        to_timestamp($12::bigint / 1e6), to_timestamp($13::bigint / 1e6), $14::jsonb)
ON CONFLICT DO NOTHING RETURNING id;

-- name: message_to_redrive unpinned
-- $1 subscription. The first message to be tried again that nobody else is trying; nobody else does until the end of the transaction.
SELECT m.id, m.topic, m.partition, m.record_offset, m.key, m.payload, m.headers::text AS headers_text, m.attempts, m.record_time,
       m.attempt_log::text AS attempt_log_text
FROM relevo.dead_message m WHERE m.subscription = $1::text AND m.redriven_at IS NOT NULL
ORDER BY m.id LIMIT 1 FOR UPDATE SKIP LOCKED;

-- name: message_done
-- $1 id: a redrive succeeded.
DELETE FROM relevo.dead_message m WHERE m.id = $1::bigint;

-- name: message_park_again
-- $1 id, $2 error, $3 attempts, $4 error class, $5 the failed attempts: a redrive failed.
UPDATE relevo.dead_message m SET redriven_at = NULL, error = $2::text, attempts = $3::int, error_class = $4::text, attempt_log = $5::jsonb
WHERE m.id = $1::bigint AND m.redriven_at IS NOT NULL;

-- name: messages_list
-- For people. $1 id after which to go on (0 at first), $2 subscription or NULL, $3 limit. No payload; those to be tried again have redriven_at.
SELECT m.id, m.subscription, m.topic, m.partition, m.record_offset, m.event_id, octet_length(m.payload) AS payload_size, m.error_class, m.error,
       m.attempts, m.first_failed_at, m.at, m.redriven_at
FROM relevo.dead_message m WHERE m.id > $1::bigint AND ($2::text IS NULL OR m.subscription = $2::text)
ORDER BY m.id LIMIT $3::int;

-- name: message_by_ids
-- $1 ids
SELECT m.id, m.subscription, m.topic, m.partition, m.record_offset, m.event_id, octet_length(m.payload) AS payload_size, m.error_class, m.error,
       m.attempts, m.first_failed_at, m.at, m.redriven_at, m.key, m.payload, m.headers::text AS headers_text, m.attempt_log::text AS attempt_log_text
FROM relevo.dead_message m WHERE m.id = ANY ($1::bigint[]) ORDER BY m.id;

-- name: message_redriven
-- For people. $1 ids, $2 who. Those that were not marked yet.
WITH changed AS (
  UPDATE relevo.dead_message m SET redriven_at = clock_timestamp()
  WHERE m.id = ANY ($1::bigint[]) AND m.redriven_at IS NULL RETURNING m.id, m.subscription
), told AS (
  INSERT INTO relevo.audit_log (actor, action, subject_type, subject_id, from_state, to_state, details)
  SELECT $2::text, 'redrive', 'dead_message', c.id::text, 'parked', 'retry', jsonb_build_object('subscription', c.subscription) FROM changed c
)
SELECT c.id FROM changed c ORDER BY c.id;

-- name: message_drop
-- For people. $1 ids, $2 who, $3 why. Their messages are gone but for the line in the audit log.
WITH gone AS (
  DELETE FROM relevo.dead_message m WHERE m.id = ANY ($1::bigint[])
  RETURNING m.id, m.subscription, m.topic, m.partition, m.record_offset, m.event_id, m.redriven_at
), told AS (
  INSERT INTO relevo.audit_log (actor, action, subject_type, subject_id, from_state, to_state, reason, details)
  SELECT $2::text, 'drop', 'dead_message', g.id::text, CASE WHEN g.redriven_at IS NULL THEN 'parked' ELSE 'retry' END, 'dropped', $3::text,
         jsonb_build_object('subscription', g.subscription, 'topic', g.topic, 'partition', g.partition, 'offset', g.record_offset,
                            'event_id', g.event_id) FROM gone g
)
SELECT g.id FROM gone g ORDER BY g.id;

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
