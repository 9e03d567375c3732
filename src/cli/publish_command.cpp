#include <CLI/App.hpp>
#include <iostream>
#include <memory>

#include "cli/command.hpp"
#include "cli/event_arguments.hpp"
#include "cli/json_text.hpp"
#include "daemon.hpp"
#include "relevo/postgres/inspector.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

constexpr auto kFooter = R"(
Stores one event in a transaction of its own, for trying things out; programs call relevo.publish() in
theirs (docs/database.md). Prints the event id, which Kafka shows as header ce_id.

Examples:
  relevo outbox publish order 42 OrderPaid '{"total": 1999}' --header traceparent=00-…
  relevo outbox publish order 42 OrderPaid @paid.json --tenant acme
  echo '{"total": 1999}' | relevo outbox publish order 42 OrderPaid -
  relevo outbox publish order 42 OrderForgotten --tombstone)";

struct Options {
  postgres::NewEvent event;
  std::optional<std::string> payload;
  std::vector<std::string> headers;
  bool tombstone = false;
  bool json = false;
};

int publish(Options options, const Invocation& invocation) {
  if (!options.payload && !options.tombstone) {
    throw UsageError("payload: is missing; give JSON, - for standard input, @FILE, or --tombstone");
  }
  if (options.payload) options.event.payload = read_payload(*options.payload, std::cin);
  options.event.headers = headers_json(options.headers);
  const auto id =
      postgres::Inspector(connect_options(load_config(invocation))).publish(options.event);
  invocation.out.print(options.json ? json_line({{"event_id", id}}) : id + "\n");
  return exit_code::kOk;
}

}  // namespace

void add_outbox_publish(CLI::App& parent, Action& chosen) {
  auto* command =
      parent.add_subcommand("publish", "Store one event in the outbox, for trying things out");
  command->footer(kFooter);
  // Owners: the parser, which fills it, and the action.
  const auto options = std::make_shared<Options>();
  auto& event = options->event;
  command->add_option("AGGREGATE_TYPE", event.aggregate_type, "What the event is about, e.g. order")
      ->required();
  command->add_option("AGGREGATE_ID", event.aggregate_id, "Which one; becomes the Kafka key")
      ->required();
  command->add_option("EVENT_TYPE", event.event_type, "What happened, e.g. OrderPaid")->required();
  auto* payload = command->add_option("PAYLOAD", options->payload,
                                      "JSON; - reads standard input, @FILE a file");
  command->add_option("--header", options->headers, "Header NAME=VALUE; may be repeated")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  command->add_option("--topic", event.topic, "Topic; else by relay.topic")->type_name("TOPIC");
  command->add_option("--tenant", event.tenant, "Tenant of the event")->type_name("TENANT");
  command->add_flag("--tombstone", options->tombstone, "No payload: compaction removes the key")
      ->excludes(payload);
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([&chosen, options] {
    chosen = [options](Invocation& invocation) { return publish(*options, invocation); };
  });
}

}  // namespace relevo::cli
