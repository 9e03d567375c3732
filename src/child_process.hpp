// A child process that is asked one line at a time and answers with one line. SIGPIPE has to be
// ignored by the process.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace relevo {

// Used by one thread at a time.
class ChildProcess {
 public:
  // command: the arguments, of which the first is the program. Throws std::system_error.
  explicit ChildProcess(const std::vector<std::string>& command);
  // Kills it if it still runs, and waits for its end.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  struct Reply {
    std::optional<std::string> line;  // none: it ended, or said more than a MiB
    bool told_to_stop = false;
  };
  // Blocks until it has answered or ended. At a stop it gets SIGTERM, after another 5 s SIGKILL.
  Reply ask(std::string line, const std::stop_token& stop);

  // Whether it has ended, of itself or by somebody else.
  bool ended();
  // "its process was ended by signal 6 (Aborted)". Waits for its end: after a Reply without a line.
  std::string how_it_ended();

 private:
  class Pipe;

  void wait();
  // How much of the text was written; all of it if nobody reads any more.
  std::size_t feed(std::string_view text);
  // False: it has closed its end.
  bool listen(std::string& text);

  std::unique_ptr<Pipe> to_;
  std::unique_ptr<Pipe> from_;
  pid_t pid_ = 0;
  std::optional<int> status_;  // of waitpid
};

}  // namespace relevo
