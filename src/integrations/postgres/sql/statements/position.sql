-- Positions, leases and replicas. Arrays have one element per shard, in the order of the shards: two statements that lock
-- several positions in different orders would deadlock.

-- name: positions
SELECT p.shard, p.shards, p.holder, p.epoch, p.expires > clock_timestamp() AS held, p.ver, p.a, p.b, p.last_id, p.fingerprint
FROM relevo.position p ORDER BY p.shard;

-- name: take
-- $1 holder, $2 lease, $3 how many at most, $4 shards configured: a relay with another number takes nothing.
-- The position comes from the statement that raises the epoch: one read before could be overtaken.
UPDATE relevo.position p
SET holder = $1::text, epoch = p.epoch + 1, ver = p.ver + 1, expires = clock_timestamp() + $2::interval
WHERE p.shard IN (SELECT f.shard FROM relevo.position f WHERE f.expires < clock_timestamp() AND f.shards = $4::int
                  ORDER BY random() LIMIT $3::int FOR UPDATE SKIP LOCKED)
  AND p.expires < clock_timestamp()
RETURNING p.shard, p.epoch, p.ver, p.a, p.b, p.last_id, p.fingerprint;

-- name: renew
-- $1 shards, $2 epochs, $3 holder, $4 lease. Leaves ver alone; the last clause keeps a late renewal from reviving a lease
-- that was handed over. A shard not returned is lost.
UPDATE relevo.position p SET expires = clock_timestamp() + $4::interval
FROM unnest($1::smallint[], $2::bigint[]) k (shard, epoch)
WHERE p.shard = k.shard AND p.epoch = k.epoch AND p.holder = $3::text AND p.expires > clock_timestamp()
RETURNING p.shard;

-- name: save
-- $1 shards, $2 epochs, $3 vers, $4 as, $5 bs, $6 last_ids, $7 fingerprints of the ticks b. Always the whole position: a write
-- that comes late can then only rewind. A shard not returned: read it again before going on.
UPDATE relevo.position p SET a = k.a, b = k.b, last_id = k.last_id, fingerprint = k.fingerprint, ver = p.ver + 1
FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
     k (shard, epoch, ver, a, b, last_id, fingerprint)
WHERE p.shard = k.shard AND p.epoch = k.epoch AND p.ver = k.ver
  AND EXISTS (SELECT FROM relevo.tick t WHERE t.id = k.b AND t.fingerprint = k.fingerprint OFFSET 0)   -- OFFSET: no join (ADR 13)
RETURNING p.shard;

-- name: release
-- $1 shards, $2 epochs, $3 holder. After the last save: hands the shards to whoever looks next.
UPDATE relevo.position p SET holder = NULL, expires = '-infinity'
FROM unnest($1::smallint[], $2::bigint[]) k (shard, epoch)
WHERE p.shard = k.shard AND p.epoch = k.epoch AND p.holder = $3::text
RETURNING p.shard;

-- name: heartbeat
-- $1 id, $2 version, $3 host, $4 roles, $5 lease. Also forgets replicas not seen for ten leases.
WITH gone AS (
  DELETE FROM relevo.replica r
  WHERE r.id IN (SELECT o.id FROM relevo.replica o
                 WHERE o.seen_at < clock_timestamp() - 10 * $5::interval AND o.id <> $1::text FOR UPDATE SKIP LOCKED)
)
INSERT INTO relevo.replica AS r (id, version, host, roles) VALUES ($1::text, $2::text, $3::text, $4::text)
ON CONFLICT (id) DO UPDATE SET version = EXCLUDED.version, host = EXCLUDED.host, roles = EXCLUDED.roles, seen_at = EXCLUDED.seen_at;

-- name: replica_gone
-- $1 id. On a clean stop, so that the others take its share at once.
DELETE FROM relevo.replica r WHERE r.id = $1::text;

-- name: replicas_alive
-- $1 lease, $2 role, NULL: whatever they do
SELECT r.id, r.version, r.host, r.roles, r.started_at, r.seen_at FROM relevo.replica r
WHERE r.seen_at > clock_timestamp() - $1::interval AND ($2::text IS NULL OR $2::text = ANY (string_to_array(r.roles, ','))) ORDER BY r.id;
