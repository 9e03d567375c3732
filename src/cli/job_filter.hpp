// Which jobs a command means: the options that choose them, and the filter they make, as
// relevo.check_filter() takes it. Mistakes are UsageError.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "relevo/core/clock.hpp"

namespace CLI {
class App;
}

namespace relevo::cli {

struct JobFilter {
  std::optional<std::string> state;
  std::optional<std::string> kind;
  std::optional<std::string> queue;
  std::optional<std::string> key;
  std::optional<std::string> unique_key;
  std::optional<std::string> tenant;
  std::optional<std::string> payload;
  std::optional<std::string> payload_path;
  std::optional<std::string> before;
  std::optional<std::string> after;

  bool empty() const;
  // Whether it is one job by its unique key and nothing else.
  bool only_unique_key() const;
  std::string json() const;
};

// What may be asked of jobs that are listed, and of those that are changed: not of finished ones.
enum class FilterOf { kAll, kUnfinished };

// The filter has to live as long as the command.
void add_filter_options(CLI::App& command, JobFilter& filter, FilterOf of);

// Throws UsageError in the option's name unless it is JSON.
void require_json(std::string_view option, const std::string& text);
// 2026-03-29T09:00:00+02:00
core::WallTime parse_time_option(std::string_view option, const std::string& text);

}  // namespace relevo::cli
