-- What the scripts about jobs share.
\ir pinned.sql

-- The rows of a statement, without the row of a read that only tells how far it came (its lane is NULL).
CREATE FUNCTION rows_of(statement text) RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
DECLARE
  r record;
  j jsonb;
BEGIN
  FOR r IN EXECUTE statement LOOP
    j := to_jsonb(r);
    IF NOT j ? 'lane' OR j ->> 'lane' IS NOT NULL THEN RETURN NEXT j; END IF;
  END LOOP;
END $$;
-- their ids, sorted
CREATE FUNCTION ids(statement text) RETURNS bigint[] LANGUAGE sql AS $$ SELECT coalesce(array_agg((r ->> 'id')::bigint ORDER BY (r ->> 'id')::bigint), '{}') FROM rows_of(statement) r $$;
-- the kinds of the jobs of these rows, in order
CREATE FUNCTION kinds(statement text) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(r ->> 'kind', ',') FROM rows_of(statement) r $$;
CREATE FUNCTION job(id bigint) RETURNS relevo.job LANGUAGE sql AS $$ SELECT j FROM relevo.job j WHERE j.id = job.id $$;
CREATE FUNCTION id_of(kind text) RETURNS bigint LANGUAGE sql AS $$ SELECT j.id FROM relevo.job j WHERE j.kind = id_of.kind $$;
CREATE FUNCTION ids_of(kinds text) RETURNS bigint[] LANGUAGE sql AS $$ SELECT array_agg(j.id ORDER BY j.id) FROM relevo.job j WHERE j.kind = ANY (string_to_array(kinds, ',')) $$;
-- a lane's position with all classes at one tick
CREATE FUNCTION position_at(tick bigint, fingerprint bigint) RETURNS text LANGUAGE sql AS $$
  SELECT (s || s || s)::text FROM (SELECT ARRAY[tick, tick, 0, -1, fingerprint] AS s) x $$;
-- puts these jobs into the claim journal of a lane
CREATE FUNCTION claim(lane int, kinds text) RETURNS void LANGUAGE sql AS $$
  UPDATE relevo.lane p SET (open, open_token) = (SELECT array_agg(j.id ORDER BY j.id), array_agg(j.token ORDER BY j.id) FROM relevo.job j WHERE j.kind = ANY (string_to_array(kinds, ',')))
  WHERE p.lane = claim.lane $$;
