// What scripts/bench hands to the measurements, and what is the same for all of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace relevo::bench {

inline constexpr std::int32_t kPartitions = 8;
inline constexpr int kShards = 8;
inline constexpr int kAggregates = 10'000;

struct Options {
  std::string postgres;  // superuser URI; each run makes a database of its own
  std::string kafka;     // bootstrap
  std::string kafka_version;
  int runs = 1;
  std::int64_t events = 1'000'000;
  int rate = 1'000;
  std::chrono::seconds duration{20};
  int writers = 8;

  std::string worker;    // relevo_bench_worker
  std::string consumer;  // relevo_bench_consumer
  std::string peers;     // folder with those that scripts/bench installed
  std::int64_t jobs = 200'000;
  std::int64_t backlog = 5'000'000;  // of low priority, behind which one of high priority arrives
  std::int64_t future = 1'000'000;   // not due yet
  std::vector<std::string> only;     // empty: all
};

}  // namespace relevo::bench
