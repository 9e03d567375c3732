#include "cli/dead_message_commands.hpp"

#include <pwd.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <algorithm>
#include <memory>

#include "cli/printable.hpp"
#include "cli/table.hpp"
#include "daemon.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

constexpr auto kFooter = R"(
A message that its handler refuses for good, or fails too often, or that cannot be decoded is parked here;
later messages of its key go on. Everything stays until somebody retries or drops it.

Typical:
  relevo dead list --subscription orders
  relevo dead show 17
  relevo dead retry 17 18                           the daemon runs them again, each at most once
  relevo dead drop 17 --reason "order was deleted"  never; the reason stands in the audit log)";

}  // namespace

void add_dead_messages(CLI::App& parent, Action& chosen) {
  auto* command =
      parent.add_subcommand("dead", "Messages that could not be consumed: list, show, retry, drop");
  command->footer(kFooter);
  command->require_subcommand(1);
  add_dead_message_list(*command, chosen);
  add_dead_message_show(*command, chosen);
  add_dead_message_retry(*command, chosen);
  add_dead_message_drop(*command, chosen);
}

Json to_json(const postgres::DeadMessageRow& row) {
  return {{"id", row.id},
          {"subscription", row.subscription},
          {"state", row.retry_since ? "retry" : "parked"},
          {"event_id", json_or_null(row.event_id)},
          {"topic", row.topic},
          {"partition", row.partition},
          {"offset", row.offset},
          {"payload_bytes", json_or_null(row.payload_bytes)},
          {"error_class", row.error_class},
          {"error", row.error},
          {"attempts", row.attempts},
          {"first_failed_at", iso_time(row.first_failed_at)},
          {"parked_at", iso_time(row.parked_at)}};
}

std::string place_of(const postgres::DeadMessageRow& row) {
  return row.topic + "[" + std::to_string(row.partition) + "]@" + std::to_string(row.offset);
}

std::string who() {
  const auto* user = ::getpwuid(::geteuid());
  return user != nullptr ? user->pw_name : "uid " + std::to_string(::geteuid());
}

int report_missing(std::span<const std::int64_t> asked, std::span<const std::int64_t> done,
                   const std::string& why) {
  int code = exit_code::kOk;
  for (const auto id : asked) {
    if (std::ranges::find(done, id) != done.end()) continue;
    complain("message " + std::to_string(id) + " " + why);
    code = exit_code::kFailed;
  }
  return code;
}

}  // namespace relevo::cli
