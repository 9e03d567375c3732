-- Plans with the settings of the program.
\ir pinned.sql

-- one row per node: type, relation, index
CREATE FUNCTION nodes(statement text) RETURNS TABLE (node text, relation text, index text, read bigint) LANGUAGE plpgsql AS $$
DECLARE
  plan jsonb;
BEGIN
  EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) ' || statement INTO plan;
  RETURN QUERY
  WITH RECURSIVE n AS (
    SELECT plan -> 0 -> 'Plan' AS p
    UNION ALL
    SELECT c FROM n CROSS JOIN LATERAL jsonb_array_elements(n.p -> 'Plans') c
  )
  SELECT p ->> 'Node Type', p ->> 'Relation Name', p ->> 'Index Name', ((p ->> 'Actual Rows')::bigint + coalesce((p ->> 'Rows Removed by Filter')::bigint, 0)) * (p ->> 'Actual Loops')::bigint FROM n;
END $$;
-- `indexes`: a pattern for the names of all indexes used on tables that match `tables`; `most`: rows a node may read of them
CREATE FUNCTION expect(statement text, tables text, indexes text, most bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  n record;
  used int := 0;
BEGIN
  FOR n IN SELECT * FROM nodes(statement) x WHERE x.relation ~ tables AND x.node <> 'ModifyTable' LOOP
    used := used + 1;
    PERFORM assert.that(n.node IN ('Index Scan', 'Index Only Scan') AND n.index ~ indexes, format('%s: an index like %s, got %s %s', statement, indexes, n.node, n.index));
    PERFORM assert.that(n.read <= most, format('%s: at most %s rows read in %s, got %s', statement, most, n.relation, n.read));
  END LOOP;
  PERFORM assert.that(used > 0, format('%s: reads %s', statement, tables));
  PERFORM assert.equal((SELECT count(*) FROM nodes(statement) x WHERE x.node ~ '^(Seq|Bitmap|Gather)' AND x.relation ~ tables), 0::bigint, statement || ': scans of whole tables');
END $$;
-- of statements inside functions, where only the buffers tell the plan
CREATE FUNCTION buffers(statement text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  plan jsonb;
BEGIN
  EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) ' || statement INTO plan;
  RETURN (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::bigint + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::bigint;
END $$;
