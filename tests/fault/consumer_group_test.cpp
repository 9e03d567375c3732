// Members of a consumer group come, go, die and freeze while messages arrive, and messages are
// delivered again: one effect per event.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <optional>
#include <random>

#include "support/commit_reply_proxy.hpp"
#include "support/daemon.hpp"
#include "support/database.hpp"
#include "support/eventually.hpp"
#include "support/kafka_admin.hpp"
#include "support/message_consuming.hpp"
#include "support/report.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

constexpr int kKeys = 50;
constexpr auto kSession = 6'000ms;  // the shortest that Kafka takes
constexpr auto kLongerThanASession = kSession + 2s;

// Each message becomes a job, which nobody runs: a row of a table without a unique key on the event
// is its effect, in the transaction of its inbox row.
class ConsumerGroup : public testing::Test {
 protected:
  void SetUp() override {
    if (environment("RELEVO_TEST_KAFKA_KIND").value_or("kafka") != "kafka") {
      GTEST_SKIP() << "the mock cluster takes the length of a session for each change of a group";
    }
    migrate(database_.url());
    KafkaAdmin(kafka_).create_topic(topic_, 6);
    set_age("0 s");
  }

  std::unique_ptr<Daemon> member(const std::string& instance = {}, const std::string& url = {}) {
    return start(
        instance, url,
        {{"RELEVO_KAFKA_PROPERTIES", "session.timeout.ms=" + std::to_string(kSession.count()) +
                                         ",heartbeat.interval.ms=500"}});
  }
  // With the session that relevo sets by itself.
  std::unique_ptr<Daemon> member_by_default() { return start({}, {}, {}); }

  // Of the events that are written from now on.
  void set_age(const std::string& interval) {
    time_ = database_.connect().value(
        "SELECT to_char(now() AT TIME ZONE 'UTC' - $1::interval, "
        "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')",
        {interval});
  }

  // The next `count` events. The events of a key are numbered upwards.
  void write(int count) {
    write_numbers(written_, count);
    written_ += count;
  }
  // Events that were written before.
  void write_again(int first, int count) {
    write_numbers(first, count);
    again_ += count;
  }

  std::int64_t number(const std::string& sql) { return database_.connect().number(sql); }
  std::int64_t events() {
    return number("SELECT count(DISTINCT headers ->> 'event_id') FROM relevo.job");
  }
  // Of one process: what it counted before its death is gone with it.
  static int duplicates(Daemon& daemon) {
    return static_cast<int>(daemon.metric("relevo_inbox_duplicates_total").value_or(0));
  }

  void judge(const std::string& name) {
    const auto lost = written_ - events();
    const auto twice =
        number("SELECT count(*) - count(DISTINCT headers ->> 'event_id') FROM relevo.job");
    const auto disordered = number(
        "SELECT count(*) FROM (SELECT payload::text::int < max(payload::text::int) OVER (PARTITION "
        "BY concurrency_key ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS late "
        "FROM relevo.job) j WHERE late");
    report(name + ": events " + std::to_string(written_) + ", written again " +
           std::to_string(again_) + ", lost " + std::to_string(lost) + ", twice " +
           std::to_string(twice) + ", out of order " + std::to_string(disordered));
    EXPECT_EQ(lost, 0);
    EXPECT_EQ(twice, 0);
    EXPECT_EQ(disordered, 0);
    EXPECT_EQ(number("SELECT count(*) FROM relevo.inbox"), written_);
    EXPECT_EQ(number("SELECT count(*) FROM relevo.dead_message"), 0);
  }

  const std::string kafka_ = required_environment("RELEVO_TEST_KAFKA");
  Database database_{required_environment("RELEVO_TEST_POSTGRES")};
  const std::string topic_ = unique_name("storm-");
  const std::string group_ = unique_name("group-");
  int written_ = 0;
  int again_ = 0;

 private:
  std::unique_ptr<Daemon> start(const std::string& instance, const std::string& url,
                                Process::Environment environment) {
    environment["RELEVO_ROLES"] = "consumer";
    environment["RELEVO_SUBSCRIPTIONS"] =
        "[{name: " + group_ + ", topics: [" + topic_ + "], enqueue: effect}]";
    return std::make_unique<Daemon>(
        DaemonOptions{url.empty() ? database_.url() : url, kafka_, "none", instance, environment});
  }

  std::string time_;

  void write_numbers(int first, int count) {
    std::vector<TestRecord> records;
    for (int i = first; i < first + count; ++i) {
      auto record = event_record("key-" + std::to_string(i % kKeys), "e-" + std::to_string(i),
                                 "Happened", std::to_string(i));
      for (auto& [name, value] : record.headers) {
        if (name == "ce_time") value = time_;
      }
      records.push_back(std::move(record));
    }
    write_records(kafka_, topic_, records);
  }
};

TEST_F(ConsumerGroup, RedeliveredEventsHaveNoSecondEffectAndAreCounted) {
  auto first = member();
  write(600);
  ASSERT_TRUE(eventually(60s, [&] { return events() == 600; }))
      << first->process().standard_error();
  write_again(100, 400);
  EXPECT_TRUE(eventually(30s, [&] { return duplicates(*first) == 400; }));
  // Nor in another process, which has not seen them.
  first->process().kill();
  auto second = member();
  write_again(0, 600);
  write(100);
  ASSERT_TRUE(eventually(60s, [&] { return events() == 700; }))
      << second->process().standard_error();
  EXPECT_TRUE(eventually(30s, [&] { return duplicates(*second) >= 600; }));
  judge("events redelivered");
}

TEST_F(ConsumerGroup, PartitionsOfAMemberThatDiedGoOnWithinTheSession) {
  const auto consumed = [](Daemon& daemon) {
    return daemon.metric("relevo_messages_total", "done").value_or(0);
  };
  auto victim = member_by_default();
  auto survivor = member_by_default();
  // Until both have partitions.
  ASSERT_TRUE(eventually(
      60s,
      [&] {
        const auto before = std::pair(consumed(*victim), consumed(*survivor));
        write(100);
        return eventually(2s, [&] {
          return consumed(*victim) > before.first && consumed(*survivor) > before.second;
        });
      },
      100ms))
      << survivor->process().standard_error();
  ASSERT_TRUE(eventually(30s, [&] { return events() == written_; }));
  victim->process().kill();
  write(100);  // to all partitions
  const auto died = std::chrono::steady_clock::now();
  // 10 s of session (45 s by librdkafka), and what the group takes to divide its partitions anew.
  EXPECT_TRUE(eventually(25s, [&] { return events() == written_; }))
      << survivor->process().standard_error();
  const std::chrono::duration<double> stood = std::chrono::steady_clock::now() - died;
  judge("a consumer killed, its partitions stood " + std::to_string(stood.count()) + " s");
}

TEST_F(ConsumerGroup, EventsOfLastYearHaveNoSecondEffect) {
  set_age("1 year");  // far more than the inbox keeps
  auto first = member();
  write(600);
  ASSERT_TRUE(eventually(60s, [&] { return events() == 600; }))
      << first->process().standard_error();
  first->process().kill();
  auto second = member();  // tidies up when it starts
  write_again(0, 600);
  EXPECT_TRUE(eventually(60s, [&] { return duplicates(*second) >= 600; }))
      << second->process().standard_error();
  judge("events of last year redelivered");
}

TEST_F(ConsumerGroup, MembersThatDieStopAndFreezeLoseNothingAndRepeatNoEffect) {
  constexpr int kRounds = 16;
  // Two with names, which take their old place in the group, and two without.
  std::array<std::unique_ptr<Daemon>, 4> members;
  const auto start = [&](std::size_t i) {
    members[i] = member(i < 2 ? "member-" + std::to_string(i) : "");
  };
  for (std::size_t i = 0; i < members.size(); ++i) start(i);
  std::mt19937_64 random(std::random_device{}());
  using Clock = std::chrono::steady_clock;
  std::array<std::optional<Clock::time_point>, 4> frozen_until;
  int kills = 0, stops = 0, freezes = 0, repeated = 0;
  // How many are frozen still.
  const auto thaw = [&] {
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (!frozen_until[i] || Clock::now() < *frozen_until[i]) continue;
      members[i]->process().signal(SIGCONT);
      frozen_until[i].reset();
    }
    return std::count_if(frozen_until.begin(), frozen_until.end(),
                         [](const auto& until) { return until.has_value(); });
  };
  for (int round = 1; round <= kRounds; ++round) {
    write(400);
    if (round % 2 == 0) write_again(static_cast<int>(random() % 100), 50);
    const auto frozen = thaw();
    auto victim = random() % members.size();
    while (frozen_until[victim]) victim = (victim + 1) % members.size();
    if (round % 4 == 0 && frozen < 2) {
      ++freezes;
      members[victim]->process().signal(SIGSTOP);
      frozen_until[victim] = Clock::now() + kLongerThanASession;
    } else if (round % 4 == 2) {
      ++stops;
      EXPECT_TRUE(members[victim]->terminate()) << members[victim]->process().standard_error();
      start(victim);
    } else {
      ++kills;
      members[victim]->process().kill();
      start(victim);
    }
    // Often in the middle of a rebalance, now and then after one.
    (void)eventually(std::chrono::milliseconds(random() % 4'000),
                     [&] { return events() == written_; });
  }
  EXPECT_TRUE(eventually(2 * kLongerThanASession, [&] { return thaw() == 0; }));
  EXPECT_TRUE(eventually(90s, [&] { return events() == written_; }))
      << events() << " of " << written_ << '\n'
      << members[0]->process().standard_error();
  for (auto& each : members) {
    EXPECT_TRUE(each->process().running()) << each->process().standard_error();
    repeated += duplicates(*each);
  }
  EXPECT_GT(repeated, 0) << "nothing was delivered again";
  judge("consumers killed " + std::to_string(kills) + ", stopped " + std::to_string(stops) +
        ", frozen " + std::to_string(freezes) + " times");
}

TEST_F(ConsumerGroup, RepliesToCommitsLostRepeatNoEffect) {
  constexpr int kLost = 60;
  std::atomic<int> lost{0};
  CommitReplyProxy proxy(database_.url(), [&](const std::set<std::string>& statements) {
    thread_local std::mt19937_64 random(std::random_device{}());
    if (!statements.contains("relevo_inbox_seen")) return false;
    return lost < kLost && std::bernoulli_distribution(0.3)(random) && ++lost <= kLost;
  });
  auto one = member({}, proxy.url());
  auto two = member({}, proxy.url());
  EXPECT_TRUE(eventually(
      90s,
      [&] {
        write(100);
        return lost >= kLost;
      },
      100ms))
      << one->process().standard_error();
  EXPECT_TRUE(eventually(60s, [&] { return events() == written_; }))
      << one->process().standard_error();
  judge("consumer's replies to COMMIT lost " + std::to_string(proxy.lost()) + " times");
}

}  // namespace
}  // namespace relevo::test
