-- The writers' interface. It runs with the caller's rights: a writer may insert, and cannot name xid or id.

-- Stores one event in the caller's transaction and returns its event_id. payload and payload_bytes both NULL: a tombstone
-- (the JSON value null is a payload).
CREATE FUNCTION relevo.publish(aggregate_type text, aggregate_id text, event_type text, payload jsonb,
                               headers jsonb DEFAULT '{}', topic text DEFAULT NULL, tenant text DEFAULT NULL,
                               event_id uuid DEFAULT gen_random_uuid(), payload_bytes bytea DEFAULT NULL)
  RETURNS uuid LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  body         bytea := payload_bytes;
  content_type text  := 'application/octet-stream';
BEGIN
  IF payload_bytes IS NULL THEN
    body := pg_catalog.convert_to(payload::text, 'UTF8');
    content_type := 'application/json';
  ELSIF payload IS NOT NULL THEN
    RAISE EXCEPTION 'relevo.publish: payload_bytes: payload is given too; give one of them, or neither for a tombstone'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF relevo.event_is_valid(aggregate_type, aggregate_id, event_type, topic, tenant, content_type, octet_length(body), headers) IS NOT TRUE THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
      MESSAGE = 'relevo.publish: ' || coalesce(relevo.event_problem(aggregate_type, aggregate_id, event_type, topic, tenant,
                                                                    content_type, octet_length(body), headers), 'event is not valid');
  END IF;
  event_id := coalesce(event_id, gen_random_uuid());
  INSERT INTO relevo.outbox (event_id, aggregate_type, aggregate_id, event_type, topic, tenant, content_type, payload, headers)
  VALUES (event_id, aggregate_type, aggregate_id, event_type, topic, tenant, content_type, body, nullif(headers, '{}'));
  RETURN event_id;
END $$;

-- Raises for element number `element` of the arrays of publish_many(); never returns.
CREATE FUNCTION relevo.refuse_element(element bigint, problem text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
    MESSAGE = pg_catalog.format('relevo.publish_many: element %s: %s', element, coalesce(problem, 'event is not valid'));
END $$;

-- Stores one event per array element, ids in the order of the arrays, and returns the event ids in that order. An optional
-- array that is NULL stands for its default in every element.
CREATE FUNCTION relevo.publish_many(aggregate_types text[], aggregate_ids text[], event_types text[], payloads jsonb[],
                                    headers jsonb[] DEFAULT NULL, topics text[] DEFAULT NULL, tenants text[] DEFAULT NULL,
                                    event_ids uuid[] DEFAULT NULL, payloads_bytes bytea[] DEFAULT NULL)
  RETURNS SETOF uuid LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  n     int := cardinality(aggregate_types);
  wrong record;
BEGIN
  SELECT v.name, v.length INTO wrong
  FROM (VALUES (1, 'aggregate_types', n, true), (2, 'aggregate_ids', cardinality(aggregate_ids), true),
               (3, 'event_types', cardinality(event_types), true), (4, 'payloads', cardinality(payloads), false),
               (5, 'headers', cardinality(headers), false), (6, 'topics', cardinality(topics), false),
               (7, 'tenants', cardinality(tenants), false), (8, 'event_ids', cardinality(event_ids), false),
               (9, 'payloads_bytes', cardinality(payloads_bytes), false)) v (place, name, length, needed)
  WHERE v.length <> n OR v.length IS NULL AND v.needed
  ORDER BY v.place LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = pg_catalog.format('relevo.publish_many: %s: %s', wrong.name,
      CASE WHEN wrong.length IS NULL THEN 'is NULL; give one element per event'
           ELSE pg_catalog.format('has %s elements where aggregate_types has %s; give one element per event', wrong.length, n) END);
  END IF;
  RETURN QUERY
  WITH given AS MATERIALIZED (
    SELECT u.element, u.aggregate_type, u.aggregate_id, u.event_type, u.topic, u.tenant, u.headers,
           coalesce(u.event_id, gen_random_uuid()) AS event_id,
           u.payload IS NOT NULL AND u.payload_bytes IS NOT NULL AS has_both,
           CASE WHEN u.payload_bytes IS NULL THEN 'application/json' ELSE 'application/octet-stream' END AS content_type,
           CASE WHEN u.payload_bytes IS NULL THEN pg_catalog.convert_to(u.payload::text, 'UTF8') ELSE u.payload_bytes END AS body
    FROM unnest(aggregate_types, aggregate_ids, event_types, payloads, publish_many.headers, topics, tenants, event_ids, payloads_bytes)
         WITH ORDINALITY u (aggregate_type, aggregate_id, event_type, payload, headers, topic, tenant, event_id, payload_bytes, element)
  ), stored AS (
    -- the identity is drawn above the sort, so the ids follow the arrays
    INSERT INTO relevo.outbox (event_id, aggregate_type, aggregate_id, event_type, topic, tenant, content_type, payload, headers)
    SELECT g.event_id,
           CASE WHEN g.has_both THEN
                  relevo.refuse_element(g.element, 'payloads_bytes: payloads is given too; give one of them, or neither for a tombstone')
                WHEN relevo.event_is_valid(g.aggregate_type, g.aggregate_id, g.event_type, g.topic, g.tenant, g.content_type,
                                           octet_length(g.body), g.headers) THEN g.aggregate_type
                ELSE relevo.refuse_element(g.element, relevo.event_problem(g.aggregate_type, g.aggregate_id, g.event_type, g.topic,
                                                                           g.tenant, g.content_type, octet_length(g.body), g.headers))
           END,
           g.aggregate_id, g.event_type, g.topic, g.tenant, g.content_type, g.body, nullif(g.headers, '{}')
    FROM given g ORDER BY g.element
  )
  SELECT g.event_id FROM given g ORDER BY g.element;
END $$;

UPDATE relevo.schema SET version = 5, oldest_program_version = 5;
