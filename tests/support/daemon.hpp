// One replica of relevo as a child process, asked through its own HTTP endpoints and log. A test
// starts as many as it wants on the same database.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "support/process.hpp"

namespace relevo::test {

struct DaemonOptions {
  std::string database_url;
  std::string kafka_bootstrap;
  std::string topic_prefix;          // events of type T go to <topic_prefix>.T
  std::string instance;              // name of this replica; empty: chosen by the daemon
  Process::Environment environment;  // RELEVO_…, beyond and instead of the defaults of the tests
};

// Runs `relevo migrate`.
void migrate(const std::string& database_url);

class Daemon {
 public:
  explicit Daemon(const DaemonOptions& options);

  // Whether /readyz said yes in time.
  [[nodiscard]] bool wait_ready(std::chrono::milliseconds deadline = std::chrono::seconds(20));
  bool ready();
  struct Answer {
    int status = 0;
    std::string body;
  };
  std::optional<Answer> get(const std::string& path);  // nullopt: no answer
  // Sum of the samples of `name` whose labels contain `label`; nullopt: no answer or no such
  // sample.
  std::optional<double> metric(std::string_view name, std::string_view label = "");

  // SIGTERM, and waits.
  std::optional<Exit> terminate(std::chrono::milliseconds deadline = std::chrono::seconds(30));

  Process& process() { return process_; }

 private:
  // The port it listens on, as it logged it; 0: not yet.
  int port();

  Process process_;
  int port_ = 0;
};

}  // namespace relevo::test
