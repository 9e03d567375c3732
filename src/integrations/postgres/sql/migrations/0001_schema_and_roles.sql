-- Schema, bookkeeping of migrations and the three group roles. The migrator runs each file in one transaction.

DO $$
BEGIN
  IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
    RAISE EXCEPTION 'relevo needs a database with encoding UTF8, this one has %', pg_catalog.getdatabaseencoding()
      USING ERRCODE = 'feature_not_supported';
  END IF;
  -- a DBA may have made the schema for a user who may not create one
  IF pg_catalog.to_regnamespace('relevo') IS NULL THEN
    CREATE SCHEMA relevo;
  END IF;
END $$;

CREATE TABLE IF NOT EXISTS relevo.migration (
  version    int         PRIMARY KEY,
  name       text        NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  checksum   text        NOT NULL
);

-- A program carries the number of the newest migration it knows. It works with this database when that number is at
-- least oldest_program_version: so an older release can stay up while a newer one migrates.
CREATE TABLE relevo.schema (
  only_row               boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  version                int     NOT NULL,
  oldest_program_version int     NOT NULL CHECK (oldest_program_version <= version)
);
INSERT INTO relevo.schema (version, oldest_program_version) VALUES (1, 1);

-- Roles belong to the cluster: another database's migration may have made them, or be making them now.
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['relevo_owner', 'relevo_writer', 'relevo_relay'] LOOP
    CONTINUE WHEN EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = name);
    BEGIN
      EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', name);
    EXCEPTION
      WHEN duplicate_object OR unique_violation THEN
        NULL;
      WHEN insufficient_privilege THEN
        RAISE NOTICE 'relevo: % may not create roles; let a DBA run: CREATE ROLE % NOLOGIN; then, as the owner of schema relevo: SELECT relevo.grant_privileges();',
          current_user, name;
    END;
  END LOOP;
END $$;
