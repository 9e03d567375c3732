-- The relay's plans, when they were made while the tables were small.
\set small
\ir plans.sql
