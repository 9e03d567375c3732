// A page of a list in the order of ids: its options, and how it is printed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/command.hpp"
#include "cli/json_text.hpp"

namespace relevo::cli {

struct PageOptions {
  std::int64_t after = 0;
  int limit = 100;
  bool json = false;

  // One more than asked for tells whether there are more.
  int rows_to_read() const { return limit + 1; }
};

// --after, --limit, --json
void add_page_options(CLI::App& command, PageOptions& page);
void tell_of_more(std::int64_t last_id);

// rows: up to rows_to_read(), each with its `id`. As one JSON array or as a table.
template <class Row>
void print_page(const Invocation& invocation, const PageOptions& page, std::vector<Row> rows,
                Json (*json_of)(const Row&), std::string (*table_of)(const std::vector<Row>&)) {
  const bool more = rows.size() > static_cast<std::size_t>(page.limit);
  if (more) rows.pop_back();
  if (page.json) {
    Json all = Json::array();
    for (const auto& row : rows) all.push_back(json_of(row));
    invocation.out.print(json_line(all));
  } else {
    invocation.out.print(table_of(rows));
  }
  if (more) tell_of_more(rows.back().id);
}

}  // namespace relevo::cli
