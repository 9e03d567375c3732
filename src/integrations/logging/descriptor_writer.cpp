#include "descriptor_writer.hpp"

#include <poll.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

namespace relevo::logging {

bool DescriptorWriter::write(std::string_view line) {
  // After a line that was cut off the next one starts afresh.
  const bool written = (!inside_line_ || write_all("\n")) && write_all(line);
  stalled_ = !written;
  if (!written) ++dropped_;
  return written;
}

std::size_t DescriptorWriter::take_dropped() { return std::exchange(dropped_, 0); }

bool DescriptorWriter::write_all(std::string_view bytes) {
  using std::chrono::steady_clock;
  const auto deadline = steady_clock::now() + (stalled_ ? std::chrono::milliseconds(0) : patience_);
  while (!bytes.empty()) {
    // The descriptor is shared with other processes, so it cannot be made non-blocking. A pipe that
    // poll() calls writable takes PIPE_BUF bytes without blocking.
    if (!wait_writable(deadline)) return false;
    const ssize_t written =
        ::write(descriptor_, bytes.data(), std::min<std::size_t>(bytes.size(), PIPE_BUF));
    if (written < 0) {
      const bool again = errno == EINTR || errno == EAGAIN;
      if (again && steady_clock::now() < deadline) continue;
      return false;
    }
    inside_line_ = bytes[static_cast<std::size_t>(written) - 1] != '\n';
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

bool DescriptorWriter::wait_writable(std::chrono::steady_clock::time_point deadline) const {
  using namespace std::chrono;
  for (;;) {
    const auto left = std::max(ceil<milliseconds>(deadline - steady_clock::now()), milliseconds(0));
    pollfd wanted{descriptor_, POLLOUT, 0};
    const int ready = ::poll(&wanted, 1, static_cast<int>(left.count()));
    if (ready > 0) return (wanted.revents & (POLLERR | POLLHUP | POLLNVAL)) == 0;
    if (ready == 0 || errno != EINTR) return false;
  }
}

}  // namespace relevo::logging
