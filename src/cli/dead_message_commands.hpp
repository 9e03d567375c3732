// The commands below `relevo dead`, as in command.hpp, and what they share.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cli/command.hpp"
#include "cli/json_text.hpp"
#include "relevo/postgres/dead_messages.hpp"

namespace relevo::cli {

void add_dead_message_list(CLI::App& parent, Action& chosen);
void add_dead_message_show(CLI::App& parent, Action& chosen);
void add_dead_message_retry(CLI::App& parent, Action& chosen);
void add_dead_message_drop(CLI::App& parent, Action& chosen);

Json to_json(const postgres::DeadMessageRow& row);
std::string place_of(const postgres::DeadMessageRow& row);  // topic[partition]@offset

// Who does it, for the audit log: the user of this process.
std::string who();

// Of the ids asked for, those that are not in `done`: told on standard error, each as
// "message N <why>". Returns the exit code.
int report_missing(std::span<const std::int64_t> asked, std::span<const std::int64_t> done,
                   const std::string& why);

}  // namespace relevo::cli
