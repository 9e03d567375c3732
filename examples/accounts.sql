-- Makes the tables of `pgbench -i` publish: each of its TPC-B transactions becomes one event of the account it changes.
--
-- pgbench changes the account first, which locks its row until the commit, and writes the history last. So whoever
-- publishes holds the lock: "lock the aggregate, then publish", and an account's events leave in the order of its transactions.

ALTER TABLE pgbench_accounts ADD COLUMN seq bigint NOT NULL DEFAULT 0;
ALTER TABLE pgbench_history ADD COLUMN seq bigint;

-- Numbers the transactions of each account, so that the books can tell a lost event or a wrong order from a right one.
CREATE FUNCTION count_transaction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.seq := OLD.seq + 1;
  RETURN NEW;
END $$;

CREATE TRIGGER count_transaction BEFORE UPDATE OF abalance ON pgbench_accounts
  FOR EACH ROW EXECUTE FUNCTION count_transaction();

CREATE FUNCTION publish_transaction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT a.seq INTO STRICT NEW.seq FROM pgbench_accounts a WHERE a.aid = NEW.aid;
  PERFORM relevo.publish('account', NEW.aid::text, 'AccountChanged',
                         jsonb_build_object('tid', NEW.tid, 'bid', NEW.bid, 'aid', NEW.aid, 'delta', NEW.delta, 'seq', NEW.seq));
  RETURN NEW;
END $$;

CREATE TRIGGER publish_transaction BEFORE INSERT ON pgbench_history
  FOR EACH ROW EXECUTE FUNCTION publish_transaction();
