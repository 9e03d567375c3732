#include "cli/page.hpp"
#include "cli/whole_number.hpp"

#include <CLI/App.hpp>

namespace relevo::cli {

void add_page_options(CLI::App& command, PageOptions& page) {
  command.add_option("--after", page.after, "Only ids larger than this")
      ->type_name("ID")
      ->check(whole_number(0, std::numeric_limits<std::int64_t>::max()));
  command.add_option("--limit", page.limit, "At most so many (100)")
      ->type_name("N")
      ->check(whole_number(1, 1'000'000));
  command.add_flag("--json", page.json, "One JSON array");
}

void tell_of_more(std::int64_t last_id) {
  complain("there are more: add --after " + std::to_string(last_id) + ", or a larger --limit");
}

}  // namespace relevo::cli
