-- What is installed, and how much is left to do.

-- name: backlog
-- Unpublished events and the created_at of the oldest. Exact up to 10,000 rows behind the slowest position; beyond, events is an
-- estimate from ids (which have gaps) and oldest_created_at is that of a row near the front. The work is bounded either way. Same settings as the reads.
WITH pos AS MATERIALIZED (
  SELECT p.shard, p.shards, p.last_id, (SELECT t.snapshot FROM relevo.tick t WHERE t.id = p.a) AS a,
         (SELECT t.snapshot FROM relevo.tick t WHERE t.id = p.b) AS b
  FROM relevo.position p
), slowest AS MATERIALIZED (
  SELECT t.snapshot, pg_snapshot_xmax(t.snapshot) AS xmax, (SELECT max(p.shards) FROM relevo.position p) - 1 AS mask
  FROM relevo.tick t WHERE t.id = (SELECT min(p.a) FROM relevo.position p)
), seen AS MATERIALIZED (
  (SELECT o.id, o.xid, o.aggregate_id, o.created_at FROM relevo.outbox o
   WHERE o.xid >= (SELECT s.xmax FROM slowest s) ORDER BY o.xid LIMIT 10001)
  UNION ALL
  (SELECT l.id, l.xid, l.aggregate_id, l.created_at
   FROM unnest(ARRAY(SELECT x FROM slowest s CROSS JOIN LATERAL pg_snapshot_xip(s.snapshot) x)) f(x)
   CROSS JOIN LATERAL (SELECT w.id, w.xid, w.aggregate_id, w.created_at FROM relevo.outbox w WHERE w.xid = f.x ORDER BY w.xid LIMIT 10001) l
   LIMIT 10001)
), scanned AS MATERIALIZED (
  SELECT count(*) <= 10000 AS complete, min(s.id) AS first_id FROM seen s
), unpublished AS MATERIALIZED (
  SELECT o.id, o.created_at
  FROM (SELECT s.*, (hashtextextended(s.aggregate_id, 0) & m.mask)::int2 AS shard FROM seen s CROSS JOIN slowest m) o
  JOIN pos p ON p.shard = o.shard
  WHERE NOT pg_visible_in_snapshot(o.xid, p.a) AND NOT (pg_visible_in_snapshot(o.xid, p.b) AND o.id <= p.last_id)
), newest AS MATERIALIZED (
  SELECT o.id FROM relevo.outbox o ORDER BY o.id DESC LIMIT 1
), ahead AS MATERIALIZED (
  SELECT coalesce(sum(greatest(0, n.id - greatest(p.last_id, f.id - 1)) / p.shards::numeric), 0)::bigint AS events
  FROM pos p CROSS JOIN newest n
  CROSS JOIN LATERAL (SELECT o.id FROM relevo.outbox o WHERE o.xid >= pg_snapshot_xmax(p.a) ORDER BY o.xid LIMIT 1) f
)
SELECT CASE WHEN c.complete THEN (SELECT count(*) FROM unpublished) ELSE greatest(h.events, (SELECT count(*) FROM unpublished)) END AS events,
       c.complete AS is_exact,
       coalesce((SELECT min(u.created_at) FROM unpublished u),
                CASE WHEN NOT c.complete THEN (SELECT o.created_at FROM relevo.outbox o
                                               WHERE o.id > (SELECT min(p.last_id) FROM relevo.position p) ORDER BY o.id LIMIT 1) END) AS oldest_created_at
FROM scanned c CROSS JOIN ahead h;

-- name: ensure_partitions
-- $1 how many leaves ahead
SELECT relevo.ensure_partitions($1::int) AS created;

-- name: prune_ticks
SELECT relevo.prune_ticks() AS deleted;

-- name: partitions
-- Free leaves above the one being filled, and rows in the DEFAULT partition's place (true: alarm).
SELECT count(*) FILTER (WHERE b.lower_bound > coalesce(n.id, 0)) AS leaves_ahead,
       EXISTS (SELECT FROM ONLY relevo.outbox_default) AS default_in_use
FROM (SELECT substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \(''?(\d+)''?\)')::bigint AS lower_bound
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'relevo.outbox'::regclass) b
LEFT JOIN (SELECT o.id FROM relevo.outbox o ORDER BY o.id DESC LIMIT 1) n ON true
GROUP BY n.id;

-- name: shard_status
-- Columns: shard, holder, lease runs, epoch, a, b, last_id, microseconds since all before was done. NULL tick: another
-- history, shown as far behind.
SELECT p.shard, p.holder, p.expires > clock_timestamp() AS held, p.epoch, p.a, p.b, p.last_id,
       (extract(epoch FROM clock_timestamp() - coalesce(t.at, to_timestamp(0))) * 1e6)::bigint AS behind
FROM relevo.position p LEFT JOIN relevo.tick t ON t.id = p.a ORDER BY p.shard;

-- name: server unpinned
-- What every database can tell, also one without our schema.
SELECT pg_is_in_recovery() AS standby, clock_timestamp() AS server_time,
       has_function_privilege('pg_control_system()', 'execute') AS may_read_identifier;

-- name: system_identifier unpinned
-- Its own statement: the right to call the function is checked before any CASE around it.
SELECT c.system_identifier::text FROM pg_control_system() c;

-- name: surroundings
SELECT (SELECT s.seqcache FROM pg_sequence s WHERE s.seqrelid = pg_get_serial_sequence('relevo.outbox', 'id')::regclass) AS sequence_cache,
       (SELECT max(p.shards)::int4 FROM relevo.position p) AS shards, (SELECT count(*)::int4 FROM relevo.position p) AS rows;

-- name: newest_event
-- Its id (0: none yet) and the time of asking.
SELECT coalesce((SELECT o.id FROM relevo.outbox o ORDER BY o.id DESC LIMIT 1), 0) AS id, clock_timestamp() AS at;

-- name: recent_names
-- $1 how many of the newest events to look at. What decides their topics, each combination once, at most 1000 of them.
SELECT DISTINCT r.topic, r.aggregate_type, r.event_type, r.tenant
FROM (SELECT o.topic, o.aggregate_type, o.event_type, o.tenant FROM relevo.outbox o ORDER BY o.id DESC LIMIT $1::int) r
LIMIT 1000;

-- name: dead_aggregates
-- Aggregates that wait.
SELECT count(*) AS aggregates FROM (
  SELECT DISTINCT d.aggregate_type, d.aggregate_id FROM relevo.dead_event d WHERE d.state <> 'skipped') a;

-- name: dead_by_id
-- For the operator. $1 ids. first_id: the first event of the aggregate that waits; itself, or the one it queues behind.
SELECT d.id, d.state, d.reason, d.aggregate_type, d.aggregate_id,
       (SELECT h.id FROM relevo.dead_event h
        WHERE h.aggregate_type = d.aggregate_type AND h.aggregate_id = d.aggregate_id AND h.state <> 'skipped'
        ORDER BY h.id LIMIT 1) AS first_id
FROM relevo.dead_event d WHERE d.id = ANY ($1::bigint[]) ORDER BY d.id;

-- name: dead_of_aggregate
-- For the operator. $1 aggregate type, $2 aggregate id, $3 id after which to go on, $4 limit: its parked events.
SELECT d.id, d.reason FROM relevo.dead_event d
WHERE d.aggregate_type = $1::text AND d.aggregate_id = $2::text AND d.state <> 'skipped' AND d.state = 'parked' AND d.id > $3::bigint
ORDER BY d.id LIMIT $4::int;

-- name: dead_refused
-- For the operator. $1 id after which to go on, $2 reason or NULL, $3 limit: the events parked for a reason of their own.
SELECT d.id, d.reason FROM relevo.dead_event d
WHERE d.id > $1::bigint AND d.state = 'parked' AND d.reason <> 'queued_behind' AND ($2::text IS NULL OR d.reason = $2::text)
ORDER BY d.id LIMIT $3::int;

-- name: publish
SELECT relevo.publish($1::text, $2::text, $3::text, $4::jsonb, $5::jsonb, $6::text, $7::text)::text;
