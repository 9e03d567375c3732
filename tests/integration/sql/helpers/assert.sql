-- Assertions for the scripts beside this folder.
CREATE SCHEMA assert;
GRANT USAGE ON SCHEMA assert TO PUBLIC;

CREATE FUNCTION assert.that(holds boolean, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF holds IS NOT TRUE THEN RAISE EXCEPTION 'expected: %', what; END IF;
END $$;

CREATE FUNCTION assert.equal(got anyelement, want anyelement, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF got IS DISTINCT FROM want THEN RAISE EXCEPTION '%: got %, expected %', what, got, want; END IF;
END $$;

CREATE FUNCTION assert.fails(statement text, state text, message text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  failed boolean := false;
BEGIN
  BEGIN
    EXECUTE statement;
  EXCEPTION WHEN OTHERS THEN
    failed := true;
    IF SQLSTATE <> state OR position(message IN SQLERRM) = 0 THEN
      RAISE EXCEPTION E'%\nfailed with % %\nexpected    % %', statement, SQLSTATE, SQLERRM, state, message;
    END IF;
  END;
  IF NOT failed THEN RAISE EXCEPTION '% should have failed with % %', statement, state, message; END IF;
END $$;

-- A second session in this database, to write while the first one looks.
CREATE EXTENSION dblink SCHEMA assert;
CREATE FUNCTION assert.connect(name text) RETURNS text LANGUAGE sql AS $$
  SELECT assert.dblink_connect(name, format('dbname=%L port=%L%s user=%L', current_database(), current_setting('port'),
    coalesce(format(' host=%L', nullif(split_part(current_setting('unix_socket_directories'), ',', 1), '')), ' host=localhost'), session_user)) $$;
CREATE FUNCTION assert.run(name text, statement text) RETURNS text LANGUAGE sql AS $$ SELECT assert.dblink_exec(name, statement) $$;

-- Publishes n events of aggregates <prefix>1 … in one transaction of the session `name` (begin and commit are the caller's).
CREATE FUNCTION assert.publish(name text, n int, prefix text DEFAULT 'a') RETURNS void LANGUAGE sql AS $$
  SELECT assert.dblink_exec(name, format($q$DO $d$ BEGIN PERFORM relevo.publish('order', %L || i, 'OrderPlaced', '{"n": 1}') FROM generate_series(1, %s) i; END $d$ $q$, prefix, n)) $$;
