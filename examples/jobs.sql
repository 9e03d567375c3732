-- The work that the shop leaves to jobs, and the books of it.
--
--   a customer signs up (jobs.pgbench)     -> sample.welcome (C++) and mail.send (Python, over HTTP)
--   a paid order, as a message from Kafka  -> sample.orders  -> sample.welcome
--   a greeting (sample.welcome)            -> sample.points
--   every two seconds (schedule `bonus`)   -> sample.points

CREATE TABLE shop.customers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);

-- What was enqueued, told by the one who did: a job that got lost is in no other table.
CREATE TABLE shop.asked (
  job bigint PRIMARY KEY
);

CREATE VIEW shop.kinds AS
SELECT k.kind, (SELECT count(*) FROM relevo.job_history h WHERE h.kind = k.kind AND h.outcome = 'completed') AS done,
       (SELECT count(*) FROM relevo.job j WHERE j.kind = k.kind AND j.state < 2) AS open,
       (SELECT count(*) FROM relevo.jobs j WHERE j.kind = k.kind AND j.state IN ('dead', 'quarantined', 'cancelled', 'discarded')) AS failed
FROM (VALUES ('sample.welcome'), ('sample.points'), ('mail.send')) k (kind);

-- A greeting makes one job of points; the others come from the schedule.
CREATE VIEW shop.sources AS
SELECT (SELECT count(*) FROM shop.customers) AS customers,
       (SELECT count(*) FROM shop.orders WHERE state <> 'placed') AS paid_orders,
       (SELECT count(*) FROM relevo.inbox WHERE subscription = 'orders') AS messages,
       (SELECT sum(done + open + failed) FILTER (WHERE kind = 'sample.points') - sum(done) FILTER (WHERE kind = 'sample.welcome')
        FROM shop.kinds) AS ticks,
       (SELECT count(*) FROM relevo.job_history WHERE kind = 'mail.send' AND result ? 'sent_to') AS answers;

-- One line for whoever watches.
CREATE VIEW shop.line AS
SELECT format('jobs done  sample.welcome %s  sample.points %s  mail.send (Python) %s  waiting %s  failed %s | messages %s  ticks %s',
              max(done) FILTER (WHERE kind = 'sample.welcome'), max(done) FILTER (WHERE kind = 'sample.points'),
              max(done) FILTER (WHERE kind = 'mail.send'), sum(open), sum(failed), max(s.messages), max(s.ticks)) AS line
FROM shop.kinds, shop.sources s;

-- At the end.
CREATE VIEW shop.summary AS
SELECT concat_ws(E'\n', 'jobs (relevo.job_history)',
                 (SELECT string_agg(format('  %-17s %s completed, %s waiting, %s failed', kind, done, open, failed), E'\n' ORDER BY kind)
                  FROM shop.kinds),
                 format('  asked for by      %s customers, %s messages of %s paid orders, %s ticks; Python answered %s calls',
                        customers, messages, paid_orders, ticks, answers)) AS lines
FROM shop.sources;

-- Empty when everything that was asked for is done, once.
CREATE VIEW shop.faults AS
SELECT format('%s jobs that were enqueued are not completed', count(*)) AS fault
FROM shop.asked a WHERE NOT EXISTS (SELECT FROM relevo.job_history h WHERE h.job_id = a.job AND h.outcome = 'completed') HAVING count(*) > 0
UNION ALL
SELECT format('%s: %s jobs wait, %s failed', kind, open, failed) FROM shop.kinds WHERE open + failed > 0
UNION ALL
SELECT format('%s paid orders have no greeting', count(*))
FROM shop.orders o WHERE o.state <> 'placed'
  AND NOT EXISTS (SELECT FROM relevo.job_history h WHERE h.unique_key = 'welcome ' || o.id AND h.outcome = 'completed') HAVING count(*) > 0
UNION ALL
SELECT format('%s greetings for %s customers and %s paid orders', k.done, s.customers, s.paid_orders)
FROM shop.kinds k, shop.sources s WHERE k.kind = 'sample.welcome' AND k.done <> s.customers + s.paid_orders
UNION ALL
SELECT format('%s messages could not be consumed', count(*)) FROM relevo.dead_message HAVING count(*) > 0
UNION ALL
SELECT 'the subscription handled no message' FROM shop.sources WHERE messages = 0
UNION ALL
SELECT 'the schedule did not fire' FROM shop.sources s
WHERE s.ticks < 1 OR NOT EXISTS (SELECT FROM relevo.schedule WHERE name = 'bonus' AND last_tick IS NOT NULL)
UNION ALL
SELECT format('the Python handler answered %s calls; at least 3 are expected', answers) FROM shop.sources WHERE answers < 3;
