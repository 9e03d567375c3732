-- Parking, blocking, releasing.
CREATE FUNCTION ids(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  r record;
  a bigint[] := '{}';
BEGIN
  FOR r IN EXECUTE statement LOOP a := a || r.id; END LOOP;
  IF statement !~ 'dead_retry' THEN a := ARRAY(SELECT x FROM unnest(a) x ORDER BY x); END IF;
  RETURN array_to_string(a, ',');
END $$;
SELECT relevo.publish('order', 'a', 'E' || i, to_jsonb(i), '{"h": "v"}', tenant => 'acme') FROM generate_series(1, 6) i \g /dev/null
SELECT relevo.publish('order', 'b', 'E' || i, to_jsonb(i)) FROM generate_series(7, 9) i \g /dev/null
CREATE VIEW states AS SELECT string_agg(id || state, ' ' ORDER BY id) AS s FROM relevo.dead_event;
CREATE FUNCTION park(what text, reason text, holder text, epoch int) RETURNS text LANGUAGE sql AS $$
  SELECT ids(format('EXECUTE park(%L, %L, %L, %L, %L, %L, %L)', '{' || string_agg(o.id::text, ',') || '}', '{' || string_agg((hashtextextended(aggregate_id, 0) & 7)::text, ',') || '}',
    '{' || string_agg(epoch::text, ',') || '}', holder, '{' || string_agg(reason, ',') || '}', '{' || string_agg('said no', ',') || '}', '{' || string_agg('outbox.event.order', ',') || '}'))
  FROM relevo.outbox o WHERE o.id = ANY (what::bigint[]) $$;
EXECUTE take('A', '1 min', 8, 8) \g /dev/null

-- only the holder in its epoch parks; twice is once
SELECT assert.equal(park('{1}', 'too_large', 'B', 1), '', 'parked by another holder');
SELECT assert.equal(park('{1}', 'too_large', 'A', 2), '', 'parked in another epoch');
SELECT assert.equal(park('{1}', 'too_large', 'A', 1), '1', 'parked by the holder');
SELECT assert.equal(park('{1}', 'rejected', 'A', 1), '1', 'parked already: said so, unchanged');
SELECT assert.equal(park('{2,3,7}', 'queued_behind', 'A', 1), '2,3,7', 'several') ;
SELECT assert.that(d.reason = 'too_large' AND d.error = 'said no' AND d.state = 'parked' AND d.attempts = 0 AND d.target_topic = 'outbox.event.order'
  AND (d.event_id, d.aggregate_type, d.aggregate_id, d.event_type, d.tenant, d.content_type, d.payload, d.headers, d.created_at)
    = (o.event_id, o.aggregate_type, o.aggregate_id, o.event_type, o.tenant, o.content_type, o.payload, o.headers, o.created_at), 'a full copy')
FROM relevo.dead_event d JOIN relevo.outbox o USING (id) WHERE id = 1;
DELETE FROM relevo.dead_event WHERE id = 7;
SELECT assert.fails($$UPDATE relevo.dead_event SET state = 'lost'$$, '23514', 'dead_event_state_is_known');
SELECT assert.fails($$UPDATE relevo.dead_event SET reason = 'No good'$$, '23514', 'dead_event_reason_is_a_short_word');

-- what is blocked
SELECT assert.equal(ids($$EXECUTE dead_open('{0,1,2,3,4,5,6,7}', 10)$$), '1', 'the first row of each blocked aggregate');
SELECT assert.equal(ids($$EXECUTE dead_open_of('{order,order}', '{a,b}')$$), '1', 'asked by aggregate');
SELECT assert.equal(ids($$EXECUTE dead_retry('{0,1,2,3,4,5,6,7}', 100)$$), '', 'nothing to send');
SELECT assert.equal(ids($$EXECUTE dead_release('{order}', '{a}')$$), '', 'followers stay behind a parked row');

-- retry of the head: it is sent, then its followers are released, in order
SELECT assert.equal(ids($$EXECUTE dead_mark_retry('{1}')$$), '1', 'operator: retry');
SELECT assert.equal(ids($$EXECUTE dead_retry('{0,1,2,3,4,5,6,7}', 100)$$), '1', 'only the head');
SELECT assert.equal(ids($$EXECUTE dead_failed('{1}', '{0}', '{too_large}', '{"still too large"}', '{""}')$$), '1', 'failed again');
SELECT assert.equal(ids($$EXECUTE dead_failed('{1}', '{0}', '{too_large}', '{x}', '{""}')$$), '', 'reported twice');
SELECT assert.that(attempts = 1 AND state = 'parked' AND error = 'still too large', 'the failure is noted') FROM relevo.dead_event WHERE id = 1;
SELECT assert.equal(ids($$EXECUTE dead_mark_retry('{1}')$$), '1', 'operator: retry again');
SELECT assert.equal(ids($$EXECUTE dead_sent('{1,2}')$$), '1', 'sent: only what was being retried');
SELECT assert.equal(ids($$EXECUTE dead_release('{order,order}', '{a,b}')$$), '2,3', 'followers released');
SELECT assert.equal(ids($$EXECUTE dead_retry('{0,1,2,3,4,5,6,7}', 1)$$), '2', 'in order of ids, with a limit');
-- one that fails in the middle holds the later ones
SELECT assert.equal(ids($$EXECUTE dead_failed('{2}', '{0}', '{rejected}', '{no}', '{""}')$$), '2', 'the second fails');
SELECT assert.equal(ids($$EXECUTE dead_retry('{0,1,2,3,4,5,6,7}', 100)$$), '', 'the third waits');
-- skip: never published, the followers go on
SELECT assert.equal(ids($$EXECUTE dead_mark_skipped('{2}')$$), '2', 'operator: skip');
SELECT assert.equal(ids($$EXECUTE dead_retry('{0,1,2,3,4,5,6,7}', 100)$$), '3', 'the third goes');
SELECT assert.equal(ids($$EXECUTE dead_skipped('{0,1,2,3,4,5,6,7}', 0)$$), '2', 'skipped');
SELECT assert.equal(ids(format($$EXECUTE dead_skipped('{0,1,2,3,4,5,6,7}', %s)$$, (extract(epoch FROM clock_timestamp()) * 1e6)::bigint)), '', 'skipped since now');
SELECT assert.equal(ids($$EXECUTE dead_sent('{3}')$$), '3', 'the third is sent');
SELECT assert.equal(ids($$EXECUTE dead_open_of('{order}', '{a}')$$), '', 'the aggregate is free');
SELECT assert.equal((SELECT s FROM states), '2skipped', 'what is left');

-- a follower parked while the operator skipped its head is seen, and released
SELECT park('{7}', 'rejected', 'A', 1) \g /dev/null
SELECT ids($$EXECUTE dead_mark_skipped('{7}')$$) \g /dev/null
SELECT park('{8,9}', 'queued_behind', 'A', 1) \g /dev/null
SELECT assert.equal(ids($$EXECUTE dead_open_of('{order}', '{b}')$$), '8', 'a follower without its head');
SELECT assert.equal(ids($$EXECUTE dead_release('{order}', '{b}')$$), '8,9', 'is released');
SELECT ids($$EXECUTE dead_sent('{8,9}')$$) \g /dev/null

-- a topic that appears
SELECT park('{4}', 'unknown_topic', 'A', 1), park('{5}', 'queued_behind', 'A', 1) \g /dev/null
EXECUTE dead_missing_topics('{0,1,2,3,4,5,6,7}') \gset
SELECT assert.equal(:'target_topic'::text, 'outbox.event.order', 'the topic waited for');
SELECT assert.equal(ids($$EXECUTE dead_topic_appeared('elsewhere', '{0,1,2,3,4,5,6,7}', 10)$$), '', 'another topic');
SELECT assert.equal(ids($$EXECUTE dead_topic_appeared('outbox.event.order', '{0,1,2,3,4,5,6,7}', 10)$$), '4', 'released by its topic');
EXECUTE dead_payloads('{4}') \gset
SELECT assert.equal(:'payload'::bytea, '4'::bytea, 'its payload');
SELECT assert.equal(ids($$EXECUTE dead_list(0, NULL, 100)$$), '2,4,5,7', 'operator: list');
SELECT assert.equal(ids($$EXECUTE dead_list(2, 'skipped', 100)$$), '7', 'operator: list by state, from an id');
SELECT 'ok';
