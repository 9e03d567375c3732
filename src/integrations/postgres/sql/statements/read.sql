-- Reading the outbox. Each runs in one pipelined transaction: BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL
-- enable_seqscan = off, enable_bitmapscan = off, max_parallel_workers_per_gather = 0, jit = off,
-- plan_cache_mode = force_generic_plan; the statement; COMMIT. Without these settings the plans are up to 1,000 times slower.
--
-- All rows come in the same columns: id, shard, event_id, aggregate_type, aggregate_id, event_type, topic, tenant,
-- content_type, payload (NULL above 2048 bytes: fetch it by `payloads`), payload_size (NULL: tombstone),
-- headers (text, NULL when there are none), created_at. Parameter mask is shards - 1.

-- name: probe unpinned
-- Touches no table. The same text as at the last complete look: nothing became visible anywhere.
SELECT pg_current_snapshot()::text AS snapshot_text;

-- name: next_tick
-- One row of NULLs: somebody else is ticking; look again and do not remember the probe's text.
SELECT t.id, t.fingerprint, t.snapshot::text AS snapshot_text FROM relevo.next_tick() t;

-- name: tick_by_ids
-- $1 ids
SELECT t.id, t.fingerprint, t.snapshot::text AS snapshot_text FROM relevo.tick t WHERE t.id = ANY ($1::bigint[]);

-- name: small_window
-- $1 xmax(a), $2 xmax(b), $3 snapshot b, $4 mask, $5 shards held. 2001 rows: the window is huge. Sort by id afterwards.
SELECT o.id, (hashtextextended(o.aggregate_id, 0) & $4::int)::int2 AS shard, o.event_id, o.aggregate_type, o.aggregate_id, o.event_type,
       o.topic, o.tenant, o.content_type, CASE WHEN octet_length(o.payload) <= 2048 THEN o.payload END AS payload,
       octet_length(o.payload) AS payload_size, nullif(o.headers, '{}')::text AS headers_text, o.created_at
FROM relevo.outbox o
WHERE o.xid >= $1::xid8 AND o.xid < $2::xid8 AND pg_visible_in_snapshot(o.xid, $3::pg_snapshot)
  AND (hashtextextended(o.aggregate_id, 0) & $4::int) = ANY ($5::int[])
ORDER BY o.xid LIMIT 2001;

-- name: small_window_late
-- $1 xids in progress in a that are visible in b, $2 mask, $3 shards held. The filter on shards stands inside: outside, one
-- late transaction of more than 2001 rows would be cut off unnoticed.
SELECT o.id, (hashtextextended(o.aggregate_id, 0) & $2::int)::int2 AS shard, o.event_id, o.aggregate_type, o.aggregate_id, o.event_type,
       o.topic, o.tenant, o.content_type, CASE WHEN octet_length(o.payload) <= 2048 THEN o.payload END AS payload,
       octet_length(o.payload) AS payload_size, nullif(o.headers, '{}')::text AS headers_text, o.created_at
FROM unnest($1::xid8[]) f(x)
CROSS JOIN LATERAL (
  SELECT * FROM relevo.outbox w
  WHERE w.xid = f.x AND (hashtextextended(w.aggregate_id, 0) & $2::int) = ANY ($3::int[])
  ORDER BY w.xid LIMIT 2001) o
LIMIT 2001;

-- name: page
-- $1 last id scanned, $2 snapshot a, $3 snapshot b, $4 mask, $5 shards held. The literal LIMIT bounds the rows scanned; the last
-- row (all NULL but id) tells how far the scan came, id NULL: the end.
WITH q AS MATERIALIZED (
  SELECT * FROM relevo.outbox w WHERE w.id > $1::bigint ORDER BY w.id LIMIT 2000
)
SELECT o.id, (hashtextextended(o.aggregate_id, 0) & $4::int)::int2 AS shard, o.event_id, o.aggregate_type, o.aggregate_id, o.event_type,
       o.topic, o.tenant, o.content_type, CASE WHEN octet_length(o.payload) <= 2048 THEN o.payload END AS payload,
       octet_length(o.payload) AS payload_size, nullif(o.headers, '{}')::text AS headers_text, o.created_at
FROM q o
WHERE pg_visible_in_snapshot(o.xid, $3::pg_snapshot) AND NOT pg_visible_in_snapshot(o.xid, $2::pg_snapshot)
  AND (hashtextextended(o.aggregate_id, 0) & $4::int) = ANY ($5::int[])
UNION ALL
SELECT max(q.id), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM q;

-- name: window_start
-- Where to start paging a huge window. $1 xmax(a), $2 xids in progress in a that are visible in b. Give the result to
-- `page` as its first $1; NULL: the window holds no row at all.
SELECT relevo.window_start($1::xid8, $2::xid8[]) AS last_id;

-- name: payloads
-- $1 ids. Ask for as many as the byte budget allows, by payload_size.
SELECT o.id, o.payload FROM relevo.outbox o WHERE o.id = ANY ($1::bigint[]);
