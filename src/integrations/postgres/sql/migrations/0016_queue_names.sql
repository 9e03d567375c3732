-- A pause is of one queue or of all: 'mail*' is no pattern, and would pause a queue of just that name.
CREATE OR REPLACE FUNCTION relevo.pause(queue text DEFAULT '*', kind text DEFAULT '*') RETURNS void LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM relevo.check_name('pause', 'queue', queue, 255), relevo.check_name('pause', 'kind', kind, 255);
  IF queue <> '*' AND strpos(queue, '*') > 0 THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
      MESSAGE = format('relevo.pause: queue: is %s; give the whole name of a queue, or * for all queues', quote_literal(left(queue, 100)));
  END IF;
  IF strpos(kind, '*') BETWEEN 1 AND length(kind) - 1 THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
      MESSAGE = format('relevo.pause: kind: is %s; a * stands at the end only, as in mail.*', quote_literal(left(kind, 100)));
  END IF;
  INSERT INTO relevo.queue_state AS s (queue, kind, paused) VALUES (pause.queue, pause.kind, true)
  ON CONFLICT ON CONSTRAINT queue_state_pkey DO UPDATE SET paused = true;
END $$;

UPDATE relevo.schema SET version = 16;
