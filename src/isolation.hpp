// Runs jobs that are suspected of having killed their process in child processes of the same
// program
// (`relevo isolated-job`, not for people): whatever they do there harms no job beside them. A job
// goes to the child's standard input as a line of JSON, what it came to comes back as one on its
// standard output.
//
// After a crash there are many suspects and mostly one culprit, so a child serves one suspect after
// the other. The run whose crash would put its job into quarantine has a child of its own: no job
// is judged by what another one left behind.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "child_process.hpp"
#include "relevo/core/clock.hpp"
#include "relevo/worker/executor.hpp"

namespace relevo {

// run() is thread-safe: as many children as there are calls at once.
class ChildIsolation final : public worker::Isolation {
 public:
  // command: the child's arguments, of which the first is its program.
  ChildIsolation(std::vector<std::string> command, std::string worker, int quarantine_after,
                 const core::Clock& clock);
  ~ChildIsolation() override;

  worker::Ended run(const worker::Claim& claim, std::stop_token stop) override;
  void tidy(core::BootTime now) override;

 private:
  struct Idle {
    std::unique_ptr<ChildProcess> child;
    core::BootTime since;
  };

  std::unique_ptr<ChildProcess> take_idle();

  const std::vector<std::string> command_;
  const std::string worker_;
  const int quarantine_after_;
  const core::Clock& clock_;

  std::mutex mutex_;
  std::vector<Idle> idle_;  // the longest idle first
};

// The child's side. First of all, before any thread is started: keeps SIGTERM for the stop token,
// and leaves SIGINT, which a terminal sends to children as well, to the parent.
void prepare_isolated_job();
// Reads jobs, runs each, writes what it came to, until there are no more. Ends the process.
[[noreturn]] void run_isolated_jobs(
    const worker::Registry& registry,
    const std::function<std::unique_ptr<worker::UnitSource>(std::string worker)>& units,
    core::Log& log);

}  // namespace relevo
