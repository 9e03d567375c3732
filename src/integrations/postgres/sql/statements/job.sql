-- Reading, finishing and changing jobs. Settings as for the reads of the outbox.
--
-- Rows to run come in the same columns: xid, id, lane, token, run_at, queue, kind, priority, attempts, crashes, unique_key,
-- concurrency_key, rate_key, tenant, max_attempts, timeout_ms, expires_at, created_at, batch, headers (text, NULL when there are
-- none), payload (text, NULL above 4096 bytes as stored: fetch it by job_payloads), payload_size, due, class. A last row
-- with lane NULL tells how far the scan came and, as its token, how many rows it looked at; it is missing when that is none: the
-- last of q, which comes in the order it was made in (sorting it again costs a tenth of a page). The literal LIMITs bound the rows
-- scanned. Parameter mask is lanes - 1. Jobs are found by `id = ANY (ARRAY[k.id])`, in the order of the list: with `=` the planner may
-- read all of them in the order of their ids (ADR 13). A row that is known with the same token is to be dropped.

-- name: job_page
-- $1 class, $2 xid and $3 id scanned last, $4 xmax(b), $5 snapshot b, $6 mask, $7 lanes held. Windows: the xids late in a and visible
-- in b come first (job_late), then xmax(a) .. xmax(b).
WITH q AS MATERIALIZED (
  SELECT * FROM relevo.job w WHERE w.class = $1::smallint AND (w.xid, w.id) > ($2::xid8, $3::bigint) AND w.xid < $4::xid8
  ORDER BY w.xid, w.id LIMIT 2000
), n AS MATERIALIZED (SELECT count(*)::int AS n FROM q)
SELECT j.xid, j.id, (hashtextextended(coalesce(j.concurrency_key, j.id::text), 0) & $6::int)::int2 AS lane, j.token, j.run_at, j.queue, j.kind,
       j.priority, j.attempts, j.crashes, j.unique_key, j.concurrency_key, j.rate_key, j.tenant, j.max_attempts,
       ceil(extract(epoch FROM j.timeout) * 1000)::int8 AS timeout_ms, j.expires_at, j.created_at, j.batch,
       nullif(j.headers, '{}')::text AS headers_text, CASE WHEN pg_column_size(j.payload) <= 4096 THEN j.payload::text END AS payload_text,
       pg_column_size(j.payload) AS payload_size, j.run_at IS NULL OR j.run_at <= clock_timestamp() AS due, j.class
FROM q j
WHERE j.state = 0 AND pg_visible_in_snapshot(j.xid, $5::pg_snapshot)
  AND (hashtextextended(coalesce(j.concurrency_key, j.id::text), 0) & $6::int) = ANY ($7::int[])
UNION ALL
(SELECT q.xid, q.id, NULL, (SELECT n.n FROM n), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
 FROM q OFFSET (SELECT greatest(0, n.n - 1) FROM n));

-- name: job_late
-- $1 class, $2 late xids in ascending order, $3 xid and $4 id scanned last, $5 mask, $6 lanes held.
WITH q AS MATERIALIZED (
  SELECT j.* FROM unnest($2::xid8[]) f (x)
  CROSS JOIN LATERAL (
    SELECT * FROM relevo.job w WHERE w.class = $1::smallint AND w.xid = f.x AND (w.xid, w.id) > ($3::xid8, $4::bigint)
    ORDER BY w.xid, w.id LIMIT 2000) j
  WHERE f.x >= $3::xid8 LIMIT 2000
), n AS MATERIALIZED (SELECT count(*)::int AS n FROM q)
SELECT j.xid, j.id, (hashtextextended(coalesce(j.concurrency_key, j.id::text), 0) & $5::int)::int2 AS lane, j.token, j.run_at, j.queue, j.kind,
       j.priority, j.attempts, j.crashes, j.unique_key, j.concurrency_key, j.rate_key, j.tenant, j.max_attempts,
       ceil(extract(epoch FROM j.timeout) * 1000)::int8 AS timeout_ms, j.expires_at, j.created_at, j.batch,
       nullif(j.headers, '{}')::text AS headers_text, CASE WHEN pg_column_size(j.payload) <= 4096 THEN j.payload::text END AS payload_text,
       pg_column_size(j.payload) AS payload_size, j.run_at IS NULL OR j.run_at <= clock_timestamp() AS due, j.class
FROM q j
WHERE j.state = 0 AND (hashtextextended(coalesce(j.concurrency_key, j.id::text), 0) & $5::int) = ANY ($6::int[])
UNION ALL
(SELECT q.xid, q.id, NULL, (SELECT n.n FROM n), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
 FROM q OFFSET (SELECT greatest(0, n.n - 1) FROM n));

-- name: job_peek
-- $1 xmax of the newest tick, $2 the xids in progress in it, $3 mask, $4 lanes held. What has become visible since, before the next tick
-- names it: at most 100 rows of each class and of each late transaction. No position moves by it, so the windows show the same rows again. No
-- last row.
WITH q AS MATERIALIZED (
  SELECT late.* FROM unnest('{0,1,2}'::smallint[]) c (class) CROSS JOIN unnest($2::xid8[]) f (x)
  CROSS JOIN LATERAL (SELECT * FROM relevo.job w WHERE w.class = c.class AND w.xid = f.x ORDER BY w.xid, w.id LIMIT 100) late
  UNION ALL
  SELECT fresh.* FROM unnest('{0,1,2}'::smallint[]) c (class)
  CROSS JOIN LATERAL (SELECT * FROM relevo.job w WHERE w.class = c.class AND w.xid >= $1::xid8 ORDER BY w.xid, w.id LIMIT 100) fresh
)
SELECT j.xid, j.id, (hashtextextended(coalesce(j.concurrency_key, j.id::text), 0) & $3::int)::int2 AS lane, j.token, j.run_at, j.queue, j.kind,
       j.priority, j.attempts, j.crashes, j.unique_key, j.concurrency_key, j.rate_key, j.tenant, j.max_attempts,
       ceil(extract(epoch FROM j.timeout) * 1000)::int8 AS timeout_ms, j.expires_at, j.created_at, j.batch,
       nullif(j.headers, '{}')::text AS headers_text, CASE WHEN pg_column_size(j.payload) <= 4096 THEN j.payload::text END AS payload_text,
       pg_column_size(j.payload) AS payload_size, j.run_at IS NULL OR j.run_at <= clock_timestamp() AS due, j.class
FROM q j
WHERE j.state = 0 AND (hashtextextended(coalesce(j.concurrency_key, j.id::text), 0) & $3::int) = ANY ($4::int[]);

-- name: job_due
-- $1 class, $2 run_at and $3 id scanned last, $4 mask, $5 lanes held. Forward only, but from ('-infinity', -1) after every take-over and
-- every resume: what fell due meanwhile has no change for the feed. In the last row run_at and id tell how far.
WITH q AS MATERIALIZED (
  SELECT * FROM relevo.job w
  WHERE w.class = $1::smallint AND w.state = 0 AND w.run_at IS NOT NULL AND (w.run_at, w.id) > ($2::timestamptz, $3::bigint)
    AND w.run_at <= (SELECT clock_timestamp())
  ORDER BY w.run_at, w.id LIMIT 2000
), n AS MATERIALIZED (SELECT count(*)::int AS n FROM q)
SELECT j.xid, j.id, (hashtextextended(coalesce(j.concurrency_key, j.id::text), 0) & $4::int)::int2 AS lane, j.token, j.run_at, j.queue, j.kind,
       j.priority, j.attempts, j.crashes, j.unique_key, j.concurrency_key, j.rate_key, j.tenant, j.max_attempts,
       ceil(extract(epoch FROM j.timeout) * 1000)::int8 AS timeout_ms, j.expires_at, j.created_at, j.batch,
       nullif(j.headers, '{}')::text AS headers_text, CASE WHEN pg_column_size(j.payload) <= 4096 THEN j.payload::text END AS payload_text,
       pg_column_size(j.payload) AS payload_size, j.run_at IS NULL OR j.run_at <= clock_timestamp() AS due, j.class
FROM q j
WHERE (hashtextextended(coalesce(j.concurrency_key, j.id::text), 0) & $4::int) = ANY ($5::int[])
UNION ALL
(SELECT NULL, q.id, NULL, (SELECT n.n FROM n), q.run_at, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
 FROM q OFFSET (SELECT greatest(0, n.n - 1) FROM n));

-- name: job_next_due
-- Milliseconds until the first job beyond the due cursor is due; NULL: there is none. Per class, $1 run_at and $2 id scanned last. By the cursor,
-- not by the clock: a job that falls due between job_due and this statement must not be passed over.
SELECT min(greatest(0, ceil(extract(epoch FROM m.run_at - clock_timestamp()) * 1000)))::int8 AS wait_ms
FROM unnest('{0,1,2}'::smallint[], $1::timestamptz[], $2::bigint[]) c (class, run_at, id)
CROSS JOIN LATERAL (
  SELECT w.run_at FROM relevo.job w
  WHERE w.class = c.class AND w.state = 0 AND w.run_at IS NOT NULL AND (w.run_at, w.id) > (c.run_at, c.id)
  ORDER BY w.run_at, w.id LIMIT 1) m;

-- name: job_scan
-- $1 class, $2 xid and $3 id scanned last, $4 scope (queue, kind, rate, tenant, all), $5 its value (a kind may end in *), $6 mask, $7 lanes held.
-- What was skipped, when the obstacle is gone; also jobs with a later time, told by due.
WITH q AS MATERIALIZED (
  SELECT * FROM relevo.job w WHERE w.class = $1::smallint AND (w.xid, w.id) > ($2::xid8, $3::bigint) ORDER BY w.xid, w.id LIMIT 2000
), n AS MATERIALIZED (SELECT count(*)::int AS n FROM q)
SELECT j.xid, j.id, (hashtextextended(coalesce(j.concurrency_key, j.id::text), 0) & $6::int)::int2 AS lane, j.token, j.run_at, j.queue, j.kind,
       j.priority, j.attempts, j.crashes, j.unique_key, j.concurrency_key, j.rate_key, j.tenant, j.max_attempts,
       ceil(extract(epoch FROM j.timeout) * 1000)::int8 AS timeout_ms, j.expires_at, j.created_at, j.batch,
       nullif(j.headers, '{}')::text AS headers_text, CASE WHEN pg_column_size(j.payload) <= 4096 THEN j.payload::text END AS payload_text,
       pg_column_size(j.payload) AS payload_size, j.run_at IS NULL OR j.run_at <= clock_timestamp() AS due, j.class
FROM q j
WHERE j.state = 0 AND (hashtextextended(coalesce(j.concurrency_key, j.id::text), 0) & $6::int) = ANY ($7::int[])
  AND CASE $4::text WHEN 'queue' THEN j.queue = $5::text
                    WHEN 'kind' THEN j.kind = $5::text OR right($5::text, 1) = '*' AND starts_with(j.kind, left($5::text, -1))
                    WHEN 'rate' THEN j.rate_key = $5::text
                    WHEN 'tenant' THEN j.tenant = $5::text
                    ELSE true END
UNION ALL
(SELECT q.xid, q.id, NULL, (SELECT n.n FROM n), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
 FROM q OFFSET (SELECT greatest(0, n.n - 1) FROM n));

-- name: job_of_key
-- $1 concurrency key, $2 id after which to go on, $3 mask, $4 lanes held. No last row.
SELECT j.xid, j.id, (hashtextextended(coalesce(j.concurrency_key, j.id::text), 0) & $3::int)::int2 AS lane, j.token, j.run_at, j.queue, j.kind,
       j.priority, j.attempts, j.crashes, j.unique_key, j.concurrency_key, j.rate_key, j.tenant, j.max_attempts,
       ceil(extract(epoch FROM j.timeout) * 1000)::int8 AS timeout_ms, j.expires_at, j.created_at, j.batch,
       nullif(j.headers, '{}')::text AS headers_text, CASE WHEN pg_column_size(j.payload) <= 4096 THEN j.payload::text END AS payload_text,
       pg_column_size(j.payload) AS payload_size, j.run_at IS NULL OR j.run_at <= clock_timestamp() AS due, j.class
FROM (SELECT * FROM relevo.job w WHERE w.concurrency_key = $1::text AND w.id > $2::bigint AND w.state = 0 ORDER BY w.id LIMIT 100) j
WHERE (hashtextextended(coalesce(j.concurrency_key, j.id::text), 0) & $3::int) = ANY ($4::int[]);

-- name: job_payloads
-- $1 ids
SELECT o.id, o.payload::text AS payload_text, nullif(o.headers, '{}')::text AS headers_text
FROM unnest($1::bigint[]) k (id) JOIN relevo.job o ON o.id = ANY (ARRAY[k.id]);

-- name: job_finish
-- $1 ids, $2 tokens of jobs without unique key, history and batch; what is missing was refused. Batched, or the last statement of the
-- handler's own transaction (under a savepoint). The last two clauses: what is passed by mistake is refused, not lost.
DELETE FROM relevo.job o USING unnest($1::bigint[], $2::int[]) k (id, token)
WHERE o.id = ANY (ARRAY[k.id]) AND o.token = k.token AND NOT o.again AND o.batch IS NULL
RETURNING o.id;

-- name: job_finish_full
-- $1 ids, $2 tokens, $3 outcomes (NULL: no line of history), $4 results (JSON), $5 errors, $6 worker, $7 waited and $8 ran in ms (ran NULL: it never
-- began, so no attempt was made), $9 for how long a completed job holds its unique key, in ms (NULL: not). Waits for nobody: what is missing is locked (ask job_still,
-- later again) or was refused. again: it has become a fresh waiting job.
WITH l AS MATERIALIZED (
  SELECT o.id, o.again, o.token, o.attempts, o.crashes, o.created_at, k.outcome, k.result, k.error AS why, k.waited, k.ran, k.hold
  FROM unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::text[], $7::bigint[], $8::bigint[], $9::bigint[])
       k (id, token, outcome, result, error, waited, ran, hold)
  JOIN relevo.job o ON o.id = ANY (ARRAY[k.id]) AND o.token = k.token AND o.state < 2
  ORDER BY k.id FOR UPDATE OF o SKIP LOCKED
), d AS (
  DELETE FROM relevo.job o USING l WHERE o.id = ANY (ARRAY[l.id]) AND o.token = l.token AND NOT l.again
  RETURNING l.*, o.queue, o.kind, o.priority, o.unique_key, o.concurrency_key, o.tenant, o.payload, o.batch
), u AS (
  UPDATE relevo.job o
  SET state = 0, again = false, token = o.token + 1, attempts = 0, crashes = 0, error = NULL,
      run_at = greatest(o.run_at, clock_timestamp())   -- its own time, if it has a later one
  FROM l WHERE o.id = ANY (ARRAY[l.id]) AND o.token = l.token AND l.again
  RETURNING l.*, o.queue, o.kind, o.priority, o.unique_key, o.concurrency_key, o.tenant, o.payload, o.batch
), r AS (   -- the outcome travels in RETURNING: joined afterwards it would be quadratic
  SELECT * FROM d UNION ALL SELECT * FROM u
), h AS (
  INSERT INTO relevo.job_history (job_id, outcome, queue, kind, priority, unique_key, concurrency_key, tenant, attempts, crashes, created_at,
                                  waited, ran, worker, error, result, payload, batch)
  SELECT r.id, r.outcome, r.queue, r.kind, r.priority, r.unique_key, r.concurrency_key, r.tenant,
         r.attempts + CASE WHEN r.ran IS NULL THEN 0 ELSE 1 END, r.crashes, r.created_at, r.waited * interval '1 millisecond', r.ran * interval '1 millisecond', $6::text, r.why, r.result::jsonb,
         CASE WHEN r.outcome <> 'completed' AND NOT r.again THEN r.payload END, r.batch
  FROM r WHERE r.outcome IS NOT NULL
), s AS (
  INSERT INTO relevo.unique_hold AS t (unique_key, job_id, until)
  SELECT d.unique_key, d.id, clock_timestamp() + d.hold * interval '1 millisecond' FROM d
  WHERE d.hold > 0 AND coalesce(d.outcome, 'completed') = 'completed' AND d.unique_key IS NOT NULL   -- also without a line of history
  ON CONFLICT (unique_key) DO UPDATE SET job_id = EXCLUDED.job_id, until = EXCLUDED.until
), b AS MATERIALIZED (
  SELECT CASE WHEN count(d.batch) > 0 THEN relevo.batch_ended(array_agg(d.batch)) ELSE 0 END AS ended FROM d
)
SELECT r.id, r.again FROM b CROSS JOIN r WHERE b.ended >= 0;

-- name: job_fail
-- $1 ids, $2 tokens, $3 attempts, $4 delays in ms (added to this clock, not the worker's), $5 states (0 retry or snooze, 2 dead, 3 quarantined),
-- $6 errors (NULL: a snooze, no failure), $7 worker, $8 ran in ms. Waits for nobody, as job_finish_full. A run that is owed
-- (again) is never buried: the job becomes a fresh one, at its own time.
WITH l AS MATERIALIZED (
  SELECT o.id, o.batch, k.token, k.attempts, k.delay, k.state, k.error, k.ran
  FROM unnest($1::bigint[], $2::int[], $3::smallint[], $4::bigint[], $5::smallint[], $6::text[], $8::bigint[])
       k (id, token, attempts, delay, state, error, ran)
  JOIN relevo.job o ON o.id = ANY (ARRAY[k.id]) AND o.token = k.token
  ORDER BY k.id FOR UPDATE OF o SKIP LOCKED
), u AS (
  UPDATE relevo.job o
  SET token = o.token + 1, again = false, state = CASE WHEN o.again THEN 0 ELSE l.state END,
      attempts = CASE WHEN o.again THEN 0 ELSE l.attempts END, crashes = CASE WHEN o.again THEN 0 ELSE o.crashes END,
      error = CASE WHEN o.again THEN NULL ELSE l.error END,
      run_at = CASE WHEN o.again THEN greatest(o.run_at, clock_timestamp()) WHEN l.state >= 2 THEN clock_timestamp()
                    ELSE clock_timestamp() + l.delay * interval '1 millisecond' END,
      batch = CASE WHEN l.state >= 2 AND NOT o.again THEN NULL ELSE o.batch END
  FROM l WHERE o.id = ANY (ARRAY[l.id]) AND o.token = l.token
  RETURNING o.id, o.state, o.run_at, l.batch, l.attempts, l.state AS asked, l.error, l.ran
), a AS (
  INSERT INTO relevo.job_attempt (job_id, attempt, outcome, worker, ran, error)
  SELECT u.id, u.attempts, CASE u.asked WHEN 2 THEN 'dead' WHEN 3 THEN 'quarantined' ELSE 'retry' END, $7::text,
         u.ran * interval '1 millisecond', u.error
  FROM u WHERE u.error IS NOT NULL
), b AS MATERIALIZED (
  SELECT CASE WHEN count(u.batch) > 0 THEN relevo.batch_ended(array_agg(u.batch)) ELSE 0 END AS ended FROM u WHERE u.state >= 2
)
SELECT u.id, u.state, u.run_at FROM b CROSS JOIN u WHERE b.ended >= 0;

-- name: job_crashed
-- $1 ids, $2 tokens, $3 crashes to quarantine at, $4 delays in ms, $5 errors, $6 worker, $7 ran in ms. The child process of a suspect has died:
-- counts the crash as settle() does, by the living holder.
WITH l AS MATERIALIZED (
  SELECT o.id, o.batch, o.attempts + o.crashes + 1 AS attempt, k.token, k.delay, k.error, k.ran
  FROM unnest($1::bigint[], $2::int[], $4::bigint[], $5::text[], $7::bigint[]) k (id, token, delay, error, ran)
  JOIN relevo.job o ON o.id = ANY (ARRAY[k.id]) AND o.token = k.token AND o.state < 2
  ORDER BY k.id FOR UPDATE OF o SKIP LOCKED
), u AS (
  UPDATE relevo.job o
  SET token = o.token + 1, again = false, attempts = CASE WHEN o.again THEN 0 ELSE o.attempts END,
      crashes = CASE WHEN o.again THEN least(o.crashes + 1, greatest($3::int - 1, 1)) ELSE o.crashes + 1 END,
      state = CASE WHEN NOT o.again AND o.crashes + 1 >= $3::int THEN 3 ELSE 0 END,
      error = CASE WHEN o.again THEN NULL ELSE l.error END,
      run_at = CASE WHEN o.again THEN greatest(o.run_at, clock_timestamp()) WHEN o.crashes + 1 >= $3::int THEN clock_timestamp()
                    ELSE clock_timestamp() + l.delay * interval '1 millisecond' END,
      batch = CASE WHEN NOT o.again AND o.crashes + 1 >= $3::int THEN NULL ELSE o.batch END
  FROM l WHERE o.id = ANY (ARRAY[l.id]) AND o.token = l.token
  RETURNING o.id, o.state, l.batch, l.attempt, l.error, l.ran
), a AS (
  INSERT INTO relevo.job_attempt (job_id, attempt, outcome, worker, ran, error)
  SELECT u.id, u.attempt, 'crash', $6::text, u.ran * interval '1 millisecond', u.error FROM u
), b AS MATERIALIZED (
  SELECT CASE WHEN count(u.batch) > 0 THEN relevo.batch_ended(array_agg(u.batch)) ELSE 0 END AS ended FROM u WHERE u.state >= 2
)
SELECT u.id, u.state FROM b CROSS JOIN u WHERE b.ended >= 0;

-- name: job_still
-- $1 ids, $2 tokens. What is there unchanged: locked by somebody, not refused.
SELECT o.id FROM unnest($1::bigint[], $2::int[]) k (id, token) JOIN relevo.job o ON o.id = ANY (ARRAY[k.id]) AND o.token = k.token;

-- name: job_signals
-- $1 lanes. Wishes for their holder, oldest first: of a job or of an operation.
SELECT s.id, s.lane, s.what, s.job_id, s.operation
FROM unnest($1::smallint[]) k (lane)
CROSS JOIN LATERAL (SELECT * FROM relevo.job_signal f WHERE f.lane = k.lane ORDER BY f.id LIMIT 1000) s
ORDER BY s.id LIMIT 1000;

-- name: job_signals_done
-- $1 ids. Those of operations: job_operation_lane_done.
DELETE FROM relevo.job_signal s USING unnest($1::bigint[]) k (id) WHERE s.id = k.id;

-- name: job_cancel_waiting
-- $1 lanes, $2 epochs, $3 ids, $4 tokens, $5 error. Those deleted; of lanes that are lost none.
SELECT c.id FROM relevo.cancel_waiting($1::smallint[], $2::bigint[], $3::bigint[], $4::int[], $5::text) c (id);

-- name: job_lives
-- $1 id
SELECT EXISTS (SELECT FROM relevo.job o WHERE o.id = $1::bigint AND o.state < 2) AS lives;

-- name: job_retry_now
-- $1 lanes, $2 epochs, $3 ids. Those that run now or wait again; of lanes that are lost none.
SELECT r.id FROM relevo.retry_waiting($1::smallint[], $2::bigint[], $3::bigint[]) r (id);

-- name: job_apply_operation
-- $1 operation, $2 lanes, $3 epochs, $4 id after which to go on (0 at first), $5 rows to look at, $6 ids the holder has in flight.
SELECT a.last_id, a.changed::text AS changed_text, a.running::text AS running_text, a.missed
FROM relevo.apply_operation($1::bigint, $2::smallint[], $3::bigint[], $4::bigint, $5::int, $6::bigint[]) a;

-- name: job_operation_lane_done
-- $1 operation, $2 its signal to one lane: goes with it, so that a lane that is done twice counts once; $3 running jobs that were asked to stop.
WITH done AS (DELETE FROM relevo.job_signal s WHERE s.id = $2::bigint RETURNING s.id)
UPDATE relevo.job_operation o
SET lanes_left = greatest(0, o.lanes_left - 1), stopping = o.stopping + $3::bigint,
    finished_at = CASE WHEN o.lanes_left <= 1 THEN coalesce(o.finished_at, clock_timestamp()) END
FROM done WHERE o.id = $1::bigint RETURNING o.lanes_left;

-- name: job_sweep
-- $1 id after which to go on, per class: $2 snapshot of tick a, $3 run_at and $4 id of the due cursor; $5 mask, $6 lanes held. What the position or the
-- cursor has passed 10 minutes ago and nobody holds, and marks without a journal (both commit together, so no grace). The
-- holder leaves out what stands in its buffers and behind a revisit; the last row (token NULL) tells how far, id NULL: the end.
WITH q AS MATERIALIZED (
  SELECT w.id, w.token, w.xid, w.class, w.state, w.run_at, w.created_at, w.concurrency_key
  FROM relevo.job w WHERE w.id > $1::bigint ORDER BY w.id LIMIT 2000
)
SELECT q.id, q.token, q.state FROM q
WHERE (q.state = 1
       OR q.state = 0 AND coalesce(q.run_at, q.created_at) < clock_timestamp() - interval '10 minutes'
          AND CASE WHEN q.run_at IS NULL THEN pg_visible_in_snapshot(q.xid, ($2::pg_snapshot[])[q.class + 1])
                   ELSE (q.run_at, q.id) <= (($3::timestamptz[])[q.class + 1], ($4::bigint[])[q.class + 1]) END)
  AND (hashtextextended(coalesce(q.concurrency_key, q.id::text), 0) & $5::int) = ANY ($6::int[])
  AND (q.id, q.token) NOT IN (SELECT p.id, p.token FROM relevo.open_job p)   -- hashed; NOT EXISTS becomes a nested loop
UNION ALL
SELECT max(q.id), NULL, NULL FROM q;

-- name: job_sweep_fix
-- $1 lanes, $2 epochs, $3 ids, $4 tokens. Those that wait again; of lanes that are lost none.
SELECT f.id FROM relevo.sweep_fix($1::smallint[], $2::bigint[], $3::bigint[], $4::int[]) f (id);

-- name: take_tokens
-- $1 keys, $2 how many (negative: unused ones back). In a transaction of its own. granted NULL: no such bucket.
SELECT t.key, t.granted, t.wait_ms FROM relevo.take_tokens($1::text[], $2::int[]) t;

-- name: database_time unpinned
SELECT clock_timestamp() AS now;

-- name: queue_states
SELECT s.queue, s.kind, s.paused, s.concurrency, s.weight FROM relevo.queue_state s;

-- name: tenant_weights
SELECT w.tenant, w.weight FROM relevo.tenant_weight w;

-- name: queue_figures
-- Per queue: jobs that are ready and not in flight, since when the oldest is (a retry or a job of later: since its time, not its creation),
-- the dead (of all queues at most 10,001 are counted), whether ready is exact. A class is counted by its index up to 2,000 rows; beyond,
-- ready is extrapolated from a sample of some 200 pages of the table, since nothing cheaper knows the queue. The work is bounded either way.
WITH now AS MATERIALIZED (
  SELECT clock_timestamp() AS at
), front AS MATERIALIZED (
  SELECT c.class, f.* FROM unnest('{0,1,2}'::smallint[]) c (class)
  CROSS JOIN LATERAL (
    SELECT w.id, w.token, w.queue, w.state, w.run_at, w.created_at FROM relevo.job w WHERE w.class = c.class ORDER BY w.xid, w.id LIMIT 2001) f
), waiting AS MATERIALIZED (
  SELECT f.class, f.queue, greatest(f.run_at, f.created_at) AS since FROM front f
  WHERE f.state < 2 AND (f.run_at IS NULL OR f.run_at <= (SELECT n.at FROM now n))
    AND (f.id, f.token) NOT IN (SELECT p.id, p.token FROM relevo.open_job p)   -- hashed; NOT EXISTS becomes a nested loop
), due AS MATERIALIZED (   -- what fell due may stand anywhere in the feed: here is the oldest of it
  SELECT f.* FROM unnest('{0,1,2}'::smallint[]) c (class)
  CROSS JOIN LATERAL (
    SELECT w.queue, greatest(w.run_at, w.created_at) AS since FROM relevo.job w
    WHERE w.class = c.class AND w.state = 0 AND w.run_at IS NOT NULL AND w.run_at <= (SELECT clock_timestamp())
      AND (w.id, w.token) NOT IN (SELECT p.id, p.token FROM relevo.open_job p)
    ORDER BY w.run_at, w.id LIMIT 1000) f
), beyond AS MATERIALIZED (
  SELECT f.class FROM front f GROUP BY f.class HAVING count(*) > 2000
), share AS MATERIALIZED (
  SELECT CASE WHEN EXISTS (SELECT FROM beyond) THEN least(1.0, 200.0 / greatest(1, pg_relation_size('relevo.job') / 8192)) ELSE 0 END::float8 AS part
), sample AS MATERIALIZED (
  SELECT w.queue, greatest(w.run_at, w.created_at) AS since FROM relevo.job w TABLESAMPLE SYSTEM ((SELECT 100 * s.part FROM share s))
  WHERE w.state < 2 AND (w.run_at IS NULL OR w.run_at <= (SELECT n.at FROM now n)) AND w.class IN (SELECT b.class FROM beyond b)
    AND (w.id, w.token) NOT IN (SELECT p.id, p.token FROM relevo.open_job p)
), ready AS (
  SELECT f.queue, count(*)::float8 AS jobs, min(f.since) AS oldest FROM waiting f
  WHERE f.class NOT IN (SELECT b.class FROM beyond b) GROUP BY f.queue
  UNION ALL
  SELECT s.queue, count(*) / (SELECT h.part FROM share h), min(s.since) FROM sample s GROUP BY s.queue
  UNION ALL
  SELECT f.queue, 0, min(f.since) FROM waiting f WHERE f.class IN (SELECT b.class FROM beyond b) GROUP BY f.queue
  UNION ALL
  SELECT d.queue, 0, min(d.since) FROM due d GROUP BY d.queue
), dead AS (
  SELECT d.queue, count(*) AS jobs
  FROM (SELECT w.queue FROM relevo.job w WHERE w.state >= 2 ORDER BY w.id LIMIT 10001) d GROUP BY d.queue
)
SELECT coalesce(r.queue, d.queue) AS queue, coalesce(r.jobs, 0)::int8 AS ready, r.oldest AS ready_since, coalesce(d.jobs, 0) AS dead,
       NOT EXISTS (SELECT FROM beyond) AS is_exact
FROM (SELECT y.queue, round(sum(y.jobs)) AS jobs, min(y.oldest) AS oldest FROM ready y GROUP BY y.queue) r
FULL JOIN dead d ON d.queue = r.queue;

-- name: job_anything_due
-- $1 queues, none: all. Whether a job is due or runs, in whosesoever lane; what a pause holds up is not due. Stops at the first.
SELECT EXISTS (
  SELECT FROM relevo.job w
  WHERE w.state < 2 AND (cardinality($1::text[]) = 0 OR w.queue = ANY ($1::text[]))
    AND ((w.id, w.token) IN (SELECT p.id, p.token FROM relevo.open_job p)
         OR w.state = 0 AND (w.run_at IS NULL OR w.run_at <= clock_timestamp())
            AND NOT EXISTS (SELECT FROM relevo.queue_state s
                            WHERE s.paused AND (s.queue = w.queue OR right(s.queue, 1) = '*' AND starts_with(w.queue, left(s.queue, -1)))
                              AND (s.kind = w.kind OR right(s.kind, 1) = '*' AND starts_with(w.kind, left(s.kind, -1)))))) AS due;

-- name: job_drained
-- For people. $1 since when, $2 queues, none: all. What became of jobs since, and what is left: due, of them held up by a pause, failed and
-- not yet tried again, when the first of those is due, waiting for their time. Reads all jobs.
SELECT count(*) FILTER (WHERE w.state = 2 AND w.run_at >= $1::timestamptz) AS dead,
       count(*) FILTER (WHERE w.state = 3 AND w.run_at >= $1::timestamptz) AS quarantined,
       (SELECT count(*) FROM relevo.job_history h
        WHERE h.finished >= $1::timestamptz AND h.outcome = 'cancelled' AND (cardinality($2::text[]) = 0 OR h.queue = ANY ($2::text[]))) AS cancelled,
       count(*) FILTER (WHERE w.state < 2 AND NOT w.later) AS due,
       count(*) FILTER (WHERE w.state < 2 AND NOT w.later AND EXISTS (
         SELECT FROM relevo.queue_state s
         WHERE s.paused AND (s.queue = w.queue OR right(s.queue, 1) = '*' AND starts_with(w.queue, left(s.queue, -1)))
           AND (s.kind = w.kind OR right(s.kind, 1) = '*' AND starts_with(w.kind, left(s.kind, -1))))) AS paused,
       count(*) FILTER (WHERE w.state < 2 AND w.attempts + w.crashes > 0) AS retryable,
       min(w.run_at) FILTER (WHERE w.state < 2 AND w.attempts + w.crashes > 0) AS retry_at,
       count(*) FILTER (WHERE w.state < 2 AND w.later AND w.attempts + w.crashes = 0) AS scheduled
FROM (SELECT o.*, o.run_at IS NOT NULL AND o.run_at > clock_timestamp() AS later FROM relevo.job o
      WHERE cardinality($2::text[]) = 0 OR o.queue = ANY ($2::text[])) w;

-- name: job_failed_since
-- For people. $1 since when, $2 queues, none: all, $3 limit. Jobs that died, or failed and wait: dead ones first.
SELECT o.id, CASE o.state WHEN 2 THEN 'dead' WHEN 3 THEN 'quarantined' ELSE 'retryable' END AS state, o.kind, o.error
FROM relevo.job o
WHERE (cardinality($2::text[]) = 0 OR o.queue = ANY ($2::text[]))
  AND (o.state >= 2 AND o.run_at >= $1::timestamptz
       OR o.state = 0 AND o.error IS NOT NULL AND EXISTS (SELECT FROM relevo.job_attempt a WHERE a.job_id = o.id AND a.at >= $1::timestamptz))
ORDER BY o.state < 2, o.id LIMIT $3::int;

-- name: job_list
-- For people. $1 filter, $2 id after which to go on (0 at first), $3 limit. Finished jobs have no payload to filter by.
WITH live AS (
  SELECT v.*
  FROM (SELECT w.id FROM relevo.job w
        WHERE relevo.check_filter('job_list', $1::jsonb) AND w.id > $2::bigint
          AND coalesce($1::jsonb ->> 'state' NOT IN ('dead', 'quarantined', 'completed', 'cancelled', 'discarded'), true)
          AND relevo.job_matches(w, $1::jsonb, (w.unique_key IS NULL OR w.state = 1)
                                               AND (w.id, w.token) IN (SELECT p.id, p.token FROM relevo.open_job p))
        ORDER BY w.id LIMIT $3::int) m
  CROSS JOIN LATERAL (SELECT * FROM relevo.jobs o WHERE o.id = m.id AND o.finished IS NULL OFFSET 0) v
), dead AS (
  SELECT v.*
  FROM (SELECT w.id FROM relevo.job w
        WHERE relevo.check_filter('job_list', $1::jsonb) AND w.id > $2::bigint AND w.state >= 2
          AND $1::jsonb ->> 'state' IN ('dead', 'quarantined') AND relevo.job_matches(w, $1::jsonb)
        ORDER BY w.id LIMIT $3::int) m
  CROSS JOIN LATERAL (SELECT * FROM relevo.jobs o WHERE o.id = m.id AND o.finished IS NULL OFFSET 0) v
), past AS (
  SELECT v.* FROM relevo.jobs v
  WHERE relevo.check_filter('job_list', $1::jsonb) AND v.finished IS NOT NULL AND v.id > $2::bigint AND NOT $1::jsonb ?| '{payload,payload_path}'
    AND coalesce($1::jsonb ->> 'state' IN ('completed', 'cancelled', 'discarded', 'dead'), true)
    AND ($1::jsonb ->> 'state' IS NULL OR v.state = $1::jsonb ->> 'state')
    AND ($1::jsonb ->> 'kind' IS NULL OR v.kind = $1::jsonb ->> 'kind'
         OR right($1::jsonb ->> 'kind', 1) = '*' AND starts_with(v.kind, left($1::jsonb ->> 'kind', -1)))
    AND ($1::jsonb ->> 'queue' IS NULL OR v.queue = $1::jsonb ->> 'queue')
    AND ($1::jsonb ->> 'unique_key' IS NULL OR v.unique_key = $1::jsonb ->> 'unique_key')
    AND ($1::jsonb ->> 'concurrency_key' IS NULL OR v.concurrency_key = $1::jsonb ->> 'concurrency_key')
    AND ($1::jsonb ->> 'tenant' IS NULL OR v.tenant = $1::jsonb ->> 'tenant')
    AND ($1::jsonb ->> 'before' IS NULL OR v.created_at < ($1::jsonb ->> 'before')::timestamptz)
    AND ($1::jsonb ->> 'after' IS NULL OR v.created_at >= ($1::jsonb ->> 'after')::timestamptz)
  ORDER BY v.id LIMIT $3::int
)
SELECT a.id, a.state, a.queue, a.kind, a.priority, a.run_at, a.attempts, a.crashes, a.max_attempts, a.worker, a.unique_key, a.again,
       a.concurrency_key, a.rate_key, a.tenant, a.error, a.result::text AS result_text, a.created_at, a.finished,
       round(extract(epoch FROM a.ran) * 1000)::int8 AS ran_ms, a.batch
FROM (SELECT * FROM live UNION ALL SELECT * FROM dead UNION ALL SELECT * FROM past) a
ORDER BY a.id, a.finished NULLS LAST LIMIT $3::int;

-- name: job_show
-- For people. $1 id. The columns of job_list, and payload, headers, timeout_ms, expires_at, and the attempts as a JSON array. Two rows when a
-- unique job has run and waits again. MATERIALIZED and the zero
-- interval keep the planner from walking the history by time.
WITH v AS MATERIALIZED (
  SELECT * FROM relevo.jobs o WHERE o.id = $1::bigint
)
SELECT v.id, v.state, v.queue, v.kind, v.priority, v.run_at, v.attempts, v.crashes, v.max_attempts, v.worker, v.unique_key, v.again,
       v.concurrency_key, v.rate_key, v.tenant, v.error, v.result::text AS result_text, v.created_at, v.finished,
       round(extract(epoch FROM v.ran) * 1000)::int8 AS ran_ms, v.batch,
       coalesce(j.payload, h.payload)::text AS payload_text, nullif(j.headers, '{}')::text AS headers_text,
       ceil(extract(epoch FROM j.timeout) * 1000)::int8 AS timeout_ms, j.expires_at,
       (SELECT coalesce(json_agg(json_build_object('at', a.at, 'attempt', a.attempt, 'outcome', a.outcome, 'worker', a.worker,
                                                   'ran_ms', round(extract(epoch FROM a.ran) * 1000), 'error', a.error) ORDER BY a.at), '[]')::text
        FROM relevo.job_attempt a WHERE a.job_id = $1::bigint) AS attempts_text
FROM v
LEFT JOIN relevo.job j ON v.finished IS NULL AND j.id = ANY (ARRAY[v.id])
LEFT JOIN relevo.job_history h ON h.job_id = $1::bigint AND h.finished + interval '0' = v.finished
ORDER BY v.finished NULLS LAST;

-- name: job_cancel
-- For people. $1 id or NULL, $2 unique key or NULL. cancelled, requested, not found, dead: discard it.
SELECT relevo.cancel($1::bigint, $2::text) AS answer;

-- name: job_retry
-- For people. $1 id. redriven, requested, not found, refused: …
SELECT relevo.retry_now($1::bigint) AS answer;

-- name: job_redrive
-- For people. $1 ids. Those that wait again, and those whose unique key is taken.
SELECT r.redriven::text AS redriven_text, r.refused::text AS refused_text FROM relevo.redrive($1::bigint[]) r;

-- name: job_discard
-- For people. $1 ids
SELECT u.id FROM unnest(relevo.discard($1::bigint[])) u (id);

-- name: job_edit_waiting
-- $1 lanes, $2 epochs, $3 signal. The job's id if it was changed; NULL: it was not, or (the signal stays) not now.
SELECT relevo.edit_waiting($1::smallint[], $2::bigint[], $3::bigint) AS changed;

-- name: job_edit
-- For people. $1 id, $2 change. edited, requested (then operation), running, dead, not found.
SELECT e.answer, e.operation FROM relevo.edit_job($1::bigint, $2::jsonb) e;

-- name: job_enqueue
-- For people. As the parameters of relevo.enqueue(): $1 kind, $2 payload, $3 queue, $4 run_at, $5 priority, $6 unique_key, $7 on_conflict,
-- $8 concurrency_key, $9 rate_key, $10 tenant, $11 max_attempts, $12 timeout in ms, $13 expires_at, $14 headers
SELECT relevo.enqueue($1::text, $2::jsonb, $3::text, $4::timestamptz, $5::int, $6::text, $7::text, $8::text, $9::text, $10::text, $11::int,
                      $12::bigint * interval '1 millisecond', $13::timestamptz, $14::jsonb) AS id;

-- name: job_count
-- For tests and people. $1 filter. Jobs that wait or run; reads all of them.
SELECT count(*) AS jobs FROM relevo.job w
WHERE w.state < 2 AND relevo.check_filter('job_count', $1::jsonb)
  AND relevo.job_matches(w, $1::jsonb, (w.unique_key IS NULL OR w.state = 1) AND (w.id, w.token) IN (SELECT p.id, p.token FROM relevo.open_job p));

-- name: job_start_operation
-- For people. $1 cancel, retry or discard, $2 filter
SELECT relevo.start_operation($1::text, $2::jsonb) AS operation;

-- name: job_operations
-- For people. $1 limit, newest first.
SELECT o.id, o.what, o.filter::text AS filter_text, o.requested_at, o.changed, o.stopping, o.lanes_left, o.finished_at
FROM relevo.job_operation o ORDER BY o.id DESC LIMIT $1::int;

-- name: job_operation
-- For people. $1 id.
SELECT o.id, o.what, o.filter::text AS filter_text, o.requested_at, o.changed, o.stopping, o.lanes_left, o.finished_at
FROM relevo.job_operation o WHERE o.id = $1::bigint;

-- name: job_pause
-- For people. $1 queue, $2 kind, each or '*'
SELECT relevo.pause($1::text, $2::text);

-- name: job_resume
-- For people. $1 queue, $2 kind, as paused
SELECT relevo.resume($1::text, $2::text);

-- name: queue_concurrency
-- For people. $1 queue, $2 how many at once (NULL: no limit)
SELECT relevo.set_queue_concurrency($1::text, $2::int);

-- name: rate_set
-- For people. $1 key, $2 tokens a second (NULL: no limit), $3 burst
SELECT relevo.set_rate($1::text, $2::float8, $3::float8);

-- name: tenant_weight_set
-- For people. $1 tenant, $2 weight (NULL: 1)
SELECT relevo.set_tenant_weight($1::text, $2::int);

-- name: rates
-- At most 1000 of them.
SELECT b.key, b.rate, b.burst FROM relevo.bucket b ORDER BY b.key LIMIT 1000;

-- name: queues_running
SELECT j.queue, count(*) AS jobs
FROM relevo.open_job p JOIN relevo.job j ON j.id = p.id AND j.token = p.token AND (j.unique_key IS NULL OR j.state = 1)
GROUP BY j.queue;

-- name: lane_holders
-- Per holder (NULL: free): lanes, jobs in flight, microseconds since everything before was read in all of its lanes and classes. A
-- tick that is not known is another history, shown as far behind.
SELECT h.holder, count(*) AS lanes, sum(h.flying)::int8 AS running, max(h.behind) AS behind
FROM (SELECT CASE WHEN p.expires > clock_timestamp() THEN p.holder END AS holder, cardinality(p.open) AS flying,
             (SELECT max((extract(epoch FROM clock_timestamp() - coalesce(t.at, to_timestamp(0))) * 1e6)::bigint)
              FROM generate_series(1, 11, 5) s LEFT JOIN relevo.tick t ON t.id = p.pos[s]) AS behind
      FROM relevo.lane p) h
GROUP BY h.holder ORDER BY h.holder NULLS LAST;

-- name: schedule_figures
-- How many there are, how many of them are paused, when the next one fires, and how many should have fired 10 seconds ago.
SELECT count(*) AS schedules, count(*) FILTER (WHERE s.paused) AS paused, min(s.next_tick) FILTER (WHERE NOT s.paused) AS next_tick,
       count(*) FILTER (WHERE NOT s.paused AND s.next_tick < clock_timestamp() - interval '10 seconds') AS overdue
FROM relevo.schedule s;

-- name: tidy_jobs
-- $1 how long to keep history and attempts, $2 the inbox. Hourly will do.
SELECT relevo.tidy_jobs($1::interval, $2::interval);
