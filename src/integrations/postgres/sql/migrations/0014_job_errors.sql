-- What went wrong with each job, attempt by attempt; NULL: nothing. Looked up only where the column is asked for and an attempt failed.
CREATE OR REPLACE VIEW relevo.jobs AS
SELECT j.id,
       CASE WHEN j.state = 3 THEN 'quarantined' WHEN j.state = 2 THEN 'dead' WHEN p.id IS NOT NULL THEN 'running'
            WHEN j.attempts + j.crashes > 0 THEN 'retryable' WHEN j.run_at > clock_timestamp() THEN 'scheduled' ELSE 'available' END AS state,
       j.queue, j.kind, j.priority, j.run_at, j.attempts, j.crashes, j.max_attempts, p.holder AS worker, j.unique_key, j.again,
       j.concurrency_key, j.rate_key, j.tenant, j.error, NULL::jsonb AS result, j.created_at, NULL::timestamptz AS finished,
       NULL::interval AS ran, j.batch, CASE WHEN j.attempts + j.crashes > 0 OR j.token > 1 THEN (
         SELECT jsonb_agg(jsonb_build_object('at', a.at, 'attempt', a.attempt, 'outcome', a.outcome, 'worker', a.worker,
                                             'ran_ms', round(extract(epoch FROM a.ran) * 1000), 'error', a.error) ORDER BY a.at)
         FROM relevo.job_attempt a WHERE a.job_id = j.id) END AS errors
FROM relevo.job j
LEFT JOIN relevo.open_job p ON p.id = j.id AND p.token = j.token AND (j.unique_key IS NULL OR j.state = 1)
UNION ALL
SELECT h.job_id, h.outcome, h.queue, h.kind, h.priority, NULL, h.attempts, h.crashes, NULL, h.worker, h.unique_key, false,
       h.concurrency_key, NULL, h.tenant, h.error, h.result, h.created_at, h.finished, h.ran, h.batch,
       CASE WHEN h.attempts + h.crashes > 1 OR h.error IS NOT NULL THEN (
         SELECT jsonb_agg(jsonb_build_object('at', a.at, 'attempt', a.attempt, 'outcome', a.outcome, 'worker', a.worker,
                                             'ran_ms', round(extract(epoch FROM a.ran) * 1000), 'error', a.error) ORDER BY a.at)
         FROM relevo.job_attempt a WHERE a.job_id = h.job_id) END
FROM relevo.job_history h;

UPDATE relevo.schema SET version = 14;
