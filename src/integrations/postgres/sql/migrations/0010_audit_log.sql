-- Who changed what, from which state to which, and why: written by handlers in the transaction of the change itself.
-- Append-only: no role of relevo may change or delete a line; the owner may delete old ones.

CREATE TABLE relevo.audit_log (
  id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at           timestamptz NOT NULL DEFAULT clock_timestamp(),
  actor        text,                                  -- NULL: relevo itself
  action       text        NOT NULL,
  subject_type text        COLLATE "C" NOT NULL,
  subject_id   text        COLLATE "C" NOT NULL,
  from_state   text,
  to_state     text,
  reason       text,
  tenant       text        COLLATE "C",
  details      jsonb       NOT NULL DEFAULT '{}',
  CONSTRAINT audit_log_action_is_named CHECK (action <> ''),
  CONSTRAINT audit_log_subject_is_named CHECK (subject_type <> ''),
  CONSTRAINT audit_log_details_is_an_object CHECK (jsonb_typeof(details) = 'object')
);
CREATE INDEX audit_log_by_subject ON relevo.audit_log (subject_type, subject_id, id);

CREATE FUNCTION relevo.refuse_audit_change() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'relevo.audit_log: a line is never changed; write another one' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_log_is_append_only BEFORE UPDATE ON relevo.audit_log
  FOR EACH STATEMENT EXECUTE FUNCTION relevo.refuse_audit_change();

UPDATE relevo.schema SET version = 10;
