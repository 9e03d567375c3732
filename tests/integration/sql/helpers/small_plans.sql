-- Makes the plan of every prepared statement now, as a program does that starts while its tables are small, and keeps it: generic
-- plans stay until the tables are analysed.
\ir pinned.sql
DO $$
DECLARE
  s record;
BEGIN
  FOR s IN SELECT name, cardinality(parameter_types) AS parameters FROM pg_prepared_statements LOOP
    EXECUTE format('EXPLAIN EXECUTE %I%s', s.name, CASE WHEN s.parameters > 0 THEN '(' || array_to_string(array_fill('NULL'::text, ARRAY[s.parameters]), ', ') || ')' END);
  END LOOP;
END $$;
DO $$ BEGIN FOR i IN 1..10 LOOP PERFORM relevo.next_tick(); COMMIT; END LOOP; END $$;
BEGIN;
SELECT relevo.enqueue_batch('[{"kind": "b"}]', '{"kind": "t"}') AS small_batch \gset
SELECT relevo.start_operation(w, '{}') AS op FROM unnest('{cancel,retry,discard}'::text[]) w \g /dev/null
UPDATE relevo.lane SET epoch = 1, ver = 1, holder = 'w', expires = 'infinity', (open, open_token) = (ARRAY(SELECT id FROM relevo.job), ARRAY(SELECT token FROM relevo.job)) WHERE lane = 0;
SELECT a.* FROM relevo.job_operation o CROSS JOIN generate_series(1, 10) CROSS JOIN LATERAL relevo.apply_operation(o.id, '{0}', '{1}', 0, 1, '{}') a ORDER BY o.id \g /dev/null
SELECT relevo.batch_ended(ARRAY[:small_batch]) FROM generate_series(1, 10) \g /dev/null
SELECT relevo.settle(0::smallint, 1, 1, true, 3, '1 min', 'w') \g /dev/null
ROLLBACK;
RESET ALL;
