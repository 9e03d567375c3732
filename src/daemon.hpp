// The process: starts what the configuration asks for, waits for a signal, stops it in reverse.
// Owns every part as a member, in the order of their start.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "relevo/config/config.hpp"
#include "relevo/core/log.hpp"

namespace relevo {

// Exit codes of the program (docs/configuration.md).
namespace exit_code {
inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;  // what was asked for did not succeed
inline constexpr int kUsage = 2;   // command line
inline constexpr int kMisconfigured =
    3;  // configuration, or wrong for good: password, database, schema
inline constexpr int kUnavailable =
    4;  // PostgreSQL or Kafka cannot be reached (commands, not `run`)
}  // namespace exit_code

class Daemon {
 public:
  // isolated_job: the command line that runs one job in a process of its own (isolation.hpp).
  Daemon(config::Config config, std::vector<std::string> isolated_job, core::Log& log);
  ~Daemon();

  // Blocks until SIGTERM or SIGINT (a second one ends the process at once). Returns the exit code.
  int run();

 private:
  struct Parts;

  config::Config config_;
  const std::vector<std::string> isolated_job_;
  core::Log& log_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace relevo
