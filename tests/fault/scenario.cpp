#include "scenario.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <sstream>
#include <unordered_set>

#include "support/environment.hpp"
#include "support/eventually.hpp"

namespace relevo::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

void summarize(const Verdict& verdict, const std::map<std::string, std::string>& notes) {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  std::ostringstream line;
  line << test->test_suite_name() << "." << test->name() << ": ";
  const auto report = verdict.report();
  line << report.substr(0, report.find('\n'));
  for (const auto& [name, value] : notes) line << " " << name << "=" << value;
  std::printf("%s\n", line.str().c_str());
  if (const auto file = environment("RELEVO_TEST_REPORT")) {
    std::ofstream(*file, std::ios::app) << line.str() << "\n";
  }
}

// All records of the topics, once each event was seen and the topics are at their end, or at the
// deadline. What is missing then the checker names.
std::vector<Received> read_all(TopicReader reader, const std::vector<Written>& events,
                               seconds deadline) {
  std::unordered_set<std::string> missing;
  for (const auto& event : events) missing.insert(event.event_id);
  std::vector<Received> records;
  (void)eventually(
      deadline,
      [&] {
        for (auto& record : reader.poll(milliseconds(100))) {
          for (const auto& [name, value] : record.headers) {
            if (name == "ce_id") missing.erase(value);
          }
          records.push_back(std::move(record));
        }
        return missing.empty() && reader.at_end();
      },
      milliseconds(1));
  return records;
}

// What the database says about events that did not arrive.
std::string inquest(Connection& connection, const std::vector<std::string>& lost) {
  constexpr std::size_t kExamples = 5;
  std::ostringstream out;
  for (std::size_t i = 0; i < std::min(lost.size(), kExamples); ++i) {
    const auto rows = connection.query(R"(
      SELECT o.id, o.xid, o.aggregate_type, o.aggregate_id, o.topic, p.shard, p.holder, p.epoch, p.ver, p.a, p.b,
             p.last_id, d.state, d.reason, d.error,
             (SELECT min(t.id) FROM relevo.tick t WHERE pg_visible_in_snapshot(o.xid, t.snapshot)) AS first_tick
      FROM relevo.outbox o
      JOIN relevo.position p ON p.shard = hashtextextended(o.aggregate_id, 0) & (p.shards - 1)
      LEFT JOIN relevo.dead_event d ON d.event_id = o.event_id
      WHERE o.event_id = $1)",
                                       {lost[i]});
    for (const auto& row : rows) {
      constexpr std::array kNames{"id",     "xid",    "type",  "aggregate", "topic", "shard",
                                  "holder", "epoch",  "ver",   "a",         "b",     "last_id",
                                  "dead",   "reason", "error", "first_tick"};
      out << "\n  " << lost[i];
      for (std::size_t c = 0; c < row.size(); ++c) {
        if (row[c]) out << " " << kNames[c] << "=" << *row[c];
      }
    }
  }
  return std::move(out).str();
}

}  // namespace

Servers shared_servers() {
  return {required_environment("RELEVO_TEST_POSTGRES"), required_environment("RELEVO_TEST_KAFKA")};
}

Scenario::Scenario(Servers servers)
    : servers_(std::move(servers)), database_(servers_.postgres), topic_prefix_(unique_name("t")) {
  migrate(database_.url());
  auto connection = connect();
  create_truth(connection);
}

Scenario::~Scenario() = default;

std::unique_ptr<Daemon> Scenario::relay(const std::string& instance,
                                        Process::Environment environment) const {
  environment.emplace("RELEVO_RELAY_LEASE_TTL", kLongLease);
  environment.emplace("RELEVO_RELAY_MAX_IN_FLIGHT", std::to_string(kInFlight));
  return std::make_unique<Daemon>(DaemonOptions{database_.url(), servers_.kafka, topic_prefix_,
                                                instance, std::move(environment)});
}

Load& Scenario::load(LoadOptions options) {
  options.url = database_.url();
  options.topic_prefix = topic_prefix_;
  std::printf("seed %llu\n", static_cast<unsigned long long>(options.seed));
  load_ = std::make_unique<Load>(std::move(options));
  load_->start();
  return *load_;
}

TopicReader Scenario::reader(const std::vector<std::string>& aggregate_types) const {
  std::vector<std::string> topics;
  for (const auto& type : aggregate_types) topics.push_back(topic(type));
  return {servers_.kafka, std::move(topics)};
}

std::map<std::string, int> Scenario::holders() const {
  std::map<std::string, int> result;
  for (const auto& row : connect().query("SELECT holder, count(*) FROM relevo.position "
                                         "WHERE expires > clock_timestamp() GROUP BY holder")) {
    result[row[0].value_or("")] = std::stoi(*row[1]);
  }
  return result;
}

int Scenario::shards() const {
  return static_cast<int>(connect().number("SELECT count(*) FROM relevo.position"));
}

bool Scenario::wait_holds_all(const std::string& instance, milliseconds deadline) const {
  const std::map<std::string, int> all{{instance, shards()}};
  return eventually(deadline, [&] { return holders() == all; });
}

bool Scenario::wait_progress(milliseconds deadline) const {
  auto connection = connect();
  const auto sum = [&] { return connection.number("SELECT sum(b) FROM relevo.position"); };
  const auto before = sum();
  return eventually(deadline, [&] { return sum() > before; });
}

Verdict Scenario::finish(const std::vector<Daemon*>& relays,
                         const std::map<std::string, std::string>& notes, seconds deadline) {
  auto all_notes = notes;
  if (load_) {
    const auto counts = load_->stop();
    EXPECT_TRUE(counts.refused.empty())
        << counts.refused.size() << " refused, e.g. " << counts.refused[0];
    EXPECT_GT(counts.committed, 0U);
    all_notes["transactions"] = std::to_string(counts.committed);
    all_notes["in_doubt"] = std::to_string(counts.commits_in_doubt);
    all_notes["seed"] = std::to_string(load_->seed());
  }
  auto connection = connect();
  const auto events = read_truth(connection);
  const std::vector<std::string> topics{topic_prefix_ + ".*"};
  (void)read_all({servers_.kafka, topics}, events, deadline);
  for (auto* relay : relays) {
    const auto exit = relay->terminate();
    EXPECT_TRUE(exit && exit->code == 0) << relay->process().standard_error();
  }
  // Again from the start: a stopping relay may have sent more.
  const auto records = read_all({servers_.kafka, topics}, events, deadline);
  const auto verdict = check_history(events, records);
  summarize(verdict, all_notes);
  EXPECT_TRUE(verdict.sound()) << verdict.report() << inquest(connection, verdict.lost);
  if (!verdict.sound()) {
    for (auto* relay : relays) std::printf("%s\n", relay->process().standard_error().c_str());
  }
  return verdict;
}

}  // namespace relevo::test
