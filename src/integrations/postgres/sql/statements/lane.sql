-- Lanes: leases, claim journals and what happens to them. Arrays have one element per lane, in the order of the lanes: two
-- statements that lock several lanes in different orders would deadlock.

-- name: lanes
SELECT p.lane, p.lanes, p.holder, p.epoch, p.expires > clock_timestamp() AS held, p.ver, p.pos::text AS pos_text, cardinality(p.open) AS open_jobs
FROM relevo.lane p ORDER BY p.lane;

-- name: lane_take
-- $1 holder, $2 lease, $3 how many at most, $4 lanes configured: a worker with another number takes nothing.
-- Reads the lane in the statement that raises the epoch, and touches no job: lane_settle does, in a transaction of its own.
WITH old AS MATERIALIZED (
  SELECT f.lane, f.holder FROM relevo.lane f WHERE f.expires < clock_timestamp() AND f.lanes = $4::int
  ORDER BY random() LIMIT $3::int FOR UPDATE SKIP LOCKED
)
UPDATE relevo.lane p
SET holder = $1::text, epoch = p.epoch + 1, ver = p.ver + 1, expires = clock_timestamp() + $2::interval
FROM old WHERE p.lane = old.lane
RETURNING p.lane, p.epoch, p.ver, p.pos::text AS pos_text, p.open::text AS open_text, p.open_token::text AS open_token_text,
          p.revisit::text AS revisit_text, old.holder AS previous_holder;

-- name: lane_retake
-- $1 holder, $2 lease, $3 lanes, $4 epochs. The same living process after it lost its connection: whatever statement of its own
-- is still on the way is fenced by the new epoch and ver. A lane not returned belongs to somebody else.
UPDATE relevo.lane p
SET epoch = p.epoch + 1, ver = p.ver + 1, expires = clock_timestamp() + $2::interval
FROM unnest($3::smallint[], $4::bigint[]) k (lane, epoch)
WHERE p.lane = k.lane AND p.epoch = k.epoch AND p.holder = $1::text
RETURNING p.lane, p.epoch, p.ver, p.pos::text AS pos_text, p.open::text AS open_text, p.open_token::text AS open_token_text,
          p.revisit::text AS revisit_text, p.holder AS previous_holder;

-- name: lane_renew
-- $1 lanes, $2 epochs, $3 holder, $4 lease. A lane not returned is lost.
UPDATE relevo.lane p SET expires = clock_timestamp() + $4::interval
FROM unnest($1::smallint[], $2::bigint[]) k (lane, epoch)
WHERE p.lane = k.lane AND p.epoch = k.epoch AND p.holder = $3::text AND p.expires > clock_timestamp()
RETURNING p.lane;

-- name: lane_release
-- $1 lanes, $2 epochs, $3 vers. After lane_settle with crash = false: free for the next holder at once.
UPDATE relevo.lane p SET holder = NULL, expires = '-infinity', ver = p.ver + 1
FROM unnest($1::smallint[], $2::bigint[], $3::bigint[]) k (lane, epoch, ver)
WHERE p.lane = k.lane AND p.epoch = k.epoch AND p.ver = k.ver
RETURNING p.lane;

-- name: lane_journal
-- $1 lanes, $2 epochs, $3 vers, $4 positions, $5 ids in flight, $6 their tokens, $7 revisits: the whole state of each lane, as texts of
-- arrays, since unnest flattens arrays of arrays. $8 lanes, $9 ids, $10 tokens of the unique jobs to start.
-- A lane that comes back has its jobs started after the commit, of the unique ones only those in marked. One that does not
-- come back has marked nothing: a mark without a journal would hold the key for good.
WITH won AS (
  UPDATE relevo.lane p
  SET pos = k.pos::bigint[], open = k.open::bigint[], open_token = k.open_token::int[], revisit = k.revisit::jsonb, ver = p.ver + 1
  FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[])
       k (lane, epoch, ver, pos, open, open_token, revisit)
  WHERE p.lane = k.lane AND p.epoch = k.epoch AND p.ver = k.ver
    AND NOT EXISTS (
      SELECT FROM generate_series(0, 10, 5) s
      WHERE NOT EXISTS (SELECT FROM relevo.tick t WHERE t.id = (k.pos::bigint[])[s + 2] AND t.fingerprint = (k.pos::bigint[])[s + 5]))
  RETURNING p.lane
), marked AS (
  UPDATE relevo.job o SET state = 1
  FROM (SELECT j.id, j.token, u.lane
        FROM won
        JOIN unnest($8::smallint[], $9::bigint[], $10::int[]) u (lane, id, token) ON u.lane = won.lane
        JOIN relevo.job j ON j.id = ANY (ARRAY[u.id]) AND j.token = u.token AND j.state = 0
        ORDER BY u.id FOR UPDATE OF j SKIP LOCKED) x
  WHERE o.id = ANY (ARRAY[x.id]) AND o.token = x.token AND o.state = 0
  RETURNING o.id, x.lane
)
SELECT won.lane, ARRAY(SELECT m.id FROM marked m WHERE m.lane = won.lane)::text AS marked_text FROM won;

-- name: lane_settle
-- $1 lane, $2 epoch, $3 ver, $4 whether the holder was lost (not the same process, no handing over), $5 crashes to quarantine at,
-- $6 back-off, $7 the holder that was lost or NULL. ver NULL: fenced. left_open above 0: again in 50 ms.
SELECT s.ver, s.left_open
FROM relevo.settle($1::smallint, $2::bigint, $3::bigint, $4::boolean, $5::int, $6::interval, $7::text) s;

-- name: lane_fence
-- $1 lanes, $2 epochs. First in a transaction that changes waiting rows: a take-over waits for it. A lane not returned is lost.
SELECT p.lane FROM unnest($1::smallint[], $2::bigint[]) k (lane, epoch)
JOIN relevo.lane p ON p.lane = k.lane AND p.epoch = k.epoch ORDER BY p.lane FOR SHARE OF p;
