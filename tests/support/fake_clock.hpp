// A wall clock that a test sets, for the processes it starts with environment(): by libfaketime.
// Their monotonic clocks go on as the machine's. Programs of a sanitized build do not bear it.
#pragma once

#include <chrono>
#include <string>

#include "support/environment.hpp"
#include "support/process.hpp"

namespace relevo::test {

class FakeClock {
 public:
  explicit FakeClock(std::chrono::seconds ahead = std::chrono::seconds(0));

  // At once, also for those that run.
  void set_ahead(std::chrono::seconds ahead);
  Process::Environment environment() const;

 private:
  TemporaryDirectory directory_{"relevo-clock-"};
};

}  // namespace relevo::test
