// Writes whole lines to a file descriptor without ever waiting long for its reader. Counts what it
// had to drop. One thread at a time.
#pragma once

#include <chrono>
#include <cstddef>
#include <string_view>

namespace relevo::logging {

class DescriptorWriter {
 public:
  DescriptorWriter(int descriptor, std::chrono::milliseconds patience)
      : descriptor_(descriptor), patience_(patience) {}

  // The line with its line end. False: dropped, wholly or from some point on.
  bool write(std::string_view line);

  // Lines dropped since the last call.
  std::size_t take_dropped();

 private:
  bool write_all(std::string_view bytes);
  bool wait_writable(std::chrono::steady_clock::time_point deadline) const;

  int descriptor_;
  std::chrono::milliseconds patience_;
  bool stalled_ = false;
  bool inside_line_ = false;
  std::size_t dropped_ = 0;
};

}  // namespace relevo::logging
