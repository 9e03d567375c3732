-- The same with plans that were made while the tables were small.
\set small
\ir jobs_plans.sql
