#include <CLI/App.hpp>
#include <memory>

#include "cli/dead_message_commands.hpp"
#include "cli/table.hpp"
#include "cli/whole_number.hpp"
#include "daemon.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

constexpr auto kRetryFooter = R"(
The consumer of the subscription runs each through its handler again, outside the order of its key, with
the inbox: an event that was done meanwhile is not done twice. One that fails again is parked again.

Examples:
  relevo dead retry 17 18
  relevo dead retry --subscription orders
  relevo dead retry --all)";

constexpr auto kDropFooter = R"(
A dropped message is gone; the audit log keeps who dropped it, why, and where its record lies in Kafka.
More than one at a time needs --yes.

Example:
  relevo dead drop 17 --reason "order was deleted")";

constexpr int kPage = 1'000;

struct Choice {
  std::vector<std::int64_t> ids;
  std::optional<std::string> subscription;
  bool all = false;
  bool json = false;
  std::string reason;
  bool yes = false;
};

std::vector<std::int64_t> chosen_ids(postgres::DeadMessages& messages, const Choice& choice) {
  if (!choice.ids.empty()) return choice.ids;
  std::vector<std::int64_t> ids;
  for (std::int64_t after = 0;;) {
    const auto rows = messages.list(after, choice.subscription, kPage);
    for (const auto& row : rows) {
      if (!row.retry_since) ids.push_back(row.id);
    }
    if (rows.size() < static_cast<std::size_t>(kPage)) return ids;
    after = rows.back().id;
  }
}

int report(const Invocation& invocation, const Choice& choice, const char* verb,
           const std::vector<std::int64_t>& done, const std::string& consequence,
           const std::string& why_not) {
  if (choice.json) {
    invocation.out.print(json_line({{verb, done}}));
  } else if (!done.empty()) {
    invocation.out.print(std::string(verb) + " " +
                         count_text(static_cast<std::int64_t>(done.size()), "message") +
                         consequence + "\n");
  } else if (choice.ids.empty()) {
    invocation.out.print("no parked messages match\n");
  }
  return report_missing(choice.ids, done, why_not);
}

int retry(const Choice& choice, const Invocation& invocation) {
  postgres::DeadMessages messages(connect_options(load_config(invocation)));
  const auto done = messages.retry(chosen_ids(messages, choice), who());
  return report(invocation, choice, "released", done, "; the consumer runs them again",
                "is not parked (released already, done or dropped); see `relevo dead list`");
}

int drop(const Choice& choice, const Invocation& invocation) {
  if (choice.reason.empty()) throw UsageError("drop: --reason is empty; say why");
  postgres::DeadMessages messages(connect_options(load_config(invocation)));
  const auto ids = chosen_ids(messages, choice);
  if (ids.size() > 1 && !choice.yes) {
    throw UsageError("drop: would drop " + std::to_string(ids.size()) +
                     " messages, which are then gone; add --yes if that is meant");
  }
  const auto done = messages.drop(ids, who(), choice.reason);
  return report(invocation, choice, "dropped", done, "",
                "is not there (done or dropped since, or never parked); see `relevo dead list`");
}

void add_choice(CLI::App& command, Choice& choice) {
  auto* which = command.add_option_group("which", "Which messages");
  which->add_option("ID", choice.ids, "Ids as in `dead list`")->check(whole_id());
  which->add_option("--subscription", choice.subscription, "All parked ones of a subscription")
      ->type_name("NAME");
  which->add_flag("--all", choice.all, "All that are parked");
  which->require_option(1);
  command.add_flag("--json", choice.json, "One JSON object");
}

}  // namespace

void add_dead_message_retry(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("retry", "Run dead messages again");
  command->footer(kRetryFooter);
  // Owners: the parser, which fills it, and the action.
  const auto choice = std::make_shared<Choice>();
  add_choice(*command, *choice);
  command->callback([&chosen, choice] {
    chosen = [choice](Invocation& invocation) { return retry(*choice, invocation); };
  });
}

void add_dead_message_drop(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("drop", "Give dead messages up for good");
  command->footer(kDropFooter);
  const auto choice = std::make_shared<Choice>();
  add_choice(*command, *choice);
  command->add_option("--reason", choice->reason, "Why, for the audit log")
      ->type_name("TEXT")
      ->required();
  command->add_flag("--yes", choice->yes, "Also when it is more than one message");
  command->callback([&chosen, choice] {
    chosen = [choice](Invocation& invocation) { return drop(*choice, invocation); };
  });
}

}  // namespace relevo::cli
