// The consumer's loop on a topic and a database in memory.
#include "relevo/worker/consumer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "support/consumer_fakes.hpp"
#include "support/eventually.hpp"
#include "support/message_consuming.hpp"
#include "support/message_source_contract.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;
using core::ErrorKind;
using core::IntegrationError;
using test::eventually;

TEST(FakeTopic, is_a_message_source) {
  test::FakeTopic topic;
  int written = 0;
  test::expect_message_source({[&] { return topic.open(); },
                               [&](const std::vector<std::string>& values) {
                                 for (const auto& value : values) {
                                   topic.write("k", std::to_string(written++), value);
                                 }
                               }});
}

class ConsumerLoopTest : public testing::Test {
 protected:
  ConsumerLoopTest() {
    options.subscription = "orders";
    options.concurrency = 3;
    options.backoff_base = 1ms;
    options.backoff_cap = 5ms;
    options.commit_interval = 1ms;
    options.drain = 2s;
  }

  void start(test::FunctionHandler::Function function) {
    handler.emplace(std::move(function));
    consumer = std::make_unique<Consumer>(
        options, Consumer::Ports{[this] { return topic.open(); },
                                 [this] { return database.open(); }, *handler, nullptr, figures,
                                 log, core::system_clock(), [this] { ++replaced; }});
    consumer->start();
  }
  ~ConsumerLoopTest() override {
    if (consumer) consumer->stop();
  }

  void write(int first, int count, int keys) {
    for (int i = first; i < first + count; ++i) {
      topic.write("k" + std::to_string(i % keys), "e" + std::to_string(i), std::to_string(i));
    }
  }
  static std::vector<Outcome> write_effects(std::span<const Message> messages, Context& context) {
    for (const auto& message : messages) {
      context.unit().query({"effect", ""}, {std::string(message.id)});
    }
    return std::vector<Outcome>(messages.size(), done());
  }
  // Each event exactly once.
  void expect_effects(int count) {
    auto effects = database.written();
    EXPECT_EQ(effects.size(), static_cast<std::size_t>(count));
    std::ranges::sort(effects);
    EXPECT_TRUE(std::ranges::adjacent_find(effects) == effects.end()) << "done twice";
  }

  test::FakeTopic topic;
  test::FakeDatabase database;
  test::ConsumerFigures figures;
  test::LogLines log;
  ConsumerOptions options;
  std::optional<test::FunctionHandler> handler;
  std::atomic<int> replaced = 0;
  std::unique_ptr<Consumer> consumer;
};

TEST_F(ConsumerLoopTest, offsets_follow_the_commit) {
  std::atomic<bool> open = false;
  database.before_commit = [&] {
    while (!open) std::this_thread::yield();
  };
  write(0, 10, 10);
  start(write_effects);
  EXPECT_FALSE(eventually(100ms, [&] { return topic.committed() > 0; }));
  open = true;
  EXPECT_TRUE(eventually(10s, [&] { return topic.committed() == 10; }));
  expect_effects(10);
}

TEST_F(ConsumerLoopTest, a_handler_over_its_time_is_asked_to_stop) {
  options.timeout = 20ms;
  write(0, 10, 10);
  start([](std::span<const Message> messages, Context& context) {
    if (messages[0].attempt > 1) return write_effects(messages, context);
    (void)eventually(20s, [&] { return context.stop().stop_requested(); });
    return std::vector<Outcome>(messages.size(), retry("asked to stop"));
  });
  EXPECT_TRUE(eventually(20s, [&] { return topic.committed() == 10; })) << log.all();
  expect_effects(10);
  EXPECT_NE(log.all().find("handler over its time limit is asked to stop"), std::string::npos);
  EXPECT_EQ(replaced, 0);
}

TEST_F(ConsumerLoopTest, a_handler_that_ignores_its_time_limit_costs_the_process) {
  options.timeout = 20ms;
  options.give_up = 30ms;
  write(0, 10, 10);
  start([this](std::span<const Message> messages, Context& context) {
    (void)eventually(20s, [&] { return replaced > 0; });
    return write_effects(messages, context);
  });
  EXPECT_TRUE(eventually(20s, [&] { return topic.committed() == 10; })) << log.all();
  EXPECT_EQ(replaced, 1) << "once, however many are late";
}

TEST_F(ConsumerLoopTest, a_commit_in_doubt_has_one_effect) {
  std::atomic<int> failures = 20;
  const auto lose = [&] {
    if (--failures >= 0) throw IntegrationError(ErrorKind::kDisconnected, "commit", "lost");
  };
  database.after_commit = lose;
  options.max_attempts = 1;
  write(0, 100, 10);
  start(write_effects);
  EXPECT_TRUE(eventually(20s, [&] { return topic.committed() == 100; })) << log.all();
  expect_effects(100);
  EXPECT_TRUE(database.parked.empty()) << "an attempt was burnt";
}

TEST_F(ConsumerLoopTest, a_database_that_is_away_burns_no_attempt) {
  std::atomic<int> failures = 20;
  database.before_commit = [&] {
    if (--failures >= 0) throw IntegrationError(ErrorKind::kDisconnected, "commit", "away");
  };
  options.max_attempts = 1;
  write(0, 100, 10);
  start(write_effects);
  EXPECT_TRUE(eventually(20s, [&] { return topic.committed() == 100; })) << log.all();
  expect_effects(100);
  EXPECT_TRUE(database.parked.empty());
}

TEST_F(ConsumerLoopTest, a_broken_source_is_opened_anew) {
  write(0, 50, 10);
  topic.fail(ErrorKind::kDisconnected);
  start(write_effects);
  EXPECT_TRUE(eventually(10s, [&] { return topic.committed() == 50; }));
  topic.fail(ErrorKind::kRejected);
  write(50, 50, 10);
  EXPECT_TRUE(eventually(10s, [&] { return topic.committed() == 100; }));
  expect_effects(100);
  EXPECT_FALSE(consumer->problem());
}

TEST_F(ConsumerLoopTest, what_only_a_person_can_help_with_stops_it) {
  topic.fail(ErrorKind::kMisconfigured);
  start(write_effects);
  EXPECT_TRUE(eventually(10s, [&] { return consumer->problem().has_value(); }));
  EXPECT_FALSE(consumer->ready());
  write(0, 1, 1);
  consumer->stop();
  expect_effects(0);
}

TEST_F(ConsumerLoopTest, one_that_throws_costs_the_others_few_transactions) {
  options.concurrency = 1;
  options.max_attempts = 1;
  write(0, 256, 256);
  start([](auto messages, auto& context) {
    for (const auto& message : messages) {
      if (message.id == "e77") throw 1;
    }
    return write_effects(messages, context);
  });
  EXPECT_TRUE(eventually(10s, [&] { return topic.committed() == 256; }));
  expect_effects(255);
  EXPECT_LE(database.transactions, 20);
  EXPECT_EQ(database.parked.size(), 1U);
}

// The attempts in the log of the dead message that lay at this offset.
std::vector<int> attempts_of(const test::FakeDatabase& database, std::int64_t offset) {
  const std::lock_guard lock(database.mutex);
  std::vector<int> attempts;
  const auto found = database.attempt_logs.find(offset);
  if (found == database.attempt_logs.end()) return attempts;
  for (const auto& failed : found->second) attempts.push_back(failed.attempt);
  return attempts;
}

TEST_F(ConsumerLoopTest, a_batch_that_is_tried_singly_counts_each_failure_once) {
  options.concurrency = 1;
  options.max_attempts = 3;
  write(0, 16, 16);
  std::atomic<int> batches = 0;
  start([&](auto messages, auto& context) {
    if (messages.size() > 1) ++batches;
    auto outcomes = write_effects(messages, context);
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const auto text = "attempt " + std::to_string(messages[i].attempt);
      if (messages[i].id == "e3") throw std::runtime_error(text);
      if (messages[i].id == "e5" || messages[i].id == "e6") outcomes[i] = retry(text);
    }
    return outcomes;
  });
  ASSERT_TRUE(eventually(10s, [&] { return topic.committed() == 16; })) << log.all();
  EXPECT_GT(batches, 0);
  expect_effects(13);
  EXPECT_EQ(figures.count("retried"), 6U);
  EXPECT_EQ(figures.count("dead"), 3U);
  for (const int offset : {3, 5, 6}) {
    EXPECT_EQ(attempts_of(database, offset), (std::vector<int>{1, 2, 3})) << offset;
    for (const auto& failed : database.attempt_logs[offset]) {
      EXPECT_EQ(failed.error, "attempt " + std::to_string(failed.attempt));
    }
    EXPECT_EQ(database.parked[offset], "exhausted: attempt 3");
  }
  EXPECT_EQ(database.attempt_logs.size(), 3U);
}

TEST_F(ConsumerLoopTest, a_dead_message_has_the_first_and_the_last_of_its_attempts) {
  options.max_attempts = 40;
  write(0, 1, 1);
  start([](auto, auto&) -> std::vector<Outcome> {
    throw std::runtime_error("first line\n" + std::string(5'000, 'x'));
  });
  ASSERT_TRUE(eventually(20s, [&] { return topic.committed() == 1; })) << log.all();
  EXPECT_EQ(attempts_of(database, 0), (std::vector<int>{1,  2,  3,  4,  5,  26, 27, 28, 29, 30,
                                                        31, 32, 33, 34, 35, 36, 37, 38, 39, 40}));
  auto last = core::WallTime{};
  for (const auto& failed : database.attempt_logs[0]) {
    EXPECT_EQ(failed.error, "first line " + std::string(1'013, 'x'));
    EXPECT_GE(failed.at, last);
    last = failed.at;
  }
  EXPECT_LE(core::system_clock().wall() - database.attempt_logs[0][0].at, 60s);
}

TEST_F(ConsumerLoopTest, a_message_that_could_not_be_parked_counts_no_attempt_more) {
  std::atomic<int> refused = 0;
  database.before_park = [&] {
    if (++refused < 4) throw IntegrationError(ErrorKind::kRejected, "park", "no room");
  };
  options.max_attempts = 2;
  write(0, 1, 1);
  std::atomic<int> calls = 0;
  start(
      [&](auto, auto&) { return std::vector<Outcome>{retry("call " + std::to_string(++calls))}; });
  ASSERT_TRUE(eventually(10s, [&] { return topic.committed() == 1; })) << log.all();
  EXPECT_EQ(calls, 5);
  EXPECT_EQ(attempts_of(database, 0), (std::vector<int>{1, 2}));
  EXPECT_EQ(database.attempt_logs[0][1].error, "call 5");
  EXPECT_EQ(database.parked[0], "exhausted: call 5");
}

TEST_F(ConsumerLoopTest, a_redrive_that_fails_is_added_to_the_attempts) {
  AttemptLog before;
  for (int i = 1; i <= 20; ++i) before.add({i, core::WallTime{} + i * 1s, "before"});
  const RecordHeader id{"id", "e9"};
  const RawRecord::Parts parts{"fake", 0, 9, "k", "1", {&id, 1}, {}};
  database.to_redrive = ParkedMessage{9, RawRecord(parts), 20, before};
  options.redrive_interval = 1ms;
  start([](std::span<const Message> messages, auto&) {
    return std::vector<Outcome>{dead("still " + std::to_string(messages[0].attempt))};
  });
  ASSERT_TRUE(eventually(10s, [&] { return !attempts_of(database, 9).empty(); })) << log.all();
  EXPECT_EQ(attempts_of(database, 9), (std::vector<int>{1,  2,  3,  4,  5,  7,  8,  9,  10, 11,
                                                        12, 13, 14, 15, 16, 17, 18, 19, 20, 21}));
  EXPECT_EQ(database.attempt_logs[9].back().error, "still 21");
}

TEST_F(ConsumerLoopTest, why_a_record_is_not_for_the_handler_is_a_sentence) {
  options.types = {"OrderPaid"};
  options.park_unknown = true;
  topic.write("k", "e0", "{");
  topic.write("k", "e1", "1");
  start(write_effects);
  ASSERT_TRUE(eventually(10s, [&] { return topic.committed() == 2; })) << log.all();
  EXPECT_EQ(database.parked[0], "undecodable: the record's value is not valid JSON");
  EXPECT_EQ(database.parked[1],
            "unknown_type: the message has no type, and only listed types are taken");
  EXPECT_EQ(attempts_of(database, 1), std::vector<int>{1});
}

TEST_F(ConsumerLoopTest, wrong_number_of_outcomes_is_a_failure) {
  options.max_attempts = 1;
  write(0, 3, 3);
  start([](auto, auto&) { return std::vector<Outcome>(7, done()); });
  EXPECT_TRUE(eventually(10s, [&] { return topic.committed() == 3; }));
  EXPECT_EQ(database.parked.size(), 3U);
  EXPECT_TRUE(database.written().empty());
}

TEST_F(ConsumerLoopTest, order_of_a_key_survives_failures_of_every_kind) {
  std::atomic<unsigned> turn = 0;
  options.max_attempts = 1'000;
  write(0, 600, 7);
  start([&](auto messages, auto& context) -> std::vector<Outcome> {
    const auto n = ++turn;
    if (n % 5 == 0) throw std::runtime_error("now and then");
    if (n % 7 == 0) throw IntegrationError(ErrorKind::kConflict, "write", "deadlock");
    auto outcomes = write_effects(messages, context);
    if (n % 3 == 0) outcomes.front() = retry("not yet");
    if (n % 11 == 0) outcomes.back() = snooze(1ms);
    return outcomes;
  });
  EXPECT_TRUE(eventually(30s, [&] { return topic.committed() == 600 || !database.parked.empty(); }))
      << log.all();
  std::map<int, int> last;
  for (const auto& effect : database.written()) {
    const int number = std::stoi(effect.substr(1));
    EXPECT_GE(number, last[number % 7]) << "a snoozed one may be repeated, never be late";
    last[number % 7] = number;
  }
}

TEST_F(ConsumerLoopTest, it_takes_no_more_than_it_may_hold) {
  std::atomic<bool> open = false;
  std::atomic<std::int64_t> calls = 0;
  options.held = {.messages = 100, .bytes = 64U << 20U};
  options.batch_size = 10;
  write(0, 5'000, 5'000);
  start([&](auto messages, auto& context) {
    ++calls;
    while (!open && !context.stop().stop_requested()) std::this_thread::yield();
    return write_effects(messages, context);
  });
  EXPECT_TRUE(eventually(10s, [&] { return calls == 3; }));
  open = true;
  EXPECT_TRUE(eventually(30s, [&] { return topic.committed() == 5'000; })) << log.all();
  expect_effects(5'000);
}

TEST_F(ConsumerLoopTest, stop_waits_for_what_is_at_work_and_hands_the_rest_back) {
  std::atomic<int> calls = 0;
  std::atomic<bool> open = false;
  options.batch_size = 1;
  options.concurrency = 2;
  write(0, 100, 100);
  start([&](auto messages, auto& context) {
    ++calls;
    while (!open) std::this_thread::yield();
    return write_effects(messages, context);
  });
  ASSERT_TRUE(eventually(10s, [&] { return calls == 2; }));
  std::thread stopping([&] { consumer->stop(); });
  std::this_thread::yield();
  open = true;
  stopping.join();
  const auto done = database.written().size();
  EXPECT_GE(done, 2U);
  EXPECT_LE(topic.committed(), static_cast<std::int64_t>(done));
  consumer->start();
  EXPECT_TRUE(eventually(10s, [&] { return topic.committed() == 100; }));
  expect_effects(100);
}

TEST_F(ConsumerLoopTest, it_may_be_started_and_stopped_at_any_time) {
  write(0, 2'000, 50);
  start(write_effects);
  for (int i = 0; i < 20; ++i) {
    consumer->stop();
    consumer->stop();
    consumer->start();
  }
  EXPECT_TRUE(eventually(30s, [&] { return topic.committed() == 2'000; }));
  expect_effects(2'000);
}

}  // namespace
}  // namespace relevo::worker
