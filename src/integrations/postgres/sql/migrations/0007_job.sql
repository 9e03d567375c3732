-- Jobs: a row is an unfinished job; finishing deletes it. Their history, what belongs to them, and how they are enqueued.

-- Roles belong to the cluster: another database's migration may have made this one, or be making it now.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = 'relevo_worker') THEN
    RETURN;
  END IF;
  CREATE ROLE relevo_worker NOLOGIN;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN
    NULL;
  WHEN insufficient_privilege THEN
    RAISE NOTICE 'relevo: % may not create roles; let a DBA run: CREATE ROLE relevo_worker NOLOGIN; then, as the owner of schema relevo: SELECT relevo.grant_privileges();',
      current_user;
END $$;

-- One place decides what a job may hold. A single expression, so that PL/pgSQL inlines it and keeps its plan. Not STRICT: a
-- NULL where none may be makes the result NULL, which the callers take for false.
-- On the payload: 512 bytes of jsonb that are not compressed are at most 6 MiB of text (42 numbers such as 1e131071), so
-- that only larger ones are written out to be measured.
CREATE FUNCTION relevo.job_is_valid(kind text, queue text, priority int, unique_key text, concurrency_key text, rate_key text,
                                    tenant text, payload jsonb, headers jsonb, run_at timestamptz, max_attempts int,
                                    timeout interval)
  RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
  RETURN octet_length(kind) BETWEEN 1 AND 255
     AND octet_length(queue) BETWEEN 1 AND 255
     AND (kind || queue) COLLATE "C" !~ '[\u0001-\u001f\u007f-\u009f]'
     AND priority IS NOT NULL
     AND (unique_key IS NULL OR octet_length(unique_key) BETWEEN 1 AND 1024 AND unique_key COLLATE "C" !~ '[\u0001-\u001f\u007f-\u009f]')
     AND (concurrency_key IS NULL OR octet_length(concurrency_key) BETWEEN 1 AND 1024 AND concurrency_key COLLATE "C" !~ '[\u0001-\u001f\u007f-\u009f]')
     AND (rate_key IS NULL OR octet_length(rate_key) BETWEEN 1 AND 1024 AND rate_key COLLATE "C" !~ '[\u0001-\u001f\u007f-\u009f]')
     AND (tenant IS NULL OR octet_length(tenant) BETWEEN 1 AND 255 AND tenant COLLATE "C" !~ '[\u0001-\u001f\u007f-\u009f]')
     AND CASE WHEN pg_column_size(payload) <= 512 AND pg_column_compression(payload) IS NULL THEN true
              ELSE octet_length(payload::text) <= 8388608 END
     AND (run_at IS NULL OR run_at < 'infinity')
     AND (max_attempts IS NULL OR max_attempts BETWEEN 1 AND 10000)
     AND (timeout IS NULL OR timeout > interval '0' AND timeout <= interval '24 hours')
     AND (headers = '{}'
          OR jsonb_typeof(headers) = 'object'
             AND octet_length(headers::text) <= 32768
             AND NOT headers ? ''
             AND NOT jsonb_path_exists(headers, 'strict $.* ? (@.type() <> "string")')
             AND jsonb_array_length(jsonb_path_query_array(headers, '$.*')) <= 100);

-- Says what job_is_valid() objects to: "argument: reason; what to do". Never quotes a payload or a header's value.
CREATE FUNCTION relevo.job_problem(kind text, queue text, priority int, unique_key text, concurrency_key text, rate_key text,
                                   tenant text, payload jsonb, headers jsonb, run_at timestamptz, max_attempts int,
                                   timeout interval)
  RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE
  SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  f record;
  h record;
BEGIN
  FOR f IN SELECT * FROM (VALUES ('kind', kind, 255, true), ('queue', queue, 255, true), ('unique_key', unique_key, 1024, false),
                                 ('concurrency_key', concurrency_key, 1024, false), ('rate_key', rate_key, 1024, false),
                                 ('tenant', tenant, 255, false)) v (name, value, most, needed)
  LOOP
    IF f.value IS NULL THEN
      CONTINUE WHEN NOT f.needed;
      RETURN format('%s: is NULL; give 1 to %s bytes', f.name, f.most);
    ELSIF f.value = '' THEN
      RETURN format('%s: is empty; give 1 to %s bytes%s', f.name, f.most, CASE WHEN f.needed THEN '' ELSE ', or NULL' END);
    ELSIF octet_length(f.value) > f.most THEN
      RETURN format('%s: has %s bytes; give at most %s', f.name, octet_length(f.value), f.most);
    ELSIF f.value COLLATE "C" ~ '[\u0001-\u001f\u007f-\u009f]' THEN
      RETURN format('%s: holds a control character; remove characters U+0001 to U+001F and U+007F to U+009F', f.name);
    END IF;
  END LOOP;
  IF priority IS NULL THEN
    RETURN 'priority: is NULL; give a number: 0 is normal, larger is sooner';
  ELSIF payload IS NULL THEN
    RETURN 'payload: is NULL; give a JSON value, {} for none';
  ELSIF octet_length(payload::text) > 8388608 THEN
    RETURN format('payload: has %s bytes as text; give at most 8388608 (8 MiB), or store it elsewhere and enqueue a reference', octet_length(payload::text));
  ELSIF run_at = 'infinity' THEN
    RETURN 'run_at: is infinity; give a time, or NULL for now';
  ELSIF max_attempts NOT BETWEEN 1 AND 10000 THEN
    RETURN format('max_attempts: is %s; give 1 to 10000, or NULL for the kind''s own', max_attempts);
  ELSIF timeout <= interval '0' OR timeout > interval '24 hours' THEN
    RETURN 'timeout: must be above 0 and at most 24 hours; give less, or NULL for the kind''s own';
  ELSIF headers IS NULL THEN
    RETURN 'headers: is NULL; give an object whose values are strings, or {}';
  ELSIF headers = '{}' THEN
    RETURN NULL;
  ELSIF jsonb_typeof(headers) <> 'object' THEN
    RETURN format('headers: is a JSON %s; give an object whose values are strings, or {}', jsonb_typeof(headers));
  ELSIF octet_length(headers::text) > 32768 THEN
    RETURN format('headers: has %s bytes as text; give at most 32768', octet_length(headers::text));
  END IF;
  FOR h IN SELECT e.key, left(to_json(e.key)::text, 100) AS shown, jsonb_typeof(e.value) AS type, count(*) OVER () AS entries
           FROM jsonb_each(headers) e
  LOOP
    IF h.entries > 100 THEN
      RETURN format('headers: has %s entries; give at most 100', h.entries);
    ELSIF h.key = '' THEN
      RETURN 'headers: has an empty name; name every header';
    ELSIF h.type <> 'string' THEN
      RETURN format('headers: the value of %s is a JSON %s; give a string, or leave the header out', h.shown, h.type);
    END IF;
  END LOOP;
  RETURN NULL;
END $$;

CREATE TABLE relevo.job (
  xid             xid8        NOT NULL DEFAULT pg_current_xact_id(), -- of the last change: the table is its own feed. First: defaults run in column order, so the xid is taken before the id
  id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  priority        int         NOT NULL DEFAULT 0,                    -- larger is sooner
  class           smallint    GENERATED ALWAYS AS (CASE WHEN priority > 0 THEN 0 WHEN priority < 0 THEN 2 ELSE 1 END) STORED, -- each class has a position of its own
  state           smallint    NOT NULL DEFAULT 0,                    -- 0 waiting (without unique key also in flight), 1 in flight and unique, 2 dead, 3 quarantined
  token           int         NOT NULL DEFAULT 0,                    -- fence: raised by every outcome that keeps the row, by replace, settle and redrive
  attempts        smallint    NOT NULL DEFAULT 0,
  crashes         smallint    NOT NULL DEFAULT 0,                    -- above 0: a suspect, runs in a child process
  queue           text        COLLATE "C" NOT NULL DEFAULT 'default',
  kind            text        COLLATE "C" NOT NULL,
  run_at          timestamptz,                                       -- NULL: now, first attempt (the feed delivers it). State 1 with again: of the next run. State 2 and 3: time of death
  payload         jsonb       NOT NULL DEFAULT '{}',
  headers         jsonb       NOT NULL DEFAULT '{}',
  unique_key      text        COLLATE "C",
  again           boolean     NOT NULL DEFAULT false,                -- one more run is owed; payload and run_at are already the next run's
  concurrency_key text        COLLATE "C",
  rate_key        text        COLLATE "C",
  tenant          text        COLLATE "C",
  max_attempts    int,
  timeout         interval,
  expires_at      timestamptz,
  created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  error           text,
  batch           bigint                                             -- NULL again once the job has been counted: a dead job that is redriven counts no more
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX job_feed ON relevo.job (class, xid, id);                -- pages inside a class: a high job never waits behind low rows of the same window
CREATE INDEX job_due ON relevo.job (class, run_at, id) WHERE run_at IS NOT NULL AND state = 0;
CREATE UNIQUE INDEX job_unique ON relevo.job (unique_key) WHERE unique_key IS NOT NULL AND state < 2; -- a dead job does not hold its key
CREATE INDEX job_key ON relevo.job (concurrency_key, id) WHERE concurrency_key IS NOT NULL;
CREATE INDEX job_dead ON relevo.job (id) WHERE state >= 2;

-- One PL/pgSQL call with the whole row, since PostgreSQL plans every CHECK anew in every statement: the same rules over twelve
-- columns cost a single INSERT half as much again.
CREATE FUNCTION relevo.job_row_is_valid(job relevo.job) RETURNS boolean LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
  IF job.state BETWEEN 0 AND 3 AND (NOT job.again OR job.state = 1 AND job.unique_key IS NOT NULL)
     AND relevo.job_is_valid(job.kind, job.queue, job.priority, job.unique_key, job.concurrency_key, job.rate_key, job.tenant, job.payload,
                             job.headers, job.run_at, job.max_attempts, job.timeout) THEN
    RETURN true;
  END IF;
  RAISE EXCEPTION USING ERRCODE = 'check_violation', SCHEMA = 'relevo', TABLE = 'job', CONSTRAINT = 'job_row_is_valid',
    MESSAGE = 'relevo.job: ' || coalesce(relevo.job_problem(job.kind, job.queue, job.priority, job.unique_key, job.concurrency_key, job.rate_key,
                                                            job.tenant, job.payload, job.headers, job.run_at, job.max_attempts, job.timeout),
                                         'state or again is not possible');
END $$;
-- A token above 0 says that the row has been checked (many at once are, by store_jobs) or that a worker has changed it since, which
-- changes none of what the rules are about: a large payload would be written out again for every retry. Who may only insert cannot
-- name the token.
ALTER TABLE relevo.job ADD CONSTRAINT job_row_is_valid CHECK (token > 0 OR relevo.job_row_is_valid(job));

-- A forgotten xid would be a change that no holder sees. What a change must keep to stands here, where INSERT does not pay for it.
CREATE FUNCTION relevo.job_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state NOT BETWEEN 0 AND 3 OR NEW.again AND (NEW.state <> 1 OR NEW.unique_key IS NULL) THEN
    RAISE EXCEPTION 'relevo.job: state or again is not possible'
      USING ERRCODE = 'check_violation', SCHEMA = 'relevo', TABLE = 'job', CONSTRAINT = 'job_row_is_valid';
  END IF;
  IF OLD.again AND NOT NEW.again THEN
    NEW.created_at := clock_timestamp();   -- the run that was owed is a job of its own: id and time of creation tell runs apart
  END IF;
  NEW.xid := pg_current_xact_id();
  RETURN NEW;
END $$;
CREATE TRIGGER job_changed BEFORE UPDATE ON relevo.job FOR EACH ROW EXECUTE FUNCTION relevo.job_changed();

-- Jobs that belong together, and what is enqueued when the last of them has ended (completed, dead, quarantined or cancelled).
CREATE TABLE relevo.job_batch (
  id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  remaining  int         NOT NULL,
  total      int         NOT NULL,
  follow_up  jsonb       NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT job_batch_counts_down CHECK (remaining BETWEEN 0 AND total)
) WITH (fillfactor = 50);

-- A unique key that stays taken for some time after its job completed.
CREATE TABLE relevo.unique_hold (
  unique_key text        COLLATE "C" PRIMARY KEY,
  job_id     bigint      NOT NULL,
  until      timestamptz NOT NULL
);
CREATE INDEX unique_hold_until ON relevo.unique_hold (until);

-- Per kind, but cancelled and discarded jobs always; a day is dropped, never deleted from.
CREATE TABLE relevo.job_history (
  finished        timestamptz NOT NULL DEFAULT clock_timestamp(),
  job_id          bigint      NOT NULL,
  outcome         text        NOT NULL,
  queue           text        COLLATE "C" NOT NULL,
  kind            text        COLLATE "C" NOT NULL,
  priority        int         NOT NULL,
  unique_key      text        COLLATE "C",
  concurrency_key text        COLLATE "C",
  tenant          text        COLLATE "C",
  attempts        smallint    NOT NULL,
  crashes         smallint    NOT NULL,
  created_at      timestamptz NOT NULL,
  waited          interval,
  ran             interval,
  worker          text,
  error           text,
  result          jsonb,
  payload         jsonb,                                             -- only where it did not complete: it can still be enqueued anew
  batch           bigint,
  CONSTRAINT job_history_outcome_is_known CHECK (outcome IN ('completed', 'cancelled', 'discarded', 'dead'))
) PARTITION BY RANGE (finished);
CREATE INDEX job_history_job ON relevo.job_history (job_id);
CREATE INDEX job_history_finished ON relevo.job_history (finished);

-- One line per attempt that did not complete: `error` of the job knows only the last.
CREATE TABLE relevo.job_attempt (
  at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  job_id  bigint      NOT NULL,
  attempt int         NOT NULL,
  outcome text        NOT NULL,
  worker  text,
  ran     interval,
  error   text,
  CONSTRAINT job_attempt_outcome_is_known CHECK (outcome IN ('retry', 'dead', 'quarantined', 'crash'))
) PARTITION BY RANGE (at);
CREATE INDEX job_attempt_job ON relevo.job_attempt (job_id, at);

-- What a subscription has consumed. The day is the event's own (UTC, from its header or record): by the day of arrival, a
-- redelivery after midnight would be new.
CREATE TABLE relevo.inbox (
  subscription text        COLLATE "C" NOT NULL,
  event_id     text        COLLATE "C" NOT NULL,
  day          date        NOT NULL,
  at           timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (subscription, event_id, day)
) PARTITION BY RANGE (day);

-- Nets: a missing day must not fail the one who finishes.
CREATE TABLE relevo.job_history_default PARTITION OF relevo.job_history DEFAULT;
CREATE TABLE relevo.job_attempt_default PARTITION OF relevo.job_attempt DEFAULT;
CREATE TABLE relevo.inbox_default PARTITION OF relevo.inbox DEFAULT;
CREATE INDEX job_attempt_default_at ON relevo.job_attempt_default (at);
CREATE INDEX inbox_default_day ON relevo.inbox_default (day);
CREATE INDEX inbox_default_at ON relevo.inbox_default (at);

-- Makes the missing days from `past` days ago to `ahead` days on, UTC: bounds must not depend on who calls. A day that already
-- has rows in DEFAULT is left out, and one that is locked waits for the next call; neither keeps the others from being made.
-- LIKE + ATTACH, as for the outbox: CREATE TABLE … PARTITION OF would lock the parent against everybody.
CREATE FUNCTION relevo.make_days(past int, ahead int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '200ms' AS $$
DECLARE
  parent  text;
  day     date;
  name    text;
  created int := 0;
BEGIN
  FOR parent, day IN
    SELECT t, current_date + g FROM unnest(ARRAY['job_history', 'job_attempt', 'inbox']) t, generate_series(-past, ahead) g
  LOOP
    name := parent || to_char(day, '_YYYYMMDD');
    CONTINUE WHEN to_regclass('relevo.' || name) IS NOT NULL;
    BEGIN
      EXECUTE format('CREATE TABLE relevo.%I (LIKE relevo.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES INCLUDING STORAGE)', name, parent);
      EXECUTE format('ALTER TABLE relevo.%I ATTACH PARTITION relevo.%I FOR VALUES FROM (%L) TO (%L)', parent, name, day, day + 1);
      created := created + 1;
    EXCEPTION
      WHEN check_violation THEN
        RAISE WARNING 'relevo: % stays in the DEFAULT partition', name;
      WHEN lock_not_available OR deadlock_detected OR duplicate_table THEN
        NULL;
    END;
  END LOOP;
  RETURN created;
END $$;
DO $$ BEGIN PERFORM relevo.make_days(0, 7); END $$;

-- Stores a job in the caller's transaction and returns its id.
-- Unique key: `keep` leaves the live twin as it is, and honours a hold (unique_hold) of a job that has completed. `replace`: a
-- waiting twin takes everything new and is a first attempt again. `after_running`: a waiting twin stays as it is, but locked
-- until the caller commits, so that its run sees the caller's data. A running twin owes one more run (replace,
-- after_running): with the newest payload, at the newest run_at (after_running twice: at the sooner). These two ignore holds:
-- who asks for another run gets it.
-- run_at in the past, however far, is now.
-- The settings: a session that looks up a key while the table is empty would keep that plan, which reads the whole table.
CREATE FUNCTION relevo.enqueue(kind text, payload jsonb DEFAULT '{}', queue text DEFAULT 'default', run_at timestamptz DEFAULT NULL,
                               priority int DEFAULT 0, unique_key text DEFAULT NULL, on_conflict text DEFAULT 'keep',
                               concurrency_key text DEFAULT NULL, rate_key text DEFAULT NULL, tenant text DEFAULT NULL,
                               max_attempts int DEFAULT NULL, timeout interval DEFAULT NULL, expires_at timestamptz DEFAULT NULL,
                               headers jsonb DEFAULT '{}')
  RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
  stored bigint;
  held   bigint;
  start  timestamptz := CASE WHEN $4 > clock_timestamp() THEN $4 END;
BEGIN
  IF $7 IS NULL OR $7 NOT IN ('keep', 'replace', 'after_running') THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
      MESSAGE = format('relevo.enqueue: on_conflict: is %s; give keep, replace or after_running', coalesce(quote_literal(left($7, 100)), 'NULL'));
  END IF;
  IF relevo.job_is_valid($1, $3, $5, $6, $8, $9, $10, $2, $14, $4, $11, $12) IS NOT TRUE THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
      MESSAGE = 'relevo.enqueue: ' || coalesce(relevo.job_problem($1, $3, $5, $6, $8, $9, $10, $2, $14, $4, $11, $12), 'job is not valid');
  END IF;
  IF $6 IS NULL THEN
    INSERT INTO relevo.job (kind, payload, queue, run_at, priority, concurrency_key, rate_key, tenant, max_attempts, timeout, expires_at, headers)
    VALUES ($1, $2, $3, start, $5, $8, $9, $10, $11, $12, $13, $14) RETURNING id INTO stored;
    RETURN stored;
  END IF;
  LOOP
    IF $7 = 'keep' THEN                                                  -- never locks the twin
      INSERT INTO relevo.job (kind, payload, queue, run_at, priority, unique_key, concurrency_key, rate_key, tenant, max_attempts, timeout, expires_at, headers)
      VALUES ($1, $2, $3, start, $5, $6, $8, $9, $10, $11, $12, $13, $14)
      ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL AND state < 2 DO NOTHING RETURNING id INTO stored;
      IF stored IS NOT NULL THEN
        -- only now: this statement's snapshot has the hold of whoever gave up the key to the INSERT
        SELECT h.job_id INTO held FROM relevo.unique_hold h WHERE h.unique_key = $6 AND h.until > clock_timestamp();
        IF NOT FOUND THEN
          RETURN stored;
        END IF;
        DELETE FROM relevo.job o WHERE o.id = stored;
        RETURN held;
      END IF;
    ELSE
      INSERT INTO relevo.job AS o (kind, payload, queue, run_at, priority, unique_key, concurrency_key, rate_key, tenant, max_attempts, timeout, expires_at, headers)
      VALUES ($1, $2, $3, start, $5, $6, $8, $9, $10, $11, $12, $13, $14)
      ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL AND state < 2 DO UPDATE SET
        kind = $1, payload = $2, queue = $3, priority = $5, concurrency_key = $8, rate_key = $9, tenant = $10, max_attempts = $11,
        timeout = $12, expires_at = $13, headers = $14,
        run_at = CASE WHEN o.again AND $7 = 'after_running' AND (o.run_at IS NULL OR o.run_at < start) THEN o.run_at ELSE start END,
        again = (o.state = 1),
        created_at = CASE WHEN o.state = 0 THEN clock_timestamp() ELSE o.created_at END,
        token = o.token + CASE WHEN o.state = 0 THEN 1 ELSE 0 END,       -- a running attempt keeps its token, else its result would be refused
        attempts = CASE WHEN o.state = 0 THEN 0 ELSE o.attempts END,
        crashes = CASE WHEN o.state = 0 THEN 0 ELSE o.crashes END,
        error = CASE WHEN o.state = 1 THEN o.error END
      WHERE $7 = 'replace' OR o.state = 1
      RETURNING id INTO stored;
      IF stored IS NOT NULL THEN
        RETURN stored;
      END IF;
    END IF;
    SELECT o.id INTO stored FROM relevo.job o WHERE o.unique_key = $6 AND o.state < 2;
    IF stored IS NOT NULL THEN
      RETURN stored;
    END IF;
    -- it finished in between
  END LOOP;
END $$;

-- Says what is wrong with one element of the bulk forms, NULL if nothing is.
CREATE FUNCTION relevo.job_element_problem(job jsonb) RETURNS text LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  name   text;
  typed  record;
  queue  text;
BEGIN
  IF job IS NULL OR jsonb_typeof(job) <> 'object' THEN
    RETURN format('is %s; give an object with the names of relevo.enqueue''s parameters', coalesce('a JSON ' || jsonb_typeof(job), 'NULL'));
  END IF;
  SELECT left(to_json(k)::text, 100) INTO name FROM jsonb_object_keys(job) k
  WHERE k <> ALL ('{kind,payload,queue,run_at,priority,unique_key,on_conflict,concurrency_key,rate_key,tenant,max_attempts,timeout,expires_at,headers}') LIMIT 1;
  IF FOUND THEN
    RETURN format('%s: is no parameter of relevo.enqueue; correct or remove it', name);
  END IF;
  IF coalesce(job ->> 'on_conflict', 'keep') NOT IN ('keep', 'replace', 'after_running') THEN
    RETURN format('on_conflict: is %s; give keep, replace or after_running', quote_literal(left(job ->> 'on_conflict', 100)));
  END IF;
  FOR typed IN SELECT * FROM (VALUES ('run_at', 'timestamptz'), ('priority', 'int'), ('max_attempts', 'int'), ('timeout', 'interval'),
                                     ('expires_at', 'timestamptz')) v (name, type)
  LOOP
    BEGIN
      EXECUTE format('SELECT $1::%s', typed.type) USING job ->> typed.name;
    EXCEPTION WHEN data_exception THEN
      RETURN format('%s: %s; give %s', typed.name, SQLERRM,
                    CASE typed.type WHEN 'int' THEN 'a whole number' WHEN 'interval' THEN 'an interval' ELSE 'a time' END);
    END;
  END LOOP;
  queue := coalesce(job ->> 'queue', 'default');
  RETURN relevo.job_problem(job ->> 'kind', queue, coalesce((job ->> 'priority')::int, 0), job ->> 'unique_key', job ->> 'concurrency_key',
                            job ->> 'rate_key', job ->> 'tenant', coalesce(nullif(job -> 'payload', 'null'), '{}'),
                            coalesce(nullif(job -> 'headers', 'null'), '{}'), (job ->> 'run_at')::timestamptz,
                            (job ->> 'max_attempts')::int, (job ->> 'timeout')::interval);
END $$;

-- Ends the INSERT of the bulk forms, which then look for the element.
CREATE FUNCTION relevo.refuse_job() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RAISE EXCEPTION 'relevo: an element is not valid' USING ERRCODE = 'invalid_parameter_value';
END $$;

-- The bulk forms. Jobs without key are one INSERT; those with a key follow one by one, since ON CONFLICT cannot touch a row
-- twice in a statement, sorted by key and then by place: duplicates follow the rule in the order of the call, and two calls
-- cannot deadlock on their keys.
CREATE FUNCTION relevo.store_jobs(caller text, jobs jsonb, batch bigint) RETURNS bigint[] LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
  ids   bigint[];
  plain bigint[];
  n     int;
  next  int := 0;
  x     record;
BEGIN
  IF jobs IS NULL OR jsonb_typeof(jobs) <> 'array' THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
      MESSAGE = format('relevo.%s: jobs: is %s; give an array of objects', caller, coalesce('a JSON ' || jsonb_typeof(jobs), 'NULL'));
  END IF;
  n := jsonb_array_length(jobs);
  BEGIN
    WITH stored AS (
      INSERT INTO relevo.job (kind, payload, queue, run_at, priority, concurrency_key, rate_key, tenant, max_attempts, timeout, expires_at, headers, batch, token)
      SELECT CASE WHEN g.known AND relevo.job_is_valid(g.kind, g.queue, g.priority, NULL, g.concurrency_key, g.rate_key, g.tenant, g.payload,
                                                       g.headers, g.run_at, g.max_attempts, g.timeout)
                  THEN g.kind ELSE relevo.refuse_job() END, g.payload, g.queue,
             CASE WHEN g.run_at > clock_timestamp() THEN g.run_at END, g.priority, g.concurrency_key, g.rate_key, g.tenant,
             g.max_attempts, g.timeout, g.expires_at, g.headers, store_jobs.batch,
             CASE WHEN store_jobs.batch IS NULL THEN 1 ELSE 0 END   -- checked here, in line: the CHECK's call for each row costs as much as storing it
      FROM (   -- nothing joins or sorts: the rows, and so the ids, come in the order of the array
        SELECT e.job - '{kind,payload,queue,run_at,priority,unique_key,on_conflict,concurrency_key,rate_key,tenant,max_attempts,timeout,expires_at,headers}'::text[] = '{}'
                 AND coalesce(e.job ->> 'on_conflict', 'keep') IN ('keep', 'replace', 'after_running') AS known,
               e.job ->> 'kind' AS kind, coalesce(nullif(e.job -> 'payload', 'null'), '{}') AS payload, coalesce(e.job ->> 'queue', 'default') AS queue,
               (e.job ->> 'run_at')::timestamptz AS run_at, coalesce((e.job ->> 'priority')::int, 0) AS priority,
               e.job ->> 'concurrency_key' AS concurrency_key, e.job ->> 'rate_key' AS rate_key, e.job ->> 'tenant' AS tenant,
               (e.job ->> 'max_attempts')::int AS max_attempts, (e.job ->> 'timeout')::interval AS timeout,
               (e.job ->> 'expires_at')::timestamptz AS expires_at, coalesce(nullif(e.job -> 'headers', 'null'), '{}') AS headers
        FROM jsonb_array_elements(jobs) e (job) WHERE e.job ->> 'unique_key' IS NULL OFFSET 0) g
      RETURNING id)
    SELECT coalesce(array_agg(s.id), '{}') INTO plain FROM stored s;
    IF cardinality(plain) = n THEN
      RETURN plain;
    END IF;

    IF batch IS NOT NULL THEN
      FOR x IN SELECT e.place FROM jsonb_array_elements(jobs) WITH ORDINALITY e (job, place) WHERE e.job ->> 'unique_key' IS NOT NULL ORDER BY e.place LIMIT 1 LOOP
        RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
          MESSAGE = format('relevo.%s: element %s: unique_key: jobs of a batch have none, since they could not be counted; enqueue the job by itself, or leave the key out', caller, x.place);
      END LOOP;
    END IF;
    ids := array_fill(NULL::bigint, ARRAY[n]);
    FOR x IN
      SELECT e.place, e.job FROM jsonb_array_elements(jobs) WITH ORDINALITY e (job, place)
      ORDER BY e.job ->> 'unique_key' COLLATE "C" NULLS FIRST, e.place
    LOOP
      IF x.job ->> 'unique_key' IS NULL THEN
        next := next + 1;
        ids[x.place] := plain[next];
        CONTINUE;
      END IF;
      IF relevo.job_element_problem(x.job) IS NOT NULL THEN
        PERFORM relevo.refuse_job();
      END IF;
      ids[x.place] := relevo.enqueue(x.job ->> 'kind', coalesce(nullif(x.job -> 'payload', 'null'), '{}'), coalesce(x.job ->> 'queue', 'default'),
        (x.job ->> 'run_at')::timestamptz, coalesce((x.job ->> 'priority')::int, 0), x.job ->> 'unique_key', coalesce(x.job ->> 'on_conflict', 'keep'),
        x.job ->> 'concurrency_key', x.job ->> 'rate_key', x.job ->> 'tenant', (x.job ->> 'max_attempts')::int, (x.job ->> 'timeout')::interval,
        (x.job ->> 'expires_at')::timestamptz, coalesce(nullif(x.job -> 'headers', 'null'), '{}'));
    END LOOP;
    RETURN ids;
  EXCEPTION WHEN data_exception OR check_violation OR not_null_violation THEN
    FOR x IN
      SELECT p.place, p.problem
      FROM (SELECT e.place, relevo.job_element_problem(e.job) AS problem FROM jsonb_array_elements(jobs) WITH ORDINALITY e (job, place) OFFSET 0) p
      WHERE p.problem IS NOT NULL LIMIT 1
    LOOP
      RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('relevo.%s: element %s: %s', caller, x.place, x.problem);
    END LOOP;
    RAISE;
  END;
END $$;

-- Array of objects with the names of enqueue()'s parameters; a JSON null stands for the default. Ids in the order of the call.
CREATE FUNCTION relevo.enqueue_many(jobs jsonb) RETURNS bigint[] LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN relevo.store_jobs('enqueue_many', jobs, NULL);
END $$;

-- Jobs as for enqueue_many(), without unique keys, and one job or an array of them that is enqueued when the last has ended.
-- Returns the id of the batch; without jobs the follow-up is enqueued at once.
CREATE FUNCTION relevo.enqueue_batch(jobs jsonb, follow_up jsonb) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
  then_jobs jsonb := CASE WHEN jsonb_typeof(follow_up) = 'array' THEN follow_up ELSE jsonb_build_array(follow_up) END;
  problem   text;
  batch     bigint;
  stored    int;
BEGIN
  IF follow_up IS NULL THEN
    problem := 'is NULL; give a job, or an array of jobs';
  ELSE
    SELECT p.problem INTO problem
    FROM (SELECT relevo.job_element_problem(e.job) AS problem FROM jsonb_array_elements(then_jobs) e (job) OFFSET 0) p
    WHERE p.problem IS NOT NULL LIMIT 1;
  END IF;
  IF problem IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'relevo.enqueue_batch: follow_up: ' || problem;
  END IF;
  INSERT INTO relevo.job_batch AS b (remaining, total, follow_up) VALUES (0, 0, then_jobs) RETURNING b.id INTO batch;
  stored := cardinality(relevo.store_jobs('enqueue_batch', jobs, batch));
  IF stored = 0 THEN
    PERFORM relevo.store_jobs('enqueue_batch', then_jobs, NULL);
    DELETE FROM relevo.job_batch b WHERE b.id = batch;
  ELSE
    UPDATE relevo.job_batch b SET remaining = stored, total = stored WHERE b.id = batch;
  END IF;
  RETURN batch;
END $$;

-- One element per job that has ended, in the transaction that ends it; duplicates mean several. Whoever counts the last one
-- enqueues the follow-up. Locks in the order of ids: two who end jobs of the same batches wait for each other, and no more.
-- Returns how many batches have ended.
CREATE FUNCTION relevo.batch_ended(batches bigint[]) RETURNS int LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
  ended int := 0;
  done  record;
BEGIN
  FOR done IN
    WITH k AS MATERIALIZED (
      SELECT u.batch, count(*)::int AS jobs FROM unnest(batches) u (batch) WHERE u.batch IS NOT NULL GROUP BY u.batch
    ), locked AS MATERIALIZED (
      SELECT b.id, k.jobs FROM k JOIN relevo.job_batch b ON b.id = k.batch ORDER BY b.id FOR UPDATE OF b
    )
    UPDATE relevo.job_batch b SET remaining = greatest(0, b.remaining - l.jobs) FROM locked l WHERE b.id = l.id
    RETURNING b.id, b.remaining, b.follow_up
  LOOP
    CONTINUE WHEN done.remaining > 0;
    DELETE FROM relevo.job_batch b WHERE b.id = done.id;
    PERFORM relevo.enqueue_many(done.follow_up);
    ended := ended + 1;
  END LOOP;
  RETURN ended;
END $$;

UPDATE relevo.schema SET version = 7;
