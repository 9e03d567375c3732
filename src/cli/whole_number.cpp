#include "cli/whole_number.hpp"

#include <charconv>
#include <string>

namespace relevo::cli {

CLI::Validator whole_number(std::int64_t least, std::int64_t most) {
  return {[least, most](std::string& text) -> std::string {
            std::int64_t value = 0;
            const auto* begin = text.data() + (text.starts_with('+') ? 1 : 0);
            const auto* end = text.data() + text.size();
            const auto [rest, error] = std::from_chars(begin, end, value);
            if (error == std::errc{} && rest == end && value >= least && value <= most) return {};
            return "is " + text + "; give a whole number from " + std::to_string(least) + " to " +
                   std::to_string(most);
          },
          ""};
}

}  // namespace relevo::cli
