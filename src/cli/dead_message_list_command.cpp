#include <CLI/App.hpp>
#include <memory>

#include "cli/dead_message_commands.hpp"
#include "cli/printable.hpp"
#include "cli/table.hpp"
#include "daemon.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

constexpr auto kListFooter = R"(
States: parked (waits for you), retry (the daemon runs it again). Classes: undecodable, unknown_type,
rejected (its handler said so), exhausted (it failed too often).)";

struct ListOptions {
  std::optional<std::string> subscription;
  std::int64_t after = 0;
  int limit = 100;
  bool json = false;
};

std::string to_table(const std::vector<postgres::DeadMessageRow>& rows) {
  if (rows.empty()) return "no dead messages\n";
  Table table({">id", "subscription", "state", "class", "event", "record", ">size", ">attempts",
               "parked at", "error"});
  for (const auto& row : rows) {
    table.add({std::to_string(row.id), row.subscription, row.retry_since ? "retry" : "parked",
               row.error_class, row.event_id.value_or("-"), place_of(row),
               row.payload_bytes ? size_text(*row.payload_bytes) : "tombstone",
               std::to_string(row.attempts), iso_time(row.parked_at), row.error});
  }
  return table.text();
}

int list(const ListOptions& options, const Invocation& invocation) {
  postgres::DeadMessages messages(connect_options(load_config(invocation)));
  // One more than asked for tells whether there are more.
  auto rows = messages.list(options.after, options.subscription, options.limit + 1);
  const bool more = rows.size() > static_cast<std::size_t>(options.limit);
  if (more) rows.pop_back();
  if (options.json) {
    Json all = Json::array();
    for (const auto& row : rows) all.push_back(to_json(row));
    invocation.out.print(json_line(all));
  } else {
    invocation.out.print(to_table(rows));
  }
  if (more) {
    complain("there are more: add --after " + std::to_string(rows.back().id) +
             ", or a larger --limit");
  }
  return exit_code::kOk;
}

struct ShowOptions {
  std::int64_t id = 0;
  bool json = false;
};

// Bytes as text where they are UTF-8 (JSON then shows them as they are), else printable.
std::string text_of(const std::optional<std::string>& bytes) {
  return bytes ? printable(*bytes) : "(none)";
}

int show(const ShowOptions& options, const Invocation& invocation) {
  postgres::DeadMessages messages(connect_options(load_config(invocation)));
  const auto found = messages.find({&options.id, 1});
  if (found.empty()) {
    throw Failure(exit_code::kFailed, "message " + std::to_string(options.id) +
                                          " is not there (done or dropped since, or never parked); "
                                          "see `relevo dead list`");
  }
  const auto& [row, key, payload, headers] = found[0];
  if (options.json) {
    auto json = to_json(row);
    json["key"] = key ? Json(*key) : Json();
    json["headers"] = Json::parse(headers);
    json["payload"] = payload ? Json(*payload) : Json();
    invocation.out.print(json_line(json));
    return exit_code::kOk;
  }
  std::string text = "message " + std::to_string(row.id) + " of " + row.subscription + ", " +
                     (row.retry_since ? "to be tried again" : "parked") + "\n" + "  record    " +
                     place_of(row) + "\n  event     " + row.event_id.value_or("-") +
                     "\n  error     " + row.error_class + ": " + printable(row.error) +
                     "\n  attempts  " + std::to_string(row.attempts) + ", first failed " +
                     iso_time(row.first_failed_at) + ", parked " + iso_time(row.parked_at) +
                     "\n  key       " + text_of(key) + "\n";
  for (const auto& header : Json::parse(headers)) {
    text += "  header    " +
            printable(header.at(0).is_string() ? header.at(0).get<std::string>()
                                               : header.at(0).dump()) +
            ": " +
            (header.at(1).is_string() ? printable(header.at(1).get<std::string>())
                                      : header.at(1).dump()) +
            "\n";
  }
  invocation.out.print(text + "  payload   " + text_of(payload) + "\n");
  return exit_code::kOk;
}

}  // namespace

void add_dead_message_list(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("list", "Dead messages in the order of their ids");
  command->footer(kListFooter);
  // Owners: the parser, which fills it, and the action.
  const auto options = std::make_shared<ListOptions>();
  command->add_option("--subscription", options->subscription, "Only of this subscription")
      ->type_name("NAME");
  command->add_option("--after", options->after, "Only ids larger than this")->type_name("ID");
  command->add_option("--limit", options->limit, "At most so many (100)")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000));
  command->add_flag("--json", options->json, "One JSON array");
  command->callback([&chosen, options] {
    chosen = [options](Invocation& invocation) { return list(*options, invocation); };
  });
}

void add_dead_message_show(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("show", "One dead message with headers and payload");
  const auto options = std::make_shared<ShowOptions>();
  command->add_option("ID", options->id, "Id as in `dead list`")->required();
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([&chosen, options] {
    chosen = [options](Invocation& invocation) { return show(*options, invocation); };
  });
}

}  // namespace relevo::cli
