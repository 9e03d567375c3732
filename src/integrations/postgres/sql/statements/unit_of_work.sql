-- What a handler's unit of work writes besides the rows of its own context. Not pinned: none of them reads a table by a plan
-- worth pinning, and the handler's own statements stay planned as usual.

-- name: unit_publish unpinned
-- $1 aggregate type, $2 aggregate id, $3 type, $4 payload (NULL: tombstone), $5 headers, $6 topic, $7 tenant
SELECT relevo.publish($1::text, $2::text, $3::text, $4::jsonb, $5::jsonb, $6::text, $7::text);

-- name: unit_enqueue unpinned
-- $1 kind, $2 payload, $3 queue, $4 delay (NULL: at once), $5 priority, $6 unique key, $7 on conflict, $8 concurrency key, $9 rate key,
-- $10 tenant, $11 most attempts, $12 headers
SELECT relevo.enqueue($1::text, $2::jsonb, queue => $3::text, run_at => clock_timestamp() + $4::interval, priority => $5::int,
                      unique_key => $6::text, on_conflict => $7::text, concurrency_key => $8::text, rate_key => $9::text,
                      tenant => $10::text, max_attempts => $11::int, headers => $12::jsonb);

-- name: unit_audit unpinned
-- $1 actor, $2 action, $3 subject type, $4 subject id, $5 from state, $6 to state, $7 reason, $8 tenant, $9 details
INSERT INTO relevo.audit_log (actor, action, subject_type, subject_id, from_state, to_state, reason, tenant, details)
VALUES ($1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::text, $9::jsonb);

-- name: unit_enqueue_many unpinned
-- $1 the jobs, as relevo.enqueue_many() takes them
SELECT cardinality(relevo.enqueue_many($1::jsonb));
