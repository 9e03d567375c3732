// A worker process under measurement, relevo's or a peer's: what it tells (progress.hpp) and what
// it takes. One thread uses it.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/process.hpp"

namespace relevo::bench {

struct Sample {
  std::int64_t at = 0;   // microseconds since 1970
  std::int64_t ran = 0;  // jobs until then
};

class WorkerProcess {
 public:
  explicit WorkerProcess(std::vector<std::string> command);

  // Reads what it has told since. Throws std::runtime_error when it has ended.
  void update();
  // update() until it has run so many jobs; throws when it has not in time.
  void wait_until_ran(std::int64_t jobs,
                      std::chrono::milliseconds deadline = std::chrono::seconds(30));
  const std::vector<Sample>& samples() const { return samples_; }
  std::int64_t ran() const { return samples_.empty() ? 0 : samples_.back().ran; }

  double cpu_seconds() const;
  double peak_rss_mib() const;

  // SIGTERM; returns what it told last. Throws when it does not end by itself.
  nlohmann::json stop();
  void kill();  // SIGKILL

 private:
  void read();

  test::Process process_;
  std::size_t read_ = 0;
  std::string last_;
  std::vector<Sample> samples_;
};

// All jobs that several processes ran, in order of time: the sum of their counts.
std::vector<Sample> merged(const std::deque<WorkerProcess>& workers);

// The processor time of a PostgreSQL cluster: of the postmaster, the backends it has and those it
// had.
class ClusterTime {
 public:
  explicit ClusterTime(const std::string& url);
  double cpu_seconds() const;

 private:
  int postmaster_ = 0;
};

}  // namespace relevo::bench
