-- Nothing but the test itself vacuums or analyses a table, or makes the plans be made anew.
SELECT format('ALTER TABLE %s SET (autovacuum_enabled = off)', c.oid::regclass) FROM pg_class c WHERE c.relnamespace = 'relevo'::regnamespace AND c.relkind = 'r' \gexec
