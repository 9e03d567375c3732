// Ctrl-C and SIGTERM for commands that run until they are told to stop. Made before any other
// thread, which then leaves both signals to it; they act as usual again when it is gone.
#pragma once

#include <chrono>
#include <csignal>

namespace relevo::cli {

class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  // Whether it came, at the latest after `time`.
  [[nodiscard]] bool wait(std::chrono::milliseconds time);

 private:
  sigset_t signals_{};
  sigset_t before_{};
  bool came_ = false;
};

}  // namespace relevo::cli
