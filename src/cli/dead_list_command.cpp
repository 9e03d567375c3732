#include <CLI/App.hpp>
#include <algorithm>
#include <memory>

#include "cli/dead_commands.hpp"
#include "cli/json_text.hpp"
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
  std::int64_t after = 0;
  int limit = 100;
  bool json = false;
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
          {"payload_bytes", row.payload_bytes ? Json(*row.payload_bytes) : Json()},
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
  // One more than asked for tells whether there are more.
  auto rows = inspector.dead_list(options.after, options.state, options.limit + 1);
  const bool more = rows.size() > static_cast<std::size_t>(options.limit);
  if (more) rows.pop_back();
  if (options.json) {
    Json all = Json::array();
    for (const auto& row : rows) all.push_back(to_json(row));
    invocation.out.print(json_line(all));
  } else {
    invocation.out.print(to_table(rows));
  }
  if (more)
    complain("there are more: add --after " + std::to_string(rows.back().id) +
             ", or a larger --limit");
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
  command->add_option("--after", options->after, "Only ids larger than this")->type_name("ID");
  command->add_option("--limit", options->limit, "At most so many (100)")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000));
  command->add_flag("--json", options->json, "One JSON array");
  command->callback([&chosen, options] {
    chosen = [options](Invocation& invocation) { return list(*options, invocation); };
  });
}

}  // namespace relevo::cli
