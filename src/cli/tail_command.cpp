#include <CLI/App.hpp>
#include <algorithm>
#include <memory>

#include "cli/command.hpp"
#include "cli/record_text.hpp"
#include "cli/stop_signal.hpp"
#include "cli/whole_number.hpp"
#include "daemon.hpp"
#include "relevo/core/error.hpp"
#include "relevo/kafka/cluster.hpp"
#include "relevo/kafka/reader.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kFooter = R"(
Reads Kafka without a consumer group and leaves no trace there. One line per record: time, topic/partition
and offset, key, event type, event id, size. Ctrl-C ends it.

Examples:
  relevo outbox tail
  relevo outbox tail --from-beginning --limit 10 --payload
  relevo outbox tail --topic 'outbox.event.*' --topic audit --json | jq .type)";

constexpr auto kBrokerPatience = 5s;

struct Options {
  std::vector<std::string> topics;
  bool from_beginning = false;
  bool payload = false;
  bool json = false;
  std::int64_t limit = 0;  // 0: none
};

kafka::ReaderOptions reader_options(const Options& options, const config::Config& config) {
  kafka::ReaderOptions reader;
  reader.client = kafka_options(config);
  reader.topics = options.topics;
  if (reader.topics.empty()) reader.topics = {topic_pattern(config.relay.topic)};
  reader.from = options.from_beginning ? kafka::ReaderOptions::From::kBeginning
                                       : kafka::ReaderOptions::From::kEnd;
  return reader;
}

int tail(const Options& options, const Invocation& invocation) {
  const auto config = load_config(invocation);
  if (config.kafka.embedded) {
    throw Failure(
        exit_code::kMisconfigured,
        "kafka.embedded: that broker lives inside the daemon; set kafka.bootstrap_servers to the "
        "address it logs at start, and kafka.embedded to false");
  }
  StopSignal stop;
  const auto settings = reader_options(options, config);
  // The reader waits for brokers for ever; a person wants to know.
  (void)kafka::describe_cluster(settings.client, {}, kBrokerPatience);
  kafka::KafkaReader reader(settings);
  std::string told;
  for (std::int64_t count = 0; !stop.wait(0ms);) {
    if (const auto* record = reader.poll(100ms)) {
      invocation.out.print(options.json ? record_json(*record, options.payload)
                                        : record_line(*record, options.payload));
      if (++count == options.limit) break;
    } else if (reader.last_error() != told) {
      told = reader.last_error();
      complain("kafka: " + told + "; still trying");
    }
  }
  return exit_code::kOk;
}

}  // namespace

void add_outbox_tail(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("tail", "Follow events as they arrive in Kafka");
  command->footer(kFooter);
  // Owners: the parser, which fills it, and the action.
  const auto options = std::make_shared<Options>();
  command
      ->add_option("--topic", options->topics,
                   "Topic, or pattern in which * stands for any characters; may be repeated. Else "
                   "those of relay.topic")
      ->type_name("PATTERN")
      ->allow_extra_args(false);
  command->add_flag("--from-beginning", options->from_beginning, "Also what is there already");
  command->add_option("--limit", options->limit, "End after so many records")
      ->type_name("N")
      ->check(whole_number(1, std::numeric_limits<std::int64_t>::max()));
  command->add_flag("--payload", options->payload, "Show the payload, too");
  command->add_flag("--json", options->json, "One JSON object per line");
  command->callback([&chosen, options] {
    chosen = [options](Invocation& invocation) { return tail(*options, invocation); };
  });
}

}  // namespace relevo::cli
