// Where commands put their data. Written at once, so that a follower sees each line; a reader that
// has gone away (`| head`) ends the command with ReaderGone, which is no failure. SIGPIPE has to be
// ignored.
#pragma once

#include <string_view>

namespace relevo::cli {

struct ReaderGone {};

class StandardOutput {
 public:
  explicit StandardOutput(int descriptor = 1) : descriptor_(descriptor) {}

  // Throws ReaderGone, or Failure when it cannot be written (disk full).
  void print(std::string_view text);
  bool is_terminal() const;

 private:
  int descriptor_;
};

}  // namespace relevo::cli
