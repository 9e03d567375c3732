-- The outbox: an insert-only log, partitioned by id, and what a row of it may hold.

-- One place decides what an event may hold. A single expression, so that PL/pgSQL inlines it and keeps its plan.
-- On the headers: jsonb text has unescaped quotes only around keys and values, and a colon follows only a key.
CREATE FUNCTION relevo.event_is_valid(aggregate_type text, aggregate_id text, event_type text, topic text, tenant text,
                                      content_type text, payload_size int, headers jsonb)
  RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN octet_length(aggregate_type) BETWEEN 1 AND 255
     AND octet_length(aggregate_id) BETWEEN 1 AND 1024
     AND octet_length(event_type) BETWEEN 1 AND 255
     AND octet_length(content_type) BETWEEN 1 AND 255
     AND (aggregate_type || aggregate_id || event_type || content_type) COLLATE "C" !~ '[\u0001-\u001f\u007f-\u009f]'
     AND (topic IS NULL OR topic COLLATE "C" ~ '^[a-zA-Z0-9._-]{1,249}$' AND topic NOT IN ('.', '..'))
     AND (tenant IS NULL OR octet_length(tenant) BETWEEN 1 AND 255 AND tenant COLLATE "C" !~ '[\u0001-\u001f\u007f-\u009f]')
     AND (payload_size IS NULL OR payload_size <= 8388608)
     AND (headers IS NULL OR headers = '{}'
          OR jsonb_typeof(headers) = 'object'
             AND octet_length(headers::text) <= 32768
             AND NOT headers ? ''
             AND NOT jsonb_path_exists(headers, 'strict $.* ? (@.type() <> "string")')
             AND jsonb_array_length(jsonb_path_query_array(headers, '$.*')) <= 100
             AND headers::text COLLATE "C"
                 !~* '"(ce_specversion|ce_id|ce_source|ce_type|ce_subject|ce_time|ce_tenant|content-type)":');

-- Says what event_is_valid() objects to: "argument: reason; what to do". Never quotes a payload or a header's value.
CREATE FUNCTION relevo.event_problem(aggregate_type text, aggregate_id text, event_type text, topic text, tenant text,
                                     content_type text, payload_size int, headers jsonb)
  RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
  SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  f record;
  h record;
BEGIN
  FOR f IN SELECT * FROM (VALUES ('aggregate_type', aggregate_type, 255, true), ('aggregate_id', aggregate_id, 1024, true),
                                 ('event_type', event_type, 255, true), ('content_type', content_type, 255, true),
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
  IF topic IN ('.', '..') OR topic COLLATE "C" !~ '^[a-zA-Z0-9._-]{1,249}$' THEN
    RETURN 'topic: is not a legal Kafka topic; use 1 to 249 of the characters a-z A-Z 0-9 . _ - (not "." or ".."), or NULL for the configured topic';
  END IF;
  IF payload_size > 8388608 THEN
    RETURN format('payload: has %s bytes; give at most 8388608 (8 MiB), or store it elsewhere and publish a reference', payload_size);
  END IF;
  IF headers IS NULL OR headers = '{}' THEN
    RETURN NULL;
  END IF;
  IF jsonb_typeof(headers) <> 'object' THEN
    RETURN format('headers: is a JSON %s; give an object whose values are strings, or {}', jsonb_typeof(headers));
  END IF;
  IF octet_length(headers::text) > 32768 THEN
    RETURN format('headers: has %s bytes as text; give at most 32768', octet_length(headers::text));
  END IF;
  FOR h IN SELECT e.key, left(to_json(e.key)::text, 100) AS shown, jsonb_typeof(e.value) AS type, count(*) OVER () AS entries
           FROM jsonb_each(headers) e
  LOOP
    IF h.entries > 100 THEN
      RETURN format('headers: has %s entries; give at most 100', h.entries);
    ELSIF h.key = '' THEN
      RETURN 'headers: has an empty name; name every header';
    ELSIF lower(h.key COLLATE "C") IN ('ce_specversion', 'ce_id', 'ce_source', 'ce_type', 'ce_subject', 'ce_time', 'ce_tenant', 'content-type') THEN
      RETURN format('headers: %s is reserved: relevo sets it itself; choose another name', h.shown);
    ELSIF h.type <> 'string' THEN
      RETURN format('headers: the value of %s is a JSON %s; give a string, or leave the header out', h.shown, h.type);
    END IF;
  END LOOP;
  RETURN NULL;
END $$;

-- The CHECK of the outbox. One PL/pgSQL call, since PostgreSQL plans every CHECK anew in every statement: the same
-- rules as a dozen declared constraints cost a single-row INSERT ten times as much.
CREATE FUNCTION relevo.outbox_row_is_valid(aggregate_type text, aggregate_id text, event_type text, topic text, tenant text,
                                           content_type text, payload bytea, headers jsonb)
  RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF relevo.event_is_valid(aggregate_type, aggregate_id, event_type, topic, tenant, content_type, octet_length(payload), headers) THEN
    RETURN true;
  END IF;
  RAISE EXCEPTION USING ERRCODE = 'check_violation', SCHEMA = 'relevo', TABLE = 'outbox', CONSTRAINT = 'outbox_row_is_valid',
    MESSAGE = 'relevo.outbox: ' || coalesce(relevo.event_problem(aggregate_type, aggregate_id, event_type, topic, tenant,
                                                                 content_type, octet_length(payload), headers), 'is not valid');
END $$;

CREATE TABLE relevo.outbox (
  xid            xid8        NOT NULL DEFAULT pg_current_xact_id(),  -- first: defaults run in column order, so the xid is taken before the id
  id             bigint      GENERATED ALWAYS AS IDENTITY,           -- CACHE 1: ids cached per session would break the order of an aggregate
  event_id       uuid        NOT NULL DEFAULT gen_random_uuid(),
  aggregate_type text        COLLATE "C" NOT NULL,
  aggregate_id   text        COLLATE "C" NOT NULL,
  event_type     text        COLLATE "C" NOT NULL,
  topic          text        COLLATE "C",                            -- NULL: by the configured template
  tenant         text        COLLATE "C",
  content_type   text        COLLATE "C" NOT NULL DEFAULT 'application/json',
  payload        bytea,                                              -- NULL: tombstone
  headers        jsonb,
  created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (id),
  CONSTRAINT outbox_row_is_valid CHECK (
    relevo.outbox_row_is_valid(aggregate_type, aggregate_id, event_type, topic, tenant, content_type, payload, headers))
) PARTITION BY RANGE (id);                                           -- by id, never by time: now() is the transaction's start
CREATE INDEX outbox_xid ON relevo.outbox (xid);                      -- xid8 has no BRIN operator class

-- A net: without it every writer fails when no leaf lies ahead.
CREATE TABLE relevo.outbox_default PARTITION OF relevo.outbox DEFAULT;

-- LIKE + ATTACH, because CREATE TABLE … PARTITION OF locks the parent against writers. A new leaf is empty, so ATTACH has
-- nothing to scan in it and it needs no CHECK on id (which every insert would pay for).
CREATE FUNCTION relevo.create_leaf(number bigint) RETURNS void LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  EXECUTE format('CREATE TABLE relevo.outbox_p%s (LIKE relevo.outbox INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES INCLUDING STORAGE)', number);
  EXECUTE format('ALTER TABLE relevo.outbox ATTACH PARTITION relevo.outbox_p%s FOR VALUES FROM (%s) TO (%s)',
                 number, number * 1000000, (number + 1) * 1000000);
END $$;

DO $$ BEGIN PERFORM relevo.create_leaf(n) FROM generate_series(0, 20) n; END $$;

-- Creates the leaves missing up to `ahead` beyond the one now being filled; returns how many.
-- The next leaf but one is the first that is ever created: a running INSERT has routed its rows by the old list of
-- partitions, and would fail if a leaf took over ids it is drawing. Once rows spilt into the DEFAULT partition, they go on
-- doing so until the first leaf that is free of them.
-- ATTACH needs the DEFAULT partition for itself: lock_timeout bounds how long readers can queue behind it.
CREATE FUNCTION relevo.ensure_partitions(ahead int DEFAULT 20) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
  created int := 0;
  current bigint;
  number  bigint;
BEGIN
  IF ahead IS NULL OR ahead NOT BETWEEN 1 AND 1000 THEN
    RAISE EXCEPTION 'relevo.ensure_partitions: ahead: must be between 1 and 1000' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  -- before the DEFAULT partition is touched: whoever creates leaves holds it
  IF NOT pg_try_advisory_xact_lock(1919249782, 2) THEN
    RETURN 0;
  END IF;
  current := greatest((SELECT s.last_value FROM relevo.outbox_id_seq s),
                      (SELECT o.id FROM ONLY relevo.outbox_default o ORDER BY o.id DESC LIMIT 1)) / 1000000;
  FOR number IN SELECT n FROM generate_series(current + 2, current + ahead) n WHERE to_regclass('relevo.outbox_p' || n) IS NULL ORDER BY n LOOP
    PERFORM relevo.create_leaf(number);
    created := created + 1;
  END LOOP;
  RETURN created;
END $$;

-- Where to begin paging a huge window: every row with xid >= from_xid or an xid in late has an id above the result; NULL when
-- there is none. Asks leaf by leaf, since min(id) would walk all retained rows.
-- The DEFAULT partition has no lower bound, hence its own first id. SECURITY DEFINER, as nobody else may read single leaves.
CREATE FUNCTION relevo.window_start(from_xid xid8, late xid8[]) RETURNS bigint LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
  leaf  record;
  found_one boolean;
  start bigint;
BEGIN
  FOR leaf IN
    SELECT c.oid::regclass AS name, substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \(''?(\d+)''?\)')::bigint AS lower_bound
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'relevo.outbox'::regclass
    ORDER BY 2 NULLS FIRST
  LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM ONLY %1$s o WHERE o.xid >= $1 ORDER BY o.xid LIMIT 1)
                        OR EXISTS (SELECT FROM unnest($2) f(x) CROSS JOIN LATERAL
                                   (SELECT FROM ONLY %1$s o WHERE o.xid = f.x ORDER BY o.xid LIMIT 1) l)', leaf.name)
      INTO found_one USING from_xid, late;
    CONTINUE WHEN NOT found_one;
    IF leaf.lower_bound IS NULL THEN
      EXECUTE format('SELECT o.id - 1 FROM ONLY %s o ORDER BY o.id LIMIT 1', leaf.name) INTO start;
    ELSE
      RETURN least(start, leaf.lower_bound - 1);
    END IF;
  END LOOP;
  RETURN start;
END $$;

UPDATE relevo.schema SET version = 2, oldest_program_version = 2;
