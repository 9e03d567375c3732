-- The reads: pages of a window, late transactions, due jobs, scans; what each row tells.
\ir helpers/jobs.sql
SELECT assert.connect('other') \g /dev/null
-- the last row of a read
CREATE FUNCTION last_row(statement text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  r    record;
  last jsonb;
BEGIN
  FOR r IN EXECUTE statement LOOP last := to_jsonb(r); END LOOP;
  RETURN last;
END $$;

-- the columns, in their order
SELECT relevo.enqueue('full', '{"a": 1}', 'q', now() - interval '1 h', 5, 'u', 'keep', 'c', 'r', 't', 7, '1.0005 s', '2099-01-01Z', '{"h": "v"}') AS id \gset
CREATE TABLE expected (name text, place int);
INSERT INTO expected SELECT n, o FROM unnest('{xid,id,lane,token,run_at,queue,kind,priority,attempts,crashes,unique_key,concurrency_key,rate_key,tenant,max_attempts,timeout_ms,expires_at,created_at,batch,headers_text,payload_text,payload_size,due,class}'::text[]) WITH ORDINALITY u (n, o);
CREATE FUNCTION columns_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  r record;
BEGIN
  EXECUTE statement INTO r;
  RETURN (SELECT string_agg(k, ',' ORDER BY o) FROM json_object_keys(row_to_json(r)) WITH ORDINALITY u (k, o));
END $$;
SELECT assert.equal(columns_of(s), (SELECT string_agg(name, ',' ORDER BY place) FROM expected), s)
FROM unnest(ARRAY[$$EXECUTE job_page(0::smallint, '0', -1, '9000000000', pg_current_snapshot(), 0, '{0}')$$, format($$EXECUTE job_late(0::smallint, '{%s}', '0', -1, 0, '{0}')$$, (job(:id)).xid),
  $$EXECUTE job_due(0::smallint, '-infinity', -1, 0, '{0}')$$, $$EXECUTE job_scan(0::smallint, '0', -1, 'all', NULL, 0, '{0}')$$, $$EXECUTE job_of_key('c', 0, 0, '{0}')$$,
  $$EXECUTE job_peek('0', '{}', 0, '{0}')$$]) s;
SELECT assert.that(r ->> 'queue' = 'q' AND r ->> 'kind' = 'full' AND (r ->> 'priority')::int = 5 AND r ->> 'unique_key' = 'u' AND r ->> 'concurrency_key' = 'c' AND r ->> 'rate_key' = 'r' AND r ->> 'tenant' = 't'
  AND (r ->> 'max_attempts')::int = 7 AND (r ->> 'timeout_ms')::int = 1001 AND (r ->> 'expires_at')::timestamptz = '2099-01-01Z' AND r ->> 'headers_text' = '{"h": "v"}' AND r ->> 'payload_text' = '{"a": 1}'
  AND (r ->> 'due')::boolean AND (r ->> 'class')::int = 0 AND (r ->> 'token')::int = 0 AND r ->> 'batch' IS NULL AND (r ->> 'lane')::int = relevo.lane_of(1, 'c'), 'a row: ' || r::text)
FROM (SELECT max(r::text)::jsonb AS r FROM rows_of($$EXECUTE job_page(0::smallint, '0', -1, '9000000000', pg_current_snapshot(), 15, '{0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15}')$$) r) x;
-- payloads that are large as stored are fetched apart
SELECT relevo.enqueue('large', to_jsonb(string_agg(md5(i::text), '')), queue => 'l') AS large FROM generate_series(1, 200) i \gset
SELECT assert.that(r ->> 'payload_text' IS NULL AND (r ->> 'payload_size')::int > 4096 AND r ->> 'headers_text' IS NULL, 'a large payload') FROM (SELECT max(r::text)::jsonb AS r FROM rows_of($$EXECUTE job_scan(1::smallint, '0', -1, 'queue', 'l', 0, '{0}')$$) r) x;
SELECT assert.equal(sum(length(r ->> 'payload_text')), 6402::bigint, 'its text') FROM rows_of(format($$EXECUTE job_payloads('{%s,%s}')$$, :large, 99999)) r;

-- a page stays inside its class, its window and its lanes, and says how far it came
DELETE FROM relevo.job;
DO $$ BEGIN FOR i IN 1..3 LOOP PERFORM relevo.enqueue('hi' || i, priority => 1), relevo.enqueue('no' || i); COMMIT; END LOOP; END $$;
SELECT assert.run('other', $$BEGIN; INSERT INTO relevo.job (kind) VALUES ('late')$$) \g /dev/null
INSERT INTO relevo.job (kind) VALUES ('no4');
SELECT pg_current_snapshot() AS snapshot, pg_snapshot_xmax(pg_current_snapshot()) AS xmax \gset
INSERT INTO relevo.job (kind) VALUES ('no5');
SELECT assert.run('other', 'COMMIT') \g /dev/null
SELECT assert.equal(kinds(format($$EXECUTE job_page(1::smallint, '0', -1, %L, %L, 0, '{0}')$$, :'xmax', :'snapshot')), 'no1,no2,no3,no4', 'a class up to a snapshot');
SELECT assert.equal(kinds(format($$EXECUTE job_page(0::smallint, '0', -1, %L, %L, 0, '{0}')$$, :'xmax', :'snapshot')), 'hi1,hi2,hi3', 'another class');
SELECT assert.equal(kinds(format($$EXECUTE job_page(1::smallint, %L, %s, %L, %L, 0, '{0}')$$, (job(id_of('no2'))).xid, id_of('no2'), :'xmax', :'snapshot')), 'no3,no4', 'beyond the last (xid, id)');
SELECT assert.that(r ->> 'xid' = (job(id_of('no4'))).xid::text AND (r ->> 'id')::bigint = id_of('no4') AND r ->> 'lane' IS NULL AND (r ->> 'token')::int = 5, 'how far, and how many rows: ' || r::text)
FROM last_row(format($$EXECUTE job_page(1::smallint, '0', -1, %L, %L, 0, '{0}')$$, :'xmax', :'snapshot')) r;
SELECT assert.that(last_row($$EXECUTE job_page(2::smallint, '0', -1, '9000000000', pg_current_snapshot(), 0, '{0}')$$) IS NULL, 'nothing scanned: no row at all');
SELECT assert.equal(string_agg(k, ',' ORDER BY k), 'late,no1,no2,no3,no4,no5', 'each job is of one lane')
FROM generate_series(0, 15) l CROSS JOIN LATERAL unnest(string_to_array(kinds(format($$EXECUTE job_page(1::smallint, '0', -1, '9000000000', pg_current_snapshot(), 15, '{%s}')$$, l)), ',')) k;
-- a peek: what a snapshot does not see, of all classes, late transactions first
SELECT assert.equal(kinds(format($$EXECUTE job_peek(%L, %L, 0, '{0}')$$, :'xmax', ARRAY[(job(id_of('late'))).xid])), 'late,no5', 'what has come since');
SELECT assert.equal(kinds(format($$EXECUTE job_peek(%L, '{}', 0, '{0}')$$, (job(id_of('no3'))).xid)), 'hi3,no3,late,no4,no5', 'each class');
SELECT assert.equal(kinds(format($$EXECUTE job_peek('9000000000', %L, 0, '{0}')$$, ARRAY[(job(id_of('no2'))).xid])), 'hi2,no2', 'of a late transaction, each class');
UPDATE relevo.job SET state = 2 WHERE kind = 'no1';
SELECT assert.equal(kinds($$EXECUTE job_page(1::smallint, '0', -1, '9000000000', pg_current_snapshot(), 0, '{0}')$$), 'no2,no3,late,no4,no5', 'no dead ones');

-- late transactions, in the order given, page by page
SELECT assert.equal(kinds(format($$EXECUTE job_late(1::smallint, '{%s,%s,%s}', '0', -1, 0, '{0}')$$, (job(id_of('no2'))).xid, (job(id_of('late'))).xid, 999999)), 'no2,late', 'late transactions');
SELECT assert.equal(kinds(format($$EXECUTE job_late(1::smallint, '{%s,%s}', %L, %s, 0, '{0}')$$, (job(id_of('no2'))).xid, (job(id_of('late'))).xid, (job(id_of('no2'))).xid, id_of('no2'))), 'late', 'beyond the cursor');
SELECT assert.that(last_row(format($$EXECUTE job_late(1::smallint, '{%s}', %L, %s, 0, '{0}')$$, (job(id_of('late'))).xid, (job(id_of('late'))).xid, id_of('late'))) IS NULL, 'nothing left: no row at all');
INSERT INTO relevo.job (kind, queue) SELECT 'bulk', 'bulk' FROM generate_series(1, 4500);
SELECT xid AS bulk FROM relevo.job WHERE kind = 'bulk' LIMIT 1 \gset
INSERT INTO relevo.job (kind) VALUES ('after');
CREATE TABLE read (id bigint, page int);
DO $$
DECLARE
  x    xid8 := '0';
  i    bigint := -1;
  page int := 0;
  last jsonb;
  s    text;
BEGIN
  LOOP
    s := format($q$EXECUTE job_late(1::smallint, '{%s,%s}', %L, %s, 0, '{0}')$q$, (SELECT j.xid FROM relevo.job j WHERE kind = 'bulk' LIMIT 1), (job(id_of('after'))).xid, x, i);
    last := last_row(s);
    EXIT WHEN last IS NULL;
    page := page + 1;
    INSERT INTO read SELECT (r ->> 'id')::bigint, page FROM rows_of(s) r;
    x := last ->> 'xid'; i := last ->> 'id';
  END LOOP;
END $$;
SELECT assert.that(count(*) = 4501 AND count(DISTINCT id) = 4501 AND max(page) = 3, 'a large late transaction, three pages') FROM read;
TRUNCATE read;
DO $$
DECLARE
  x    xid8 := '0';
  i    bigint := -1;
  page int := 0;
  last jsonb;
  s    text;
BEGIN
  LOOP
    s := format($q$EXECUTE job_page(1::smallint, %L, %s, '9000000000', pg_current_snapshot(), 15, '{1,2,3}')$q$, x, i);
    last := last_row(s);
    EXIT WHEN last IS NULL;
    page := page + 1;
    INSERT INTO read SELECT (r ->> 'id')::bigint, page FROM rows_of(s) r;
    x := last ->> 'xid'; i := last ->> 'id';
  END LOOP;
END $$;
SELECT assert.that(count(*) = (SELECT count(*) FROM relevo.job j WHERE state = 0 AND relevo.lane_of(j.id, j.concurrency_key) IN (1, 2, 3)) AND max(page) = 3, 'the pages of three lanes') FROM read;

-- due: by class, forward, up to now
DELETE FROM relevo.job;
INSERT INTO relevo.job (kind, run_at) VALUES ('d3', now() - interval '1 s'), ('d1', now() - interval '3 s'), ('d2', now() - interval '2 s'), ('later', now() + interval '1 h'), ('end', '9999-12-31'), ('min', '-infinity');
INSERT INTO relevo.job (kind, priority, run_at) VALUES ('high', 1, now()), ('low', -1, now());
INSERT INTO relevo.job (kind, run_at, state) VALUES ('dead', now() - interval '1 h', 2);
INSERT INTO relevo.job (kind) VALUES ('now');
SELECT assert.equal(kinds($$EXECUTE job_due(1::smallint, '-infinity', -1, 0, '{0}')$$), 'min,d1,d2,d3', 'what is due, in order');
SELECT assert.equal(kinds(format($$EXECUTE job_due(1::smallint, %L, %s, 0, '{0}')$$, (job(id_of('d1'))).run_at, id_of('d1'))), 'd2,d3', 'forward');
SELECT assert.that((r ->> 'run_at')::timestamptz = (job(id_of('d3'))).run_at AND (r ->> 'id')::bigint = id_of('d3') AND r ->> 'lane' IS NULL AND (r ->> 'token')::int = 4, 'how far') FROM last_row($$EXECUTE job_due(1::smallint, '-infinity', -1, 0, '{0}')$$) r;
SELECT assert.equal(kinds($$EXECUTE job_due(0::smallint, '-infinity', -1, 0, '{0}')$$), 'high', 'high');
SELECT assert.equal(kinds($$EXECUTE job_due(2::smallint, '-infinity', -1, 0, '{0}')$$), 'low', 'low');
EXECUTE job_next_due(ARRAY[now(), now(), now()], '{-1,-1,-1}') \gset
SELECT assert.that(:wait_ms BETWEEN 3590000 AND 3600000, 'the next to be due');
INSERT INTO relevo.job (kind, priority, run_at) VALUES ('soon', -1, now() + interval '1 min');
EXECUTE job_next_due(ARRAY[now(), now(), now()], '{-1,-1,-1}') \gset
SELECT assert.that(:wait_ms BETWEEN 50000 AND 60000, 'the next to be due, of any class');
DELETE FROM relevo.job WHERE run_at > now();
SELECT assert.that(count(*) = 1 AND min(r ->> 'wait_ms') IS NULL, 'none') FROM rows_of($$EXECUTE job_next_due(ARRAY[now(), now(), now()], '{-1,-1,-1}')$$) r;

-- scans by what was in the way
DELETE FROM relevo.job;
SELECT relevo.enqueue('mail.send', queue => 'a', rate_key => 'r', tenant => 't'), relevo.enqueue('mail.drop', queue => 'b', run_at => now() + interval '1 h'), relevo.enqueue('sms', queue => 'a', tenant => 't') \g /dev/null
SELECT assert.equal(kinds(format($$EXECUTE job_scan(1::smallint, '0', -1, %L, %L, 0, '{0}')$$, scope, value)), wanted, scope || ' ' || coalesce(value, ''))
FROM (VALUES ('queue', 'a', 'mail.send,sms'), ('kind', 'sms', 'sms'), ('kind', 'mail.*', 'mail.send,mail.drop'), ('kind', '*', 'mail.send,mail.drop,sms'), ('kind', 'mail', NULL), ('rate', 'r', 'mail.send'),
             ('tenant', 't', 'mail.send,sms'), ('all', NULL, 'mail.send,mail.drop,sms')) v (scope, value, wanted);
SELECT assert.equal(array_agg(r ->> 'due'), '{true,false,true}', 'due') FROM rows_of($$EXECUTE job_scan(1::smallint, '0', -1, 'all', NULL, 0, '{0}')$$) r;
SELECT assert.equal(kinds(format($$EXECUTE job_scan(1::smallint, %L, %s, 'all', NULL, 0, '{0}')$$, (job(id_of('mail.drop'))).xid, id_of('mail.drop'))), 'sms', 'beyond the cursor');
-- the waiting of a key
INSERT INTO relevo.job (kind, concurrency_key, queue) SELECT 'of', 'key', i FROM generate_series(1, 150) i;
SELECT assert.that(cardinality(a) = 100 AND cardinality(b) = 50, 'a hundred at a time') FROM (SELECT ids($$EXECUTE job_of_key('key', 0, 0, '{0}')$$) AS a) x, LATERAL (SELECT ids(format($$EXECUTE job_of_key('key', %s, 0, '{0}')$$, a[100])) AS b) y;
SELECT assert.equal(kinds($$EXECUTE job_of_key('none', 0, 0, '{0}')$$), NULL, 'another key');
SELECT 'ok';
