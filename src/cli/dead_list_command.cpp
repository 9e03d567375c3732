#include <CLI/App.hpp>
#include <algorithm>
#include <memory>

#include "cli/dead_commands.hpp"
#include "cli/page.hpp"
#include "cli/table.hpp"
#include "daemon.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

constexpr auto kFooter = R"(
States: parked (waits for its topic, for you, or behind another), retry (released; the relay publishes it),
skipped (never published). Reasons: too_large, invalid_topic, unknown_topic, unauthorized, rejected,
queued_behind (nothing is wrong with it: it waits for an earlier event of its aggregate).)";

struct Options {
  std::optional<std::string> state;
  PageOptions page;
};

Json to_json(const postgres::DeadEventRow& row) {
  return {{"id", row.id},
          {"event_id", row.event_id},
          {"state", row.state},
          {"reason", row.reason},
          {"aggregate_type", row.aggregate_type},
          {"aggregate_id", row.aggregate_id},
          {"event_type", row.event_type},
          {"topic", row.topic.empty() ? Json() : Json(row.topic)},
          {"payload_bytes", json_or_null(row.payload_bytes)},
          {"error", row.error},
          {"attempts", row.attempts},
          {"shard", row.shard},
          {"created_at", iso_time(row.created_at)},
          {"parked_at", iso_time(row.parked_at)}};
}

std::string to_table(const std::vector<postgres::DeadEventRow>& rows) {
  if (rows.empty()) return "no dead events\n";
  Table table({">id", "state", "reason", "aggregate", "event", "topic", ">size", ">attempts",
               "parked at", "error"});
  for (const auto& row : rows) {
    table.add({std::to_string(row.id), row.state, row.reason,
               row.aggregate_type + "/" + row.aggregate_id, row.event_type,
               row.topic.empty() ? "-" : row.topic,
               row.payload_bytes ? size_text(*row.payload_bytes) : "tombstone",
               std::to_string(row.attempts), iso_time(row.parked_at), row.error});
  }
  return table.text();
}

int list(const Options& options, const Invocation& invocation) {
  postgres::Inspector inspector(connect_options(load_config(invocation)));
  const auto& page = options.page;
  print_page(invocation, page, inspector.dead_list(page.after, options.state, page.rows_to_read()),
             to_json, to_table);
  return exit_code::kOk;
}

}  // namespace

void add_dead_list(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("list", "Dead events in the order of their ids");
  command->footer(kFooter);
  // Owners: the parser, which fills it, and the action.
  const auto options = std::make_shared<Options>();
  command->add_option("--state", options->state, "Only parked, retry or skipped")
      ->type_name("STATE")
      ->check(CLI::IsMember({"parked", "retry", "skipped"}));
  add_page_options(*command, options->page);
  command->callback([&chosen, options] {
    chosen = [options](Invocation& invocation) { return list(*options, invocation); };
  });
}

}  // namespace relevo::cli
