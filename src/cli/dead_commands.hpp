// The commands below `outbox dead`, as in command.hpp, and what retry and skip share.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cli/command.hpp"
#include "relevo/postgres/inspector.hpp"

namespace relevo::cli {

void add_dead_list(CLI::App& parent, Action& chosen);
void add_dead_retry(CLI::App& parent, Action& chosen);
void add_dead_skip(CLI::App& parent, Action& chosen);

struct Declined {
  std::int64_t id = 0;
  std::string why;  // and what to do
};

// Which of the events asked for are to be changed, and why the others are not.
struct DeadChoice {
  std::vector<std::int64_t> ids;
  std::vector<Declined> declined;
};

// `found`: what the database knows of `asked`, in any order.
DeadChoice choose_to_retry(std::span<const std::int64_t> asked,
                           std::span<const postgres::DeadEventChoice> found);
DeadChoice choose_to_skip(std::span<const std::int64_t> asked,
                          std::span<const postgres::DeadEventChoice> found);

// Tells what was not done, and returns the exit code: kFailed if that is anything.
int report_declined(std::span<const Declined> declined);

// Events changed, as one JSON object {verb: [ids], "declined": [{id, why}]}.
std::string dead_json(const char* verb, std::span<const std::int64_t> ids,
                      std::span<const Declined> declined);

// At most so many rows are read or changed by one statement.
inline constexpr int kDeadBatch = 1'000;

}  // namespace relevo::cli
