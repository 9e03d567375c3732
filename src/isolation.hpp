// Runs a job that is suspected of having killed its process in a child process of the same program
// (`relevo isolated-job`, not for people): whatever it does there harms no other job. The job goes
// to the child's standard input as JSON, what it came to comes back on its standard output.
#pragma once

#include <string>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/worker/executor.hpp"

namespace relevo {

class ChildIsolation final : public worker::Isolation {
 public:
  // command: the child's arguments, of which the first is its program.
  ChildIsolation(std::vector<std::string> command, std::string worker, const core::Clock& clock)
      : command_(std::move(command)), worker_(std::move(worker)), clock_(clock) {}

  worker::Ended run(const worker::Claim& claim, std::stop_token stop) override;

 private:
  const std::vector<std::string> command_;
  const std::string worker_;
  const core::Clock& clock_;
};

// The child's side. First of all, before any thread is started: keeps SIGTERM for the stop token.
void prepare_isolated_job();
// Reads the job, runs it, writes what it came to. Returns the exit code.
int run_isolated_job(
    const worker::Registry& registry,
    const std::function<std::unique_ptr<worker::UnitSource>(std::string worker)>& units,
    core::Log& log);

}  // namespace relevo
