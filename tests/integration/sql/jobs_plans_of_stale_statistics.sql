-- The same where autovacuum looked at the jobs at a moment when there were next to none, in files that stayed large.
\set stale
\ir jobs_plans.sql
