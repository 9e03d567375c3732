-- What a person and a redrive need to know of a dead message beside the record itself: of what kind its failure is, since when, and the
-- record's own time (by it a redrive finds the event's day in the inbox).

ALTER TABLE relevo.dead_message
  ADD COLUMN error_class     text COLLATE "C" NOT NULL DEFAULT 'rejected',
  ADD COLUMN record_time     timestamptz NOT NULL DEFAULT clock_timestamp(),
  ADD COLUMN first_failed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  ADD CONSTRAINT dead_message_error_class_is_known CHECK (error_class IN ('undecodable', 'unknown_type', 'rejected', 'exhausted'));
CREATE INDEX dead_message_to_redrive ON relevo.dead_message (subscription, id) WHERE redriven_at IS NOT NULL;

-- A handler publishes events, and a snoozed message leaves the inbox again.
DO $$ BEGIN
  IF to_regrole('relevo_worker') IS NOT NULL THEN
    GRANT DELETE ON relevo.inbox TO relevo_worker;
    GRANT INSERT (event_id, aggregate_type, aggregate_id, event_type, topic, tenant, content_type, payload, headers, created_at)
      ON relevo.outbox TO relevo_worker;
    GRANT EXECUTE ON FUNCTION
      relevo.event_is_valid(text, text, text, text, text, text, int, jsonb),
      relevo.event_problem(text, text, text, text, text, text, int, jsonb),
      relevo.outbox_row_is_valid(text, text, text, text, text, text, bytea, jsonb),
      relevo.publish(text, text, text, jsonb, jsonb, text, text, uuid, bytea) TO relevo_worker;
  END IF;
END $$;

UPDATE relevo.schema SET version = 12;
