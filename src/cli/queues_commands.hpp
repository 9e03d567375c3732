// The commands below `relevo queues`, as in command.hpp, and what they share with `relevo status`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.hpp"
#include "cli/json_text.hpp"
#include "relevo/postgres/job_admin.hpp"

namespace relevo::cli {

void add_queues_list(CLI::App& parent, Action& chosen);
void add_queues_pause(CLI::App& parent, Action& chosen);
void add_queues_resume(CLI::App& parent, Action& chosen);
void add_queues_concurrency(CLI::App& parent, Action& chosen);
void add_queues_rate(CLI::App& parent, Action& chosen);
void add_queues_weight(CLI::App& parent, Action& chosen);

struct QueueLine {
  std::string queue;
  std::int64_t ready = 0;
  std::int64_t running = 0;
  std::optional<core::WallTime> oldest;
  std::int64_t dead = 0;
  bool exact = true;
  bool paused = false;
  std::optional<int> concurrency;
};

// Everything of one moment. pauses: those that are not of one whole queue.
struct QueuesLook {
  core::WallTime now;
  std::vector<QueueLine> queues;
  std::vector<worker::QueueState> pauses;
};

QueuesLook look_at_queues(postgres::JobAdmin& admin);
// Queues by name: those with jobs, and those with a pause or a limit.
std::vector<QueueLine> queue_lines(const std::vector<postgres::QueueFigures>& figures,
                                   const std::vector<std::pair<std::string, std::int64_t>>& running,
                                   const std::vector<worker::QueueState>& states);

std::string queues_text(const QueuesLook& look);
Json queues_json(const QueuesLook& look);  // an array
Json pauses_json(const QueuesLook& look);  // an array

// "none", or a number above zero. Throws UsageError in the argument's name.
std::optional<int> parse_limit(const char* argument, const std::string& text);
std::optional<double> parse_rate(const char* argument, const std::string& text);

}  // namespace relevo::cli
