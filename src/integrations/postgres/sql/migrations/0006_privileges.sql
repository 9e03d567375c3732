-- Who may do what. Nothing for PUBLIC; the three roles get what docs/database.md says, and no more.

-- Also for a DBA who made the roles after the migration. Run by the owner, any number of times.
CREATE FUNCTION relevo.grant_privileges() RETURNS void LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  name text;
BEGIN
  REVOKE ALL ON SCHEMA relevo FROM PUBLIC;
  REVOKE ALL ON ALL TABLES IN SCHEMA relevo FROM PUBLIC;
  REVOKE ALL ON ALL SEQUENCES IN SCHEMA relevo FROM PUBLIC;
  REVOKE ALL ON ALL FUNCTIONS IN SCHEMA relevo FROM PUBLIC;

  IF to_regrole('relevo_writer') IS NOT NULL THEN
    GRANT USAGE ON SCHEMA relevo TO relevo_writer;
    -- never xid and id: a forged xid would be published again, or never
    GRANT INSERT (event_id, aggregate_type, aggregate_id, event_type, topic, tenant, content_type, payload, headers, created_at)
      ON relevo.outbox TO relevo_writer;
    GRANT EXECUTE ON FUNCTION
      relevo.event_is_valid(text, text, text, text, text, text, int, jsonb),
      relevo.event_problem(text, text, text, text, text, text, int, jsonb),
      relevo.outbox_row_is_valid(text, text, text, text, text, text, bytea, jsonb),
      relevo.refuse_element(bigint, text),
      relevo.publish(text, text, text, jsonb, jsonb, text, text, uuid, bytea),
      relevo.publish_many(text[], text[], text[], jsonb[], jsonb[], text[], text[], uuid[], bytea[]) TO relevo_writer;
  END IF;

  IF to_regrole('relevo_relay') IS NOT NULL THEN
    GRANT USAGE ON SCHEMA relevo TO relevo_relay;
    GRANT SELECT ON relevo.migration, relevo.schema, relevo.outbox, relevo.outbox_default, relevo.tick, relevo.position,
      relevo.replica, relevo.dead_event TO relevo_relay;
    GRANT INSERT (id, fingerprint, snapshot) ON relevo.tick TO relevo_relay;
    GRANT UPDATE (holder, epoch, expires, ver, a, b, last_id, fingerprint) ON relevo.position TO relevo_relay;
    GRANT INSERT, UPDATE, DELETE ON relevo.replica, relevo.dead_event TO relevo_relay;
    GRANT EXECUTE ON FUNCTION relevo.next_tick(), relevo.window_start(xid8, xid8[]), relevo.prune_ticks(),
      relevo.ensure_partitions(int), relevo.event_is_valid(text, text, text, text, text, text, int, jsonb) TO relevo_relay;
  END IF;

  FOREACH name IN ARRAY ARRAY['relevo_owner', 'relevo_writer', 'relevo_relay'] LOOP
    IF to_regrole(name) IS NULL THEN
      RAISE NOTICE 'relevo: role % does not exist: its privileges are not granted', name;
    END IF;
  END LOOP;
END $$;

DO $$ BEGIN PERFORM relevo.grant_privileges(); END $$;

UPDATE relevo.schema SET version = 6, oldest_program_version = 6;
