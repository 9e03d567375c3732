// Port: a handler outside this process, reached without a thread per call. Thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

#include "relevo/worker/job.hpp"
#include "relevo/worker/outcome.hpp"

namespace relevo::worker {

class RemoteHandler {
 public:
  // Called exactly once per start(), from a thread of the handler's own; must not block.
  using Finished = std::function<void(Outcome)>;

  virtual ~RemoteHandler() = default;

  // How many more calls it takes now; 0 while its circuit breaker is open: nothing is claimed for
  // it then, so an endpoint that is down burns no attempts.
  virtual std::size_t room() const = 0;

  // Whether the next call is to find out if the other side is well again. Any job may make it:
  // those whose turn it is may be the very ones that it cannot stand.
  virtual bool probes() const = 0;

  // Copies what it needs of `job`. Answers Retry after `timeout`.
  virtual void start(const Job& job, std::chrono::milliseconds timeout, Finished finished) = 0;

  // Gives the call up, if it is still under way; Finished is called all the same.
  virtual void abandon(const Job& job) = 0;
};

}  // namespace relevo::worker
