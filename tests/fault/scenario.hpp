// One fault test's world: a fresh migrated database, topics of its own, replicas, writers, and the
// judgement at the end: everything committed is in Kafka, once or as often as the fault allows, in
// order, unchanged.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/daemon.hpp"
#include "support/database.hpp"
#include "support/history_checker.hpp"
#include "support/load.hpp"
#include "topic_reader.hpp"

namespace relevo::test {

struct Servers {
  std::string postgres;
  std::string kafka;
};
Servers shared_servers();

class Scenario {
 public:
  explicit Scenario(Servers servers = shared_servers());
  ~Scenario();

  const Servers& servers() const { return servers_; }
  const Database& database() const { return database_; }
  const std::string& url() const { return database_.url(); }
  const std::string& topic_prefix() const { return topic_prefix_; }
  std::string topic(const std::string& aggregate_type) const {
    return topic_prefix_ + "." + aggregate_type;
  }
  Connection connect() const { return database_.connect(); }

  // A replica with at most kInFlight events between PostgreSQL and Kafka.
  static constexpr int kInFlight = 500;
  // What one crash may send again: in flight, or acknowledged since the last save, when a replica
  // works off what was committed while nobody held its shards.
  static constexpr std::size_t kAgainPerCrash = 2000;
  // A busy machine stands still for seconds, and a replica that loses its lease to that repeats
  // events: the short one is for all replicas of a test in which one dies or freezes.
  static constexpr const char* kLongLease = "20s";
  static constexpr const char* kShortLease = "2s";
  static Process::Environment short_lease() { return {{"RELEVO_RELAY_LEASE_TTL", kShortLease}}; }
  // The lease is the long one, unless `environment` says otherwise.
  std::unique_ptr<Daemon> relay(const std::string& instance,
                                Process::Environment environment = {}) const;

  // Starts writers; `options` without url and topics.
  Load& load(LoadOptions options = {});
  TopicReader reader(const std::vector<std::string>& aggregate_types) const;

  // Shards whose lease is running, by holder.
  std::map<std::string, int> holders() const;
  int shards() const;
  [[nodiscard]] bool wait_holds_all(const std::string& instance,
                                    std::chrono::milliseconds deadline) const;
  // Waits until relays have delivered something: a position was saved beyond where it stands now.
  [[nodiscard]] bool wait_progress(std::chrono::milliseconds deadline) const;

  // Events that are committed in PostgreSQL and stand in Kafka, the end of the run: stops the
  // writers, waits until all they committed arrived, stops `relays` and reads the topics once more.
  // Fails the test unless the history is sound and every relay exits with 0. Prints one line, also
  // to RELEVO_TEST_REPORT.
  Verdict finish(const std::vector<Daemon*>& relays,
                 const std::map<std::string, std::string>& notes = {},
                 std::chrono::seconds deadline = std::chrono::seconds(60));

 private:
  Servers servers_;
  Database database_;
  std::string topic_prefix_;
  std::unique_ptr<Load> load_;
};

}  // namespace relevo::test
