-- What a person and a redrive need to know of a dead message beside the record itself: of what kind its failure is, since when, which
-- attempts failed and why, and the record's own time (by it a redrive finds the event's day in the inbox).

ALTER TABLE relevo.dead_message
  ADD COLUMN error_class     text COLLATE "C" NOT NULL DEFAULT 'rejected',
  ADD COLUMN record_time     timestamptz NOT NULL DEFAULT clock_timestamp(),
  ADD COLUMN first_failed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- [{"attempt", "at", "error"} …], the first 5 and the last 15
  ADD COLUMN attempt_log     jsonb NOT NULL DEFAULT '[]',
  ADD CONSTRAINT dead_message_attempt_log_is_bounded CHECK (CASE WHEN jsonb_typeof(attempt_log) = 'array' THEN jsonb_array_length(attempt_log) <= 20 ELSE false END),
  ADD CONSTRAINT dead_message_error_class_is_known CHECK (error_class IN ('undecodable', 'unknown_type', 'rejected', 'exhausted'));
CREATE INDEX dead_message_to_redrive ON relevo.dead_message (subscription, id) WHERE redriven_at IS NOT NULL;

UPDATE relevo.schema SET version = 11;
