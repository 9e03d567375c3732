-- Events that cannot be published, and the later events of the same aggregate that queue behind them.

CREATE TABLE relevo.dead_event (
  id             bigint      PRIMARY KEY,             -- outbox.id: the order of release
  shard          smallint    NOT NULL,
  event_id       uuid        NOT NULL,
  aggregate_type text        COLLATE "C" NOT NULL,
  aggregate_id   text        COLLATE "C" NOT NULL,
  event_type     text        COLLATE "C" NOT NULL,
  topic          text        COLLATE "C",
  tenant         text        COLLATE "C",
  content_type   text        COLLATE "C" NOT NULL,
  payload        bytea,
  headers        jsonb,
  created_at     timestamptz NOT NULL,
  state          text        NOT NULL DEFAULT 'parked',
  reason         text        NOT NULL,
  error          text        NOT NULL,
  target_topic   text        COLLATE "C",             -- the topic that was tried; NULL if none could be formed
  attempts       int         NOT NULL DEFAULT 0,
  parked_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT dead_event_state_is_known CHECK (state IN ('parked', 'retry', 'skipped')),
  CONSTRAINT dead_event_reason_is_a_short_word CHECK (reason ~ '^[a-z][a-z0-9_]{0,62}$'),
  CONSTRAINT dead_event_attempts_is_not_negative CHECK (attempts >= 0)
);
CREATE INDEX dead_event_open_by_aggregate ON relevo.dead_event (aggregate_type, aggregate_id, id) WHERE state <> 'skipped';
CREATE INDEX dead_event_open_by_shard ON relevo.dead_event (shard, aggregate_type, aggregate_id, id) WHERE state <> 'skipped';
CREATE INDEX dead_event_to_retry ON relevo.dead_event (shard, id) WHERE state = 'retry';
CREATE INDEX dead_event_skipped ON relevo.dead_event (shard, changed_at) WHERE state = 'skipped';
CREATE INDEX dead_event_without_topic ON relevo.dead_event (target_topic, id) WHERE state = 'parked' AND reason = 'unknown_topic';

UPDATE relevo.schema SET version = 4, oldest_program_version = 4;
