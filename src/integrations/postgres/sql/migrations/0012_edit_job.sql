-- Changing a job that waits: its payload, its time, its priority, its queue.

-- change: of an edit only, gone once it is applied, since it may hold a payload. The operation tells how an edit ended.
ALTER TABLE relevo.job_signal
  ADD COLUMN change jsonb,
  DROP CONSTRAINT job_signal_what_is_known,
  DROP CONSTRAINT job_signal_is_for_a_job_or_an_operation,
  ADD CONSTRAINT job_signal_what_is_known CHECK (what IN ('cancel', 'retry_now', 'edit')),
  ADD CONSTRAINT job_signal_is_for_a_job_or_an_operation CHECK (
    CASE what WHEN 'edit' THEN num_nonnulls(job_id, operation, change) = 3
              ELSE num_nonnulls(job_id, operation) = 1 AND change IS NULL END);
ALTER TABLE relevo.job_operation
  DROP CONSTRAINT job_operation_what_is_known,
  ADD CONSTRAINT job_operation_what_is_known CHECK (what IN ('cancel', 'retry', 'discard', 'edit'));

-- Says what is wrong with a change of this job, NULL if nothing is. Never quotes a payload.
CREATE FUNCTION relevo.edit_problem(job relevo.job, change jsonb) RETURNS text LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  name  text;
  typed record;
BEGIN
  IF change IS NULL OR jsonb_typeof(change) <> 'object' OR change = '{}' THEN
    RETURN format('is %s; give an object with some of payload, run_at, priority, queue',
                  CASE WHEN change = '{}' THEN 'empty' ELSE coalesce('a JSON ' || jsonb_typeof(change), 'NULL') END);
  END IF;
  SELECT left(to_json(k)::text, 100) INTO name FROM jsonb_object_keys(change) k
  WHERE k <> ALL ('{payload,run_at,priority,queue}') LIMIT 1;
  IF FOUND THEN
    RETURN format('%s: cannot be changed; give some of payload, run_at, priority, queue', name);
  END IF;
  FOR typed IN SELECT * FROM (VALUES ('run_at', 'timestamptz', 'string', 'a time'), ('priority', 'int', 'number', 'a whole number'),
                                     ('queue', 'text', 'string', '1 to 255 bytes')) v (name, type, json, wanted)
  LOOP
    CONTINUE WHEN NOT change ? typed.name;
    IF jsonb_typeof(change -> typed.name) <> typed.json THEN
      RETURN format('%s: is a JSON %s; give a %s', typed.name, jsonb_typeof(change -> typed.name), typed.json);
    END IF;
    BEGIN
      EXECUTE format('SELECT $1::%s', typed.type) USING change ->> typed.name;
    EXCEPTION WHEN data_exception THEN
      RETURN format('%s: %s; give %s', typed.name, SQLERRM, typed.wanted);
    END;
  END LOOP;
  RETURN relevo.job_problem(job.kind, coalesce(change ->> 'queue', job.queue), coalesce((change ->> 'priority')::int, job.priority), job.unique_key,
                            job.concurrency_key, job.rate_key, job.tenant, coalesce(change -> 'payload', job.payload), job.headers,
                            (change ->> 'run_at')::timestamptz, job.max_attempts, job.timeout);
END $$;

-- The change itself; the caller has the row locked and knows that it waits.
CREATE FUNCTION relevo.apply_edit(job_id bigint, change jsonb) RETURNS void LANGUAGE sql
  SET search_path = pg_catalog, pg_temp AS $$
  UPDATE relevo.job o
  SET token = o.token + 1, payload = coalesce(change -> 'payload', o.payload), queue = coalesce(change ->> 'queue', o.queue),
      priority = coalesce((change ->> 'priority')::int, o.priority),
      run_at = CASE WHEN change ? 'run_at' THEN greatest((change ->> 'run_at')::timestamptz, clock_timestamp()) ELSE o.run_at END
  WHERE o.id = job_id AND o.state = 0;
$$;

-- Changes a waiting job: change has some of payload, run_at (a time in the past is now), priority, queue. A unique job cannot
-- start without its mark, so it is changed at once under its row lock: 'edited'. A row without key may stand in the memory of
-- its lane's holder, who starts it without looking at it again: the holder is asked ('requested'), and the operation tells how
-- it ended (finished_at; changed 1: edited, 0: it ran or was gone by then). Otherwise 'running', 'dead' or 'not found'.
CREATE FUNCTION relevo.edit_job(job_id bigint, change jsonb, OUT answer text, OUT operation bigint) LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  j       relevo.job;
  problem text;
BEGIN
  SELECT * INTO j FROM relevo.job o WHERE o.id = edit_job.job_id;
  IF FOUND AND j.unique_key IS NOT NULL THEN
    SELECT * INTO j FROM relevo.job o WHERE o.id = edit_job.job_id FOR UPDATE;
  END IF;
  IF j.id IS NULL THEN
    answer := 'not found';
    RETURN;
  END IF;
  problem := relevo.edit_problem(j, change);
  IF problem IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'relevo.edit_job: ' || problem;
  END IF;
  IF j.state >= 2 THEN
    answer := 'dead';
  ELSIF j.state = 1 OR j.unique_key IS NULL AND EXISTS (SELECT FROM relevo.open_job p WHERE p.id = j.id AND p.token = j.token) THEN
    answer := 'running';
  ELSIF j.unique_key IS NOT NULL THEN
    PERFORM relevo.apply_edit(j.id, change);
    answer := 'edited';
  ELSE
    INSERT INTO relevo.job_operation AS o (what, filter, lanes_left) VALUES ('edit', jsonb_build_object('job_id', j.id), 1)
    RETURNING o.id INTO operation;
    INSERT INTO relevo.job_signal (lane, what, job_id, operation, change)
    VALUES (relevo.lane_of(j.id, j.concurrency_key), 'edit', j.id, operation, change);
    answer := 'requested';
  END IF;
END $$;

-- For the holder of the lane: applies one wish for an edit, ends its operation and forgets it, in one. Journalled jobs are not
-- touched: they run, or are about to be handed on. Returns the job's id if it was changed: what the holder has in memory of it
-- is stale then. NULL also when the lane is lost or somebody has the row locked: the wish stays for later.
CREATE FUNCTION relevo.edit_waiting(lanes smallint[], epochs bigint[], signal bigint) RETURNS bigint LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
  held smallint[] := relevo.fence(lanes, epochs);
  s    relevo.job_signal;
  j    relevo.job;
  done bigint;
BEGIN
  SELECT * INTO s FROM relevo.job_signal w WHERE w.id = signal AND w.what = 'edit' AND w.lane = ANY (held);
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  SELECT * INTO j FROM relevo.job o WHERE o.id = s.job_id FOR UPDATE SKIP LOCKED;
  IF NOT FOUND AND EXISTS (SELECT FROM relevo.job o WHERE o.id = s.job_id) THEN
    RETURN NULL;
  END IF;
  IF j.state = 0 AND NOT EXISTS (SELECT FROM relevo.open_job p WHERE p.id = j.id AND p.token = j.token) THEN
    PERFORM relevo.apply_edit(j.id, s.change);
    done := j.id;
  END IF;
  DELETE FROM relevo.job_signal w WHERE w.id = signal;
  UPDATE relevo.job_operation o
  SET lanes_left = 0, changed = CASE WHEN done IS NULL THEN 0 ELSE 1 END, finished_at = clock_timestamp() WHERE o.id = s.operation;
  RETURN done;
END $$;

UPDATE relevo.schema SET version = 12;
