-- An operation takes the jobs that were there when it was asked for, also those that somebody had locked, and says what it could only
-- ask to stop.

-- last_id: the newest job at the time; NULL: an operation from before. stopping: running jobs that were asked to stop.
ALTER TABLE relevo.job_operation ADD COLUMN last_id bigint, ADD COLUMN stopping bigint NOT NULL DEFAULT 0;

-- Asks the holders of all lanes to cancel, retry or discard what matches of the jobs that are there now. Returns the operation's id;
-- job_operation tells how far it is.
CREATE OR REPLACE FUNCTION relevo.start_operation(what text, filter jsonb) RETURNS bigint LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  started bigint;
BEGIN
  IF what IS NULL OR what NOT IN ('cancel', 'retry', 'discard') THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
      MESSAGE = format('relevo.start_operation: what: is %s; give cancel, retry or discard', coalesce(quote_literal(left(what, 100)), 'NULL'));
  END IF;
  PERFORM relevo.check_filter('start_operation', filter);
  IF filter ->> 'state' IN ('completed', 'cancelled', 'discarded') THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
      MESSAGE = format('relevo.start_operation: filter: state: is ''%s''; such jobs are history, give a state of jobs that are not finished', filter ->> 'state');
  END IF;
  INSERT INTO relevo.job_operation AS o (what, filter, lanes_left, last_id)
  SELECT start_operation.what, start_operation.filter, count(*), (SELECT coalesce(max(j.id), 0) FROM relevo.job j) FROM relevo.lane
  RETURNING o.id INTO started;
  INSERT INTO relevo.job_signal (lane, what, operation)
  SELECT p.lane, CASE start_operation.what WHEN 'retry' THEN 'retry_now' ELSE 'cancel' END, started
  FROM relevo.lane p;
  RETURN started;
END $$;

DROP FUNCTION relevo.apply_operation(bigint, smallint[], bigint[], bigint, int, bigint[]);

-- One page of an operation in some lanes of one holder: of the next `page` rows (by id; last_id NULL: the end) those that match are
-- changed and named, so that the holder drops what it has read of them. skip_ids: what the holder has in flight; of these, running
-- names those that match, for the holder to stop by itself. missed: rows that match and that somebody has locked, a result of the holder
-- or a stranger; the page is to be done again.
CREATE FUNCTION relevo.apply_operation(op bigint, lanes smallint[], epochs bigint[], after_id bigint, page int, skip_ids bigint[],
                                       OUT last_id bigint, OUT changed bigint[], OUT running bigint[], OUT missed int) LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
#variable_conflict use_variable
DECLARE
  o        relevo.job_operation;
  mask     int := (SELECT p.lanes - 1 FROM relevo.lane p LIMIT 1);
  scanned  bigint[];
  matches  bigint[];
  versions xid[];
  wanted   bigint[];
BEGIN
  changed := '{}';
  running := '{}';
  missed := 0;
  IF NOT relevo.fence(lanes, epochs) @> lanes THEN
    RAISE EXCEPTION 'relevo.apply_operation: a lane is held in another epoch' USING ERRCODE = 'serialization_failure';
  END IF;
  SELECT * INTO o FROM relevo.job_operation p WHERE p.id = op;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  IF o.what = 'discard' OR o.filter ->> 'state' IN ('dead', 'quarantined') THEN
    scanned := ARRAY(SELECT j.id FROM relevo.job j WHERE j.id > after_id AND (o.last_id IS NULL OR j.id <= o.last_id) AND j.state >= 2 ORDER BY j.id LIMIT page);
  ELSE
    scanned := ARRAY(SELECT j.id FROM relevo.job j WHERE j.id > after_id AND (o.last_id IS NULL OR j.id <= o.last_id) ORDER BY j.id LIMIT page);
  END IF;
  IF cardinality(scanned) = page THEN
    last_id := scanned[page];
  END IF;
  SELECT coalesce(array_agg(j.id), '{}'), array_agg(j.xmin) INTO matches, versions
  FROM unnest(scanned) s (id) JOIN relevo.job j ON j.id = s.id
  WHERE CASE WHEN (hashtextextended(coalesce(j.concurrency_key, j.id::text), 0) & mask) <> ALL (lanes) THEN false
             WHEN CASE o.what WHEN 'cancel' THEN j.state < 2
                              WHEN 'retry' THEN j.state >= 2 OR j.state = 0 AND j.run_at > clock_timestamp()
                              ELSE j.state >= 2 END
             THEN relevo.job_matches(j, o.filter, j.state = 0 AND j.unique_key IS NULL AND j.id = ANY (skip_ids))
             ELSE false END;
  -- as it was when it matched, else it is missed, too
  SELECT array_agg(m.id) FILTER (WHERE NOT m.flies), coalesce(array_agg(m.id) FILTER (WHERE m.flies), '{}'),
         cardinality(matches) - count(m.id)
  INTO wanted, running, missed
  FROM (SELECT j.id, j.state = 1 OR j.state = 0 AND j.unique_key IS NULL AND j.id = ANY (skip_ids) AS flies
        FROM unnest(matches, versions) s (id, version) JOIN relevo.job j ON j.id = s.id AND j.xmin = s.version
        ORDER BY j.id FOR UPDATE OF j SKIP LOCKED) m;
  IF o.what <> 'cancel' THEN
    running := '{}';
  END IF;
  IF wanted IS NULL THEN
    RETURN;
  END IF;
  IF o.what = 'retry' THEN
    WITH u AS (
      UPDATE relevo.job j SET token = j.token + 1, run_at = clock_timestamp()
      FROM unnest(wanted) w (id) WHERE j.id = w.id AND j.state = 0 RETURNING j.id
    )
    SELECT coalesce(array_agg(u.id), '{}') INTO changed FROM u;
    SELECT changed || r.redriven INTO changed FROM relevo.redrive(ARRAY(
      SELECT j.id FROM unnest(wanted) w (id) JOIN relevo.job j ON j.id = w.id AND j.state >= 2)) r;
  ELSE
    SELECT r.removed INTO changed
    FROM relevo.remove_jobs(wanted, o.what = 'discard', CASE o.what WHEN 'discard' THEN 'discarded' ELSE 'cancelled' END, NULL) r;
  END IF;
  UPDATE relevo.job_operation p SET changed = p.changed + cardinality(apply_operation.changed) WHERE p.id = op;
END $$;

DO $$ BEGIN PERFORM relevo.grant_privileges(); END $$;

UPDATE relevo.schema SET version = 15;
