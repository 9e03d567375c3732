// One job test's world: a fresh migrated database with the tables of test_worker.cpp, workers as
// processes, writers that enqueue, and the judgement at the end.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/database.hpp"
#include "support/process.hpp"

namespace relevo::test {

class JobWorld {
 public:
  // server: superuser URI of any database; empty: the one all tests share.
  explicit JobWorld(std::string server = {});

  const std::string& url() const { return database_.url(); }
  Connection connect() const { return database_.connect(); }

  // Workers started from now on reach the database by another way.
  void lead_workers(std::string url) { worker_url_ = std::move(url); }
  // extra: more options of test_worker.
  std::unique_ptr<Process> worker(const std::string& name, std::vector<std::string> extra = {},
                                  const Process::Environment& environment = {}) const;
  [[nodiscard]] bool wait_holds_lanes(const std::string& worker, int least,
                                      std::chrono::milliseconds deadline) const;
  // Whether no job is left but the dead and the quarantined.
  [[nodiscard]] bool wait_all_ended(std::chrono::milliseconds deadline) const;
  std::int64_t number(const std::string& sql) const;

  // Every job that was committed (test_job names them) ended: completed, once, with one effect if
  // its kind is `audit`. Returns what is wrong, nothing when all is well, and prints one line, also
  // to RELEVO_TEST_REPORT.
  std::string judge(const std::string& name) const;

 private:
  Database database_;
  std::string worker_url_;
};

// Enqueues `audit` and `run` jobs from several connections, some in transactions that commit late
// or roll back, and writes what it committed to test_job in the same transaction.
class JobWriters {
 public:
  JobWriters(const JobWorld& world, int threads, std::chrono::milliseconds pause);
  ~JobWriters();
  void stop();
  std::uint64_t committed() const { return committed_; }

 private:
  void write(const std::string& url, std::uint64_t seed, std::chrono::milliseconds pause);

  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> committed_{0};
  std::vector<std::thread> threads_;
};

}  // namespace relevo::test
