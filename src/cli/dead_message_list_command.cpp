#include <CLI/App.hpp>
#include <memory>

#include "cli/dead_message_commands.hpp"
#include "cli/page.hpp"
#include "cli/printable.hpp"
#include "cli/table.hpp"
#include "cli/whole_number.hpp"
#include "daemon.hpp"
#include "relevo/worker/attempt_log.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

constexpr auto kListFooter = R"(
States: parked (waits for you), retry (the daemon runs it again). Classes: undecodable, unknown_type,
rejected (its handler said so), exhausted (it failed too often).)";

struct ListOptions {
  std::optional<std::string> subscription;
  PageOptions page;
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
  const auto& page = options.page;
  print_page(invocation, page, messages.list(page.after, options.subscription, page.rows_to_read()),
             to_json, to_table);
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

// A line for each failed attempt, and for those between that are not kept.
std::string attempts_text(const worker::AttemptLog& log) {
  std::string text;
  int last = 0;
  for (const auto& [attempt, at, error] : log.entries()) {
    if (last > 0 && attempt > last + 1) {
      text += "  failed    … (" + count_text(attempt - last - 1, "attempt") + " not kept)\n";
    }
    text += "  failed    " + std::to_string(attempt) + " at " + iso_time(at) + ": " +
            printable(error) + "\n";
    last = attempt;
  }
  return text;
}

int show(const ShowOptions& options, const Invocation& invocation) {
  postgres::DeadMessages messages(connect_options(load_config(invocation)));
  const auto found = messages.find({&options.id, 1});
  if (found.empty()) {
    throw Failure(exit_code::kFailed, "message " + std::to_string(options.id) +
                                          " is not there (done or dropped since, or never parked); "
                                          "see `relevo dead list`");
  }
  const auto& [row, key, payload, headers, attempt_log] = found[0];
  if (options.json) {
    auto json = to_json(row);
    json["key"] = json_or_null(key);
    json["headers"] = Json::parse(headers);
    json["payload"] = json_or_null(payload);
    json["attempt_log"] = Json::parse(attempt_log);
    invocation.out.print(json_line(json));
    return exit_code::kOk;
  }
  std::string text =
      "message " + std::to_string(row.id) + " of " + row.subscription + ", " +
      (row.retry_since ? "to be tried again" : "parked") + "\n" + "  record    " + place_of(row) +
      "\n  event     " + row.event_id.value_or("-") + "\n  error     " + row.error_class + ": " +
      printable(row.error) + "\n  attempts  " + std::to_string(row.attempts) + ", first failed " +
      iso_time(row.first_failed_at) + ", parked " + iso_time(row.parked_at) + "\n" +
      attempts_text(worker::AttemptLog(attempt_log)) + "  key       " + text_of(key) + "\n";
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
  add_page_options(*command, options->page);
  command->callback([&chosen, options] {
    chosen = [options](Invocation& invocation) { return list(*options, invocation); };
  });
}

void add_dead_message_show(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand(
      "show", "One dead message with its failed attempts, headers and payload");
  const auto options = std::make_shared<ShowOptions>();
  command->add_option("ID", options->id, "Id as in `dead list`")->required()->check(whole_id());
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([&chosen, options] {
    chosen = [options](Invocation& invocation) { return show(*options, invocation); };
  });
}

}  // namespace relevo::cli
