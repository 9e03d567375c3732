// A child process with its output in files. Killed and reaped when the object goes; the kernel
// kills it too when the thread that started it ends, so start it from one that lives as long as the
// test. One thread uses it, except for pid().
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/environment.hpp"

namespace relevo::test {

struct Exit {
  int code = -1;   // when it ended by itself
  int signal = 0;  // when a signal ended it
};

class Process {
 public:
  using Environment = std::map<std::string, std::string>;  // added to, or replacing, the test's own

  explicit Process(std::vector<std::string> command, const Environment& environment = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  bool running();
  void signal(int number);
  // nullopt: still running at the deadline.
  std::optional<Exit> wait(std::chrono::milliseconds deadline);
  void kill();  // SIGKILL, and waits for the end

  std::string standard_output() const;
  std::string standard_error() const;
  // The first line of standard error with `text` in it, from byte `offset` of the file on.
  std::optional<std::string> find_line(std::string_view text, std::size_t offset = 0) const;
  std::optional<std::string> wait_line(std::string_view text, std::chrono::milliseconds deadline,
                                       std::size_t offset = 0);

 private:
  TemporaryDirectory directory_;
  pid_t pid_ = -1;
  std::optional<Exit> exit_;
};

// Runs a command to its end. Throws std::runtime_error with its standard error when it fails or is
// not done at the deadline; returns its standard output.
std::string run(std::vector<std::string> command, const Process::Environment& environment = {},
                std::chrono::milliseconds deadline = std::chrono::seconds(60));

}  // namespace relevo::test
