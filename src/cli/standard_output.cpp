#include "cli/standard_output.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "cli/command.hpp"
#include "daemon.hpp"

namespace relevo::cli {

void StandardOutput::print(std::string_view text) {
  while (!text.empty()) {
    const auto written = ::write(descriptor_, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EPIPE) {
      throw ReaderGone{};
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      pollfd ready{descriptor_, POLLOUT, 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      throw Failure(exit_code::kFailed, "standard output: cannot be written: " +
                                            std::generic_category().message(errno) +
                                            "; free space or redirect it elsewhere");
    }
  }
}

bool StandardOutput::is_terminal() const { return ::isatty(descriptor_) == 1; }

}  // namespace relevo::cli
