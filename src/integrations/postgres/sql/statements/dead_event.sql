-- Dead events. An aggregate is blocked while it has a row that is not skipped: its later events are parked behind, with reason
-- queued_behind. Only the relay that holds the shard parks and releases, so it needs no lock against itself; an operator
-- changes single rows and leaves the followers to the relay (dead_release).

-- name: park
-- $1 ids, $2 shards, $3 epochs, $4 holder, $5 reasons, $6 errors, $7 target topics ('' for none). Returns the ids that are parked now, also
-- those of an earlier attempt whose answer was lost. An id not returned: fenced, or to be tried again.
WITH k AS MATERIALIZED (
  SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::bigint[], $5::text[], $6::text[], $7::text[])
                u (id, shard, epoch, reason, error, target_topic)
), parked AS (
  INSERT INTO relevo.dead_event AS d (id, shard, event_id, aggregate_type, aggregate_id, event_type, topic, tenant, content_type,
                                      payload, headers, created_at, reason, error, target_topic)
  SELECT o.id, k.shard, o.event_id, o.aggregate_type, o.aggregate_id, o.event_type, o.topic, o.tenant, o.content_type,
         o.payload, o.headers, o.created_at, k.reason, k.error, nullif(k.target_topic, '')
  FROM k
  JOIN relevo.position p ON p.shard = k.shard AND p.epoch = k.epoch AND p.holder = $4::text
  JOIN relevo.outbox o ON o.id = k.id
  FOR SHARE OF p
  ON CONFLICT (id) DO NOTHING
  RETURNING d.id
)
SELECT parked.id FROM parked
UNION
SELECT d.id FROM relevo.dead_event d JOIN k ON k.id = d.id
JOIN relevo.position p ON p.shard = k.shard AND p.epoch = k.epoch AND p.holder = $4::text;

-- name: dead_open
-- $1 shards, $2 limit. The aggregates that are blocked, each with its first row.
SELECT DISTINCT ON (d.shard, d.aggregate_type, d.aggregate_id) d.shard, d.aggregate_type, d.aggregate_id, d.id, d.state, d.reason
FROM relevo.dead_event d WHERE d.shard = ANY ($1::smallint[]) AND d.state <> 'skipped'
ORDER BY d.shard, d.aggregate_type, d.aggregate_id, d.id LIMIT $2::int;

-- name: dead_open_of
-- $1 aggregate types, $2 aggregate ids. The same for some aggregates, for instance after one of their rows was skipped; an
-- aggregate not returned is free.
SELECT h.shard, k.aggregate_type, k.aggregate_id, h.id, h.state, h.reason
FROM unnest($1::text[], $2::text[]) k (aggregate_type, aggregate_id)
CROSS JOIN LATERAL (
  SELECT d.shard, d.id, d.state, d.reason FROM relevo.dead_event d
  WHERE d.aggregate_type = k.aggregate_type AND d.aggregate_id = k.aggregate_id AND d.state <> 'skipped'
  ORDER BY d.id LIMIT 1) h;

-- name: dead_skipped
-- $1 shards, $2 changed since, in microseconds after 1970 (0 after taking a shard). These ids are not published, even when read again;
-- the latest 10,000 are enough, since positions pass them soon. Ask with some overlap: changed_at is set before the commit.
SELECT d.id, d.shard, d.aggregate_type, d.aggregate_id, d.changed_at FROM relevo.dead_event d
WHERE d.shard = ANY ($1::smallint[]) AND d.state = 'skipped' AND d.changed_at >= to_timestamp($2::bigint / 1e6)
ORDER BY d.changed_at DESC LIMIT 10000;

-- name: dead_retry
-- $1 shards, $2 limit. Rows to send now, in the order of ids, in the columns of the read statements and attempts, reason.
SELECT d.id, d.shard, d.event_id, d.aggregate_type, d.aggregate_id, d.event_type, d.topic, d.tenant, d.content_type,
       CASE WHEN octet_length(d.payload) <= 2048 THEN d.payload END AS payload, octet_length(d.payload) AS payload_size,
       nullif(d.headers, '{}')::text AS headers_text, d.created_at, d.attempts, d.reason
FROM unnest($1::smallint[]) k (shard)
CROSS JOIN LATERAL (
  SELECT * FROM relevo.dead_event r
  WHERE r.shard = k.shard AND r.state = 'retry'
    AND NOT EXISTS (SELECT FROM relevo.dead_event e
                    WHERE e.aggregate_type = r.aggregate_type AND e.aggregate_id = r.aggregate_id AND e.id < r.id AND e.state = 'parked')
  ORDER BY r.id LIMIT $2::int) d
ORDER BY d.id LIMIT $2::int;

-- name: dead_payloads
-- $1 ids
SELECT d.id, d.payload FROM relevo.dead_event d WHERE d.id = ANY ($1::bigint[]);

-- name: dead_sent
-- $1 ids: acknowledged by the broker. Follow it with dead_release for their aggregates. The empty string keeps the planner from
-- walking the whole index of rows to retry.
DELETE FROM relevo.dead_event d WHERE d.id = ANY ($1::bigint[]) AND d.state || '' = 'retry'
RETURNING d.id, d.aggregate_type, d.aggregate_id;

-- name: dead_failed
-- $1 ids, $2 attempts before this one (a second report changes nothing), $3 reasons, $4 errors, $5 topics tried ('': as before). Back
-- to parked.
UPDATE relevo.dead_event d
SET state = 'parked', reason = k.reason, error = k.error, target_topic = coalesce(nullif(k.target_topic, ''), d.target_topic),
    attempts = d.attempts + 1, changed_at = clock_timestamp()
FROM unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::text[]) k (id, attempts, reason, error, target_topic)
WHERE d.id = k.id AND d.state || '' = 'retry' AND d.attempts = k.attempts
RETURNING d.id;

-- name: dead_release
-- $1 aggregate types, $2 aggregate ids. Lets up to 1000 followers of each aggregate go, as far as no row is parked before them for
-- a reason of its own. Returns the rows released; whether an aggregate is free says dead_open_of.
UPDATE relevo.dead_event d SET state = 'retry', changed_at = clock_timestamp()
FROM unnest($1::text[], $2::text[]) k (aggregate_type, aggregate_id)
CROSS JOIN LATERAL (
  SELECT f.id FROM relevo.dead_event f
  WHERE f.aggregate_type = k.aggregate_type AND f.aggregate_id = k.aggregate_id AND f.state <> 'skipped'
    AND f.state = 'parked' AND f.reason = 'queued_behind'
    AND NOT EXISTS (SELECT FROM relevo.dead_event e
                    WHERE e.aggregate_type = k.aggregate_type AND e.aggregate_id = k.aggregate_id AND e.id < f.id
                      AND e.state = 'parked' AND e.reason <> 'queued_behind')
  ORDER BY f.id LIMIT 1000) n
WHERE d.id = n.id AND d.state = 'parked'
RETURNING d.id, d.aggregate_type, d.aggregate_id;

-- name: dead_missing_topics
-- $1 shards. The topics that parked events wait for. Steps from topic to topic through the index: each may hold up a million rows.
WITH RECURSIVE t (topic) AS (
  (SELECT d.target_topic FROM relevo.dead_event d WHERE d.state = 'parked' AND d.reason = 'unknown_topic' ORDER BY d.target_topic LIMIT 1)
  UNION ALL
  SELECT (SELECT d.target_topic FROM relevo.dead_event d
          WHERE d.state = 'parked' AND d.reason = 'unknown_topic' AND d.target_topic > t.topic ORDER BY d.target_topic LIMIT 1)
  FROM t WHERE t.topic IS NOT NULL
)
SELECT t.topic AS target_topic FROM t
WHERE t.topic IS NOT NULL
  AND EXISTS (SELECT FROM relevo.dead_event d
              WHERE d.target_topic = t.topic AND d.state = 'parked' AND d.reason = 'unknown_topic' AND d.shard = ANY ($1::smallint[]));

-- name: dead_retry_without_target
-- $1 shards. Events that lack a topic and do not say which (it was deleted while they were on their way): offered again, at
-- most 1000 a call, so that the answer names it.
UPDATE relevo.dead_event d SET state = 'retry', changed_at = clock_timestamp()
WHERE d.id IN (SELECT f.id FROM relevo.dead_event f
               WHERE f.target_topic IS NULL AND f.state = 'parked' AND f.reason = 'unknown_topic' AND f.shard = ANY ($1::smallint[])
               ORDER BY f.id LIMIT 1000)
  AND d.state = 'parked'
RETURNING d.id;

-- name: dead_topic_appeared
-- $1 a topic that has appeared, $2 shards, $3 limit. Call again until it returns fewer than the limit.
UPDATE relevo.dead_event d SET state = 'retry', changed_at = clock_timestamp()
WHERE d.id IN (SELECT f.id FROM relevo.dead_event f
               WHERE f.target_topic = $1::text AND f.state = 'parked' AND f.reason = 'unknown_topic' AND f.shard = ANY ($2::smallint[])
               ORDER BY f.id LIMIT $3::int)
  AND d.state = 'parked'
RETURNING d.id;

-- name: dead_list
-- For the operator. $1 id after which to go on (0 at first), $2 state or NULL, $3 limit. No payload.
SELECT d.id, d.shard, d.event_id::text AS event_id_text, d.aggregate_type, d.aggregate_id, d.event_type, d.topic, d.target_topic, d.tenant,
       octet_length(d.payload) AS payload_size, d.created_at, d.state, d.reason, d.error, d.attempts, d.parked_at, d.changed_at
FROM relevo.dead_event d WHERE d.id > $1::bigint AND ($2::text IS NULL OR d.state = $2::text)
ORDER BY d.id LIMIT $3::int;

-- name: dead_mark_retry
-- For the operator. $1 ids
UPDATE relevo.dead_event d SET state = 'retry', changed_at = clock_timestamp()
WHERE d.id = ANY ($1::bigint[]) AND d.state IN ('parked', 'skipped') RETURNING d.id;

-- name: dead_mark_skipped
-- For the operator. $1 ids: never to be published; the followers go on.
UPDATE relevo.dead_event d SET state = 'skipped', changed_at = clock_timestamp()
WHERE d.id = ANY ($1::bigint[]) AND d.state = 'parked' RETURNING d.id;

-- name: dead_counts
-- How many by state and reason.
SELECT d.state, d.reason, count(*) AS events, min(d.created_at) AS oldest_created_at FROM relevo.dead_event d GROUP BY d.state, d.reason;
