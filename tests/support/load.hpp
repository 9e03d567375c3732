// Writers as the products have them, only nastier: concurrent transactions that lock their
// aggregates, then publish events with rising versions, and pause, roll back, use savepoints, stay
// open for seconds. What they committed stands in the truth table.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/truth.hpp"

namespace relevo::test {

struct LoadOptions {
  std::string url;
  std::string topic_prefix;  // events of type T are expected in <topic_prefix>.T
  unsigned writers = 16;
  unsigned aggregates = 200;
  std::chrono::milliseconds longest_pause{100};  // between insert and commit
  double long_transactions = 0.01;  // share of transactions that stay open for 1 to 3 s
  std::uint64_t seed = std::random_device{}();
};

struct LoadCounts {
  std::uint64_t committed = 0;  // transactions
  std::uint64_t rolled_back = 0;
  std::uint64_t connections_lost = 0;
  std::uint64_t commits_in_doubt = 0;
  std::vector<std::string> refused;  // errors that are no lost connection: none is expected
};

class Load {
 public:
  explicit Load(LoadOptions options);  // creates its aggregates; needs create_truth()
  ~Load();

  void start();
  LoadCounts stop();  // lets open transactions end; may be called twice

  std::uint64_t committed() const { return committed_; }
  std::uint64_t connections_lost() const { return connections_lost_; }
  std::uint64_t seed() const { return options_.seed; }
  // All topics its events go to.
  std::vector<std::string> topics() const;

 private:
  class Writer;

  const LoadOptions options_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> committed_{0};
  std::atomic<std::uint64_t> rolled_back_{0};
  std::atomic<std::uint64_t> connections_lost_{0};
  std::atomic<std::uint64_t> commits_in_doubt_{0};
  std::mutex mutex_;
  std::vector<std::string> refused_;
  std::vector<std::thread> threads_;
};

}  // namespace relevo::test
