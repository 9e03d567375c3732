// A subscription on real servers: one committed effect per event whatever is delivered twice or
// fails in between, order per key, and what cannot be done ends where a person finds it.
#include "relevo/worker/consumer.hpp"

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <nlohmann/json.hpp>

#include "relevo/core/error.hpp"
#include "relevo/kafka/consumer.hpp"
#include "relevo/kafka/dead_letter_topic.hpp"
#include "relevo/postgres/message_store.hpp"
#include "relevo/postgres/migrator.hpp"
#include "relevo/worker/message_jobs.hpp"
#include "support/database.hpp"
#include "support/environment.hpp"
#include "support/eventually.hpp"
#include "support/kafka_admin.hpp"
#include "support/message_consuming.hpp"
#include "support/message_source_contract.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;
using test::event_record;
using test::eventually;
using test::FunctionHandler;

constexpr Statement kEffect{
    "test_effect",
    "INSERT INTO effect (event_id, key, value) SELECT * FROM unnest($1::text[], $2::text[], "
    "$3::text[])"};

std::string array_of(std::span<const Message> messages,
                     const std::function<std::string(const Message&)>& column) {
  std::string array = "{";
  for (const auto& message : messages) {
    if (array.size() > 1) array += ',';
    array += '"' + column(message) + '"';
  }
  return array + "}";
}

// Appends to a table without a unique key: a second execution shows.
std::vector<Outcome> write_effects(std::span<const Message> messages, Context& context) {
  context.unit().query(kEffect,
                       {array_of(messages, [](const auto& m) { return std::string(m.id); }),
                        array_of(messages, [](const auto& m) { return std::string(m.key); }),
                        array_of(messages, [](const auto& m) { return std::string(*m.payload); })});
  return std::vector<Outcome>(messages.size(), done());
}

class ConsumerTest : public testing::Test {
 protected:
  ConsumerTest() {
    postgres.url = database.url();
    postgres::Migrator(postgres).migrate(4, [](int, std::string_view) {});
    database.connect().exec(
        "CREATE TABLE effect (id bigint GENERATED ALWAYS AS IDENTITY, event_id text, key text, "
        "value text)");
    options.subscription = "orders";
    options.concurrency = 4;
    options.backoff_base = 20ms;
    options.backoff_cap = 200ms;
    options.redrive_interval = 100ms;
    options.commit_interval = 100ms;
    options.drain = 5s;
  }

  void SetUp() override {
    if (test::environment("RELEVO_TEST_KAFKA_KIND").value_or("kafka") != "kafka") {
      GTEST_SKIP() << "the mock cluster takes the length of a session for each change of a group";
    }
    admin.emplace(bootstrap);
    admin->create_topic(topic, 6);
  }

  kafka::ConsumerOptions source_options() const {
    kafka::ConsumerOptions source;
    source.client.bootstrap_servers = bootstrap;
    source.client.properties = {{"session.timeout.ms", "6000"}, {"heartbeat.interval.ms", "500"}};
    source.group = group;
    source.topics = {topic};
    source.start = start;
    return source;
  }

  std::unique_ptr<Consumer> consumer(MessageHandler& handler, DeadLetters* letters = nullptr) {
    return std::make_unique<Consumer>(
        options,
        Consumer::Ports{
            [this] { return std::make_unique<kafka::KafkaConsumer>(source_options(), log); },
            [this] { return std::make_unique<postgres::MessageStore>(postgres); }, handler, letters,
            figures, log, core::system_clock()});
  }

  void write(std::vector<test::TestRecord> records) {
    test::write_records(bootstrap, topic, records);
  }

  std::vector<test::TestRecord> numbered(int first, int count, int keys) {
    std::vector<test::TestRecord> records;
    for (int i = first; i < first + count; ++i) {
      records.push_back(event_record("key-" + std::to_string(i % keys), "e-" + std::to_string(i),
                                     "OrderPaid", std::to_string(i)));
    }
    return records;
  }

  // As an operator does it while no member is there.
  void commit_offset(std::int32_t partition, std::int64_t offset) {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap.c_str(), nullptr, 0);
    rd_kafka_conf_set(conf, "group.id", group.c_str(), nullptr, 0);
    const std::unique_ptr<rd_kafka_t, void (*)(rd_kafka_t*)> client(
        rd_kafka_new(RD_KAFKA_CONSUMER, conf, nullptr, 0), rd_kafka_destroy);
    const std::unique_ptr<rd_kafka_topic_partition_list_t,
                          void (*)(rd_kafka_topic_partition_list_t*)>
        list(rd_kafka_topic_partition_list_new(1), rd_kafka_topic_partition_list_destroy);
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = offset;
    ASSERT_EQ(rd_kafka_commit(client.get(), list.get(), 0), RD_KAFKA_RESP_ERR_NO_ERROR);
  }

  std::int64_t number(const std::string& sql) { return database.connect().number(sql); }
  std::int64_t effects() { return number("SELECT count(*) FROM effect"); }
  std::int64_t repeated() {
    return number("SELECT count(*) - count(DISTINCT event_id) FROM effect");
  }
  // Messages that came before an earlier one of their key.
  std::int64_t disordered() {
    return number(
        "SELECT count(*) FROM (SELECT value::int < max(value::int) OVER (PARTITION BY key ORDER BY "
        "id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS late FROM effect) e WHERE late");
  }

  const std::string bootstrap = test::required_environment("RELEVO_TEST_KAFKA");
  test::Database database{test::required_environment("RELEVO_TEST_POSTGRES")};
  const std::string topic = test::unique_name("orders-");
  const std::string group = test::unique_name("group-");
  kafka::ConsumerOptions::Start start = kafka::ConsumerOptions::Start::kBeginning;
  std::optional<test::KafkaAdmin> admin;
  postgres::ConnectOptions postgres;
  ConsumerOptions options;
  test::ConsumerFigures figures;
  test::LogLines log;
};

TEST_F(ConsumerTest, the_adapter_is_a_message_source) {
  const auto partition_key = std::string("k");  // all to one partition
  test::expect_message_source(
      {[this] { return std::make_unique<kafka::KafkaConsumer>(source_options(), log); },
       [&](const std::vector<std::string>& values) {
         std::vector<test::TestRecord> records;
         for (const auto& value : values) records.push_back({partition_key, value, {}});
         write(records);
       }});
}

TEST_F(ConsumerTest, each_event_has_one_effect_in_the_order_of_its_key) {
  write(numbered(0, 2'000, 40));
  write(numbered(500, 500, 40));  // the same events once more
  FunctionHandler handler(write_effects);
  auto subscription = consumer(handler);
  subscription->start();
  ASSERT_TRUE(eventually(60s, [&] {
    return figures.count("done") + figures.count("duplicate") == 2'500;
  })) << log.all();
  subscription->stop();
  EXPECT_EQ(effects(), 2'000);
  EXPECT_EQ(repeated(), 0);
  EXPECT_EQ(disordered(), 0);
  EXPECT_EQ(figures.count("duplicate"), 500U);

  // The offsets were committed: a second run has nothing to do.
  write(numbered(2'000, 1, 40));
  subscription->start();
  ASSERT_TRUE(eventually(30s, [&] { return effects() == 2'001; }));
  subscription->stop();
  EXPECT_EQ(figures.count("duplicate"), 500U);
}

TEST_F(ConsumerTest, several_of_a_key_in_one_call_keep_their_order) {
  write(numbered(0, 2'000, 3));
  std::atomic<std::size_t> largest = 0;
  FunctionHandler handler(
      [&](auto messages, auto& context) {
        largest = std::max<std::size_t>(largest, messages.size());
        return write_effects(messages, context);
      },
      true);
  auto subscription = consumer(handler);
  subscription->start();
  ASSERT_TRUE(eventually(60s, [&] { return effects() == 2'000; })) << log.all();
  subscription->stop();
  EXPECT_EQ(repeated(), 0);
  EXPECT_EQ(disordered(), 0);
  EXPECT_GT(largest, 3U);
}

TEST_F(ConsumerTest, a_transient_failure_holds_up_its_key_only) {
  std::atomic<bool> healed = false;
  FunctionHandler handler([&](auto messages, auto& context) {
    std::vector<Outcome> outcomes;
    for (const auto& message : messages) {
      const bool fails = message.key == "key-3" && !healed;
      outcomes.push_back(fails ? retry("not yet", 10ms) : done());
    }
    write_effects(messages, context);
    return outcomes;
  });
  options.max_attempts = 10'000;
  write(numbered(0, 500, 10));
  auto subscription = consumer(handler);
  subscription->start();
  ASSERT_TRUE(eventually(30s, [&] { return effects() == 450; })) << log.all();
  EXPECT_EQ(number("SELECT count(*) FROM effect WHERE key = 'key-3'"), 0);
  healed = true;
  ASSERT_TRUE(eventually(30s, [&] { return effects() == 500; }));
  subscription->stop();
  EXPECT_EQ(repeated(), 0);
  EXPECT_EQ(disordered(), 0);
  EXPECT_EQ(number("SELECT count(*) FROM relevo.dead_message"), 0);
}

TEST_F(ConsumerTest, a_permanent_failure_is_parked_once_and_its_key_goes_on) {
  FunctionHandler handler([&](auto messages, auto& context) {
    write_effects(messages, context);
    std::vector<Outcome> outcomes;
    for (const auto& message : messages) {
      outcomes.push_back(message.id == "e-13" ? dead("no such product") : done());
    }
    return outcomes;
  });
  write(numbered(0, 100, 5));
  auto broken = event_record("key-1", "e-x", "OrderPaid", "{\"a\":");
  write({broken});
  write(numbered(100, 100, 5));
  const auto letters_topic = topic + ".dead";
  admin->create_topic(letters_topic, 1);
  kafka::PublisherOptions publishing;
  publishing.client.bootstrap_servers = bootstrap;
  kafka::DeadLetterTopic letters(letters_topic, publishing, log);
  auto subscription = consumer(handler, &letters);
  subscription->start();
  ASSERT_TRUE(eventually(60s, [&] { return effects() == 199; })) << log.all();
  ASSERT_TRUE(
      eventually(20s, [&] { return number("SELECT count(*) FROM relevo.dead_message") == 2; }));
  subscription->stop();
  EXPECT_EQ(repeated(), 0);
  auto connection = database.connect();
  EXPECT_EQ(connection.value("SELECT error_class || ': ' || error FROM relevo.dead_message WHERE "
                             "event_id = 'e-13'"),
            "rejected: no such product");
  EXPECT_EQ(connection.value("SELECT convert_from(payload, 'UTF8') || ' ' || convert_from(key, "
                             "'UTF8') FROM relevo.dead_message WHERE error_class = 'undecodable'"),
            "{\"a\": key-1");
  const auto sent = test::read_topic(bootstrap, letters_topic, 2);
  ASSERT_EQ(sent.size(), 2U);
  const auto header = [&](const auto& record, const std::string& name) {
    for (const auto& [n, v] : record.headers) {
      if (n == name) return v;
    }
    return std::string("none");
  };
  for (const auto& record : sent) {
    EXPECT_EQ(header(record, "x-original-topic"), topic);
    EXPECT_EQ(header(record, "x-attempts"), "1");
    const auto attempts = nlohmann::json::parse(header(record, "x-attempt-log"));
    ASSERT_EQ(attempts.size(), 1U);
    EXPECT_EQ(attempts[0]["attempt"], 1);
    EXPECT_EQ(attempts[0]["at"], header(record, "x-first-failed-at"));
    EXPECT_EQ(attempts[0]["error"], header(record, "x-error-message"));
    EXPECT_NE(header(record, "ce_id"), "none");
  }
}

TEST_F(ConsumerTest, a_message_that_keeps_failing_is_parked_after_its_last_attempt) {
  std::atomic<int> calls = 0;
  FunctionHandler handler([&](auto messages, auto& context) {
    for (const auto& message : messages) {
      if (message.id == "e-1") {
        ++calls;
        throw std::runtime_error("broken");
      }
    }
    return write_effects(messages, context);
  });
  options.max_attempts = 3;
  options.concurrency = 1;
  write(numbered(0, 20, 20));
  auto subscription = consumer(handler);
  subscription->start();
  ASSERT_TRUE(eventually(30s, [&] {
    return number("SELECT count(*) FROM relevo.dead_message") == 1;
  })) << log.all();
  ASSERT_TRUE(eventually(30s, [&] { return effects() == 19; }));
  subscription->stop();
  EXPECT_EQ(number("SELECT attempts FROM relevo.dead_message"), 3);
  EXPECT_EQ(database.connect().value("SELECT error_class FROM relevo.dead_message"), "exhausted");
  EXPECT_EQ(database.connect().value(
                "SELECT string_agg((a->>'attempt') || ' ' || (a->>'error'), ', ' ORDER BY n) FROM "
                "relevo.dead_message, jsonb_array_elements(attempt_log) WITH ORDINALITY e (a, n)"),
            "1 broken, 2 broken, 3 broken");
  EXPECT_EQ(number("SELECT count(*) FROM relevo.dead_message WHERE date_trunc('milliseconds', "
                   "first_failed_at) = (attempt_log->0->>'at')::timestamptz"),
            1);
}

TEST_F(ConsumerTest, a_dead_letter_that_has_no_room_for_its_attempts_goes_without_them) {
  FunctionHandler handler([](auto messages, auto&) {
    return std::vector<Outcome>(messages.size(), retry(std::string(1'000, 'x'), 1ms));
  });
  options.max_attempts = 20;
  auto record = event_record("k", "e", "OrderPaid", '"' + std::string(500'000, ' ') + '"');
  write({record});
  const auto letters_topic = topic + ".dead";
  admin->create_topic(letters_topic, 1, {{"max.message.bytes", "506000"}});
  kafka::PublisherOptions publishing;
  publishing.client.bootstrap_servers = bootstrap;
  kafka::DeadLetterTopic letters(letters_topic, publishing, log);
  auto subscription = consumer(handler, &letters);
  subscription->start();
  const auto sent = test::read_topic(bootstrap, letters_topic, 1);
  ASSERT_EQ(sent.size(), 1U) << log.all();
  subscription->stop();
  std::map<std::string, std::string> headers(sent[0].headers.begin(), sent[0].headers.end());
  EXPECT_EQ(headers["x-attempts"], "20");
  EXPECT_FALSE(headers.contains("x-attempt-log"));
  EXPECT_EQ(number("SELECT jsonb_array_length(attempt_log) FROM relevo.dead_message"), 20);
}

TEST_F(ConsumerTest, a_parked_message_is_redriven_through_the_inbox) {
  std::atomic<bool> healed = false;
  FunctionHandler handler([&](auto messages, auto& context) {
    if (!healed && messages[0].id == "e-0") return std::vector<Outcome>{dead("not yet")};
    return write_effects(messages, context);
  });
  options.batch_size = 1;
  write(numbered(0, 2, 2));
  auto subscription = consumer(handler);
  subscription->start();
  ASSERT_TRUE(eventually(30s, [&] {
    return number("SELECT count(*) FROM relevo.dead_message") == 1;
  })) << log.all();
  auto connection = database.connect();
  // Too early: parked again, with one more attempt.
  connection.exec("UPDATE relevo.dead_message SET redriven_at = now()");
  ASSERT_TRUE(eventually(30s, [&] {
    return number(
               "SELECT count(*) FROM relevo.dead_message WHERE redriven_at IS NULL AND attempts "
               "= 2") == 1;
  }));
  EXPECT_EQ(connection.value("SELECT concat_ws(' ', attempt_log->0->>'attempt', "
                             "attempt_log->1->>'attempt', jsonb_array_length(attempt_log)) FROM "
                             "relevo.dead_message"),
            "1 2 2");
  healed = true;
  connection.exec("UPDATE relevo.dead_message SET redriven_at = now()");
  ASSERT_TRUE(
      eventually(30s, [&] { return number("SELECT count(*) FROM relevo.dead_message") == 0; }));
  subscription->stop();
  EXPECT_EQ(effects(), 2);
  EXPECT_EQ(number("SELECT count(*) FROM relevo.inbox WHERE event_id = 'e-0' AND day = "
                   "'2026-03-01'"),
            1);
}

TEST_F(ConsumerTest, unknown_types_are_passed_over_or_parked) {
  FunctionHandler handler(write_effects);
  options.types = {"OrderPaid"};
  write({event_record("a", "1", "OrderPaid", "1"), event_record("a", "2", "OrderLost", "2"),
         event_record("a", "3", "OrderPaid", "3")});
  auto subscription = consumer(handler);
  subscription->start();
  ASSERT_TRUE(eventually(30s, [&] { return effects() == 2; })) << log.all();
  EXPECT_EQ(figures.count("unknown_type"), 1U);
  subscription->stop();
  subscription.reset();
  EXPECT_EQ(number("SELECT count(*) FROM relevo.dead_message"), 0);

  options.park_unknown = true;
  write({event_record("a", "4", "OrderLost", "4")});
  subscription = consumer(handler);
  subscription->start();
  ASSERT_TRUE(eventually(30s, [&] {
    return number("SELECT count(*) FROM relevo.dead_message WHERE error_class = 'unknown_type'") ==
           1;
  }));
  subscription->stop();
}

TEST_F(ConsumerTest, a_snoozed_message_comes_again_and_keeps_what_it_wrote) {
  std::atomic<int> calls = 0;
  FunctionHandler handler([&](auto messages, auto& context) {
    write_effects(messages, context);
    if (++calls == 1) return std::vector<Outcome>{snooze(50ms)};
    return std::vector<Outcome>{done()};
  });
  write(numbered(0, 1, 1));
  auto subscription = consumer(handler);
  subscription->start();
  ASSERT_TRUE(eventually(30s, [&] { return figures.count("done") == 1; })) << log.all();
  subscription->stop();
  EXPECT_EQ(effects(), 2);
  EXPECT_EQ(number("SELECT count(*) FROM relevo.inbox"), 1);
}

TEST_F(ConsumerTest, killed_backends_cost_no_effect_and_no_attempt) {
  FunctionHandler handler(write_effects);
  options.max_attempts = 1;  // one burnt attempt would park
  auto subscription = consumer(handler);
  subscription->start();
  auto killer = database.connect();
  int written = 0;
  for (int round = 0; round < 10; ++round) {
    write(numbered(written, 300, 20));
    written += 300;
    killer.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND application_name = 'relevo'");
  }
  ASSERT_TRUE(eventually(60s, [&] { return effects() == written; })) << log.all();
  subscription->stop();
  EXPECT_EQ(repeated(), 0);
  EXPECT_EQ(disordered(), 0);
  EXPECT_EQ(number("SELECT count(*) FROM relevo.dead_message"), 0);
  EXPECT_GT(log.count("postgres"), 0U) << "no backend was hit";
}

TEST_F(ConsumerTest, partitions_move_between_members_without_a_second_effect) {
  FunctionHandler handler(write_effects);
  auto first = consumer(handler);
  auto second = consumer(handler);
  first->start();
  write(numbered(0, 1'000, 50));
  ASSERT_TRUE(eventually(30s, [&] { return effects() > 0; })) << log.all();
  second->start();
  write(numbered(1'000, 2'000, 50));
  ASSERT_TRUE(eventually(60s, [&] { return log.count("partitions assigned") >= 3; }));
  first->stop();
  write(numbered(3'000, 1'000, 50));
  ASSERT_TRUE(eventually(60s, [&] { return effects() == 4'000; })) << effects() << log.all();
  second->stop();
  EXPECT_EQ(repeated(), 0);
  EXPECT_EQ(disordered(), 0);
}

TEST_F(ConsumerTest, an_offset_out_of_range_stops_it_with_a_clear_error) {
  FunctionHandler handler(write_effects);
  write(numbered(0, 20, 20));
  auto subscription = consumer(handler);
  subscription->start();
  ASSERT_TRUE(eventually(30s, [&] { return effects() == 20; })) << log.all();
  subscription->stop();
  commit_offset(0, 1'000'000);
  subscription->start();
  ASSERT_TRUE(eventually(60s, [&] { return subscription->problem().has_value(); })) << log.all();
  EXPECT_NE(subscription->problem()->find("is not in the log"), std::string::npos)
      << *subscription->problem();
  EXPECT_NE(subscription->problem()->find(topic), std::string::npos);
  EXPECT_FALSE(subscription->ready());
  subscription->stop();
}

TEST_F(ConsumerTest, a_new_group_may_start_at_the_end_and_misses_nothing_from_then_on) {
  FunctionHandler handler(write_effects);
  start = kafka::ConsumerOptions::Start::kEnd;
  write(numbered(0, 20, 20));
  auto subscription = consumer(handler);
  subscription->start();
  ASSERT_TRUE(eventually(30s, [&] { return log.count("partitions assigned") == 1; })) << log.all();
  subscription->stop();
  // Written while nobody reads: the start was kept.
  write(numbered(20, 20, 20));
  subscription->start();
  ASSERT_TRUE(eventually(30s, [&] { return effects() == 20; })) << log.all();
  subscription->stop();
  EXPECT_EQ(number("SELECT min(value::int) FROM effect"), 20);
}

TEST_F(ConsumerTest, messages_become_jobs) {
  MessageJobs handler("order.paid");
  write(numbered(0, 500, 5));
  write(numbered(0, 100, 5));
  auto subscription = consumer(handler);
  subscription->start();
  ASSERT_TRUE(eventually(30s, [&] { return figures.count("duplicate") == 100; })) << log.all();
  ASSERT_TRUE(eventually(30s, [&] { return number("SELECT count(*) FROM relevo.job") == 500; }));
  subscription->stop();
  auto connection = database.connect();
  EXPECT_EQ(connection.value("SELECT concat_ws(' ', kind, payload, concurrency_key, "
                             "headers->>'event_id', headers->>'event_type', headers->>'topic') "
                             "FROM relevo.job WHERE headers->>'event_id' = 'e-7'"),
            "order.paid 7 key-2 e-7 OrderPaid " + topic);
  EXPECT_EQ(number("SELECT count(*) FROM (SELECT payload::text::int < lag(payload::text::int) OVER "
                   "(PARTITION BY concurrency_key ORDER BY id) AS late FROM relevo.job) j WHERE "
                   "late"),
            0);
}

TEST_F(ConsumerTest, tombstones_become_jobs_without_a_payload) {
  MessageJobs handler("order.gone");
  auto records = numbered(0, 3, 1);
  records[1].value.reset();
  records[2].value = " null ";
  write(records);
  auto subscription = consumer(handler);
  subscription->start();
  ASSERT_TRUE(eventually(30s, [&] { return number("SELECT count(*) FROM relevo.job") == 3; }))
      << log.all();
  subscription->stop();
  EXPECT_EQ(database.connect().value("SELECT string_agg(payload::text, ' ' ORDER BY id) FROM "
                                     "relevo.job"),
            "0 null null");
}

}  // namespace
}  // namespace relevo::worker
