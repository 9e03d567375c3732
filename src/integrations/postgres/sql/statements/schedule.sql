-- Schedules: the daemon computes the ticks, the database sees to it that each fires once.

-- name: schedules_due
-- What has to be computed or fired now or within two seconds, and this clock.
SELECT s.name, s.cron, round(extract(epoch FROM s.every) * 1000)::int8 AS every_ms, s.at, s.time_zone, s.kind, s.queue, s.missed, s.missed_max,
       s.last_tick, s.next_tick, s.paused, clock_timestamp() AS now
FROM relevo.schedule s
WHERE (s.next_tick IS NULL OR s.next_tick <= clock_timestamp() + interval '2 seconds')
  AND NOT coalesce(s.last_tick >= s.at, false)   -- a one-off that has fired is done
ORDER BY s.name;

-- name: schedule_fire
-- $1 name, $2 next_tick as read (NULL: none), $3 the one after (NULL: none), $4 ticks to fire. Returns the number of jobs; no row if another was
-- first: the row is locked and looked at again before the function is called.
SELECT relevo.schedule_fire($1::text, $2::timestamptz, $3::timestamptz, ($4::text[])::timestamptz[]) AS jobs
FROM (SELECT FROM relevo.schedule s WHERE s.name = $1::text AND s.next_tick IS NOT DISTINCT FROM $2::timestamptz FOR UPDATE) own;

-- name: schedules_list
SELECT s.name, s.cron, round(extract(epoch FROM s.every) * 1000)::int8 AS every_ms, s.at, s.time_zone, s.queue, s.kind, s.payload::text AS payload_text,
       s.priority, s.headers::text AS headers_text, s.missed, s.missed_max, s.paused, s.origin, s.last_tick, s.next_tick, s.last_job,
       s.last_state, s.created_at, s.changed_at, s.unique_key, s.concurrency_key, s.rate_key, s.tenant
FROM relevo.schedules s ORDER BY s.name;

-- name: schedule_put
-- $1 name, $2 kind, $3 cron, $4 every in ms, $5 at (one of the three, else NULL), $6 time zone, $7 queue, $8 payload, $9 priority, $10 headers, $11 missed,
-- $12 missed_max, $13 origin (config or sql), $14 unique key, $15 concurrency key, $16 rate key, $17 tenant (NULL: none)
SELECT relevo.schedule_put($1::text, $2::text, $3::text, $4::bigint * interval '1 millisecond', $5::timestamptz, $6::text, $7::text, $8::jsonb,
                           $9::int, $10::jsonb, $11::text, $12::int, $13::text, $14::text, $15::text, $16::text, $17::text);

-- name: schedule_remove
-- $1 name. false: there is none.
SELECT relevo.schedule_remove($1::text) AS found;

-- name: schedule_pause
-- $1 name
SELECT relevo.schedule_pause($1::text) AS found;

-- name: schedule_resume
-- $1 name
SELECT relevo.schedule_resume($1::text) AS found;

-- name: schedule_run
-- $1 name. One job now, apart from the ticks; no row: there is no such schedule.
SELECT relevo.schedule_enqueue(s, NULL) AS job
FROM relevo.schedule s WHERE s.name = $1::text;

-- name: schedules_remove_configured
-- $1 names. Removes those of the configuration that it does not have any more.
DELETE FROM relevo.schedule s WHERE s.origin = 'config' AND s.name <> ALL ($1::text[]) RETURNING s.name;
