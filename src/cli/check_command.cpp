#include <CLI/App.hpp>
#include <algorithm>
#include <cstdlib>
#include <future>
#include <map>
#include <memory>
#include <set>
#include <thread>

#include "cli/command.hpp"
#include "cli/explain.hpp"
#include "cli/findings.hpp"
#include "cli/json_text.hpp"
#include "cli/no_endpoint_metrics.hpp"
#include "cli/table.hpp"
#include "daemon.hpp"
#include "handler_set.hpp"
#include "relevo/config/print.hpp"
#include "relevo/logging/make_log.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kFooter = R"(
Prints the effective configuration with secrets hidden, then one line per finding:
  ok|note|warning|error  what: finding; what to do
Looks at PostgreSQL, the schema, Kafka, the topics that recent events name, those of subscriptions, and the files
that hold secrets of HTTP handlers; changes nothing. Takes a few seconds at most. Exit code 0 without errors, 3 for an error of the configuration, 4 for an unreachable server.

Examples:
  relevo -c relevo.yaml check
  relevo check --json | jq '.findings[] | select(.level != "ok")')";

constexpr auto kPatience = 3s;      // with one connection or answer
constexpr auto kMostPatience = 6s;  // with one server, also when name resolution hangs
constexpr int kRecentEvents = 5'000;
constexpr std::size_t kMostTopics = 100;

struct Database {
  std::vector<Finding> findings;
  std::vector<std::string> topics;  // that events go to, as far as known
  bool events_seen = false;         // else only what the configuration says of topics is known
};

class Check {
 public:
  Check(const Invocation& invocation, bool json) : invocation_(invocation), json_(json) {}

  int run();

 private:
  void look(const config::Config& config);
  void tell(std::span<const Finding> findings);
  // What `ask` finds, or an error when it is not done in time; it is then left behind, see run().
  template <typename Found>
  std::optional<Found> in_time(const char* what, std::function<Found()> ask);

  const Invocation& invocation_;
  const bool json_;
  std::vector<Finding> findings_;
  bool left_behind_ = false;
};

postgres::ConnectOptions hasty(postgres::ConnectOptions options) {
  options.connect_timeout = std::min<std::chrono::milliseconds>(options.connect_timeout, kPatience);
  options.statement_timeout =
      std::min<std::chrono::milliseconds>(options.statement_timeout, kPatience);
  return options;
}

void append(std::vector<Finding>& to, std::vector<Finding> findings) {
  std::move(findings.begin(), findings.end(), std::back_inserter(to));
}

// Last: a refusal costs the connection.
void look_at_events(postgres::Inspector& inspector, const config::Config& config, Database& found) {
  try {
    append(found.findings, judge_surroundings(inspector.surroundings(), config.relay.shards));
    found.topics = topics_of(inspector.recent_names(kRecentEvents), config.relay.topic);
    found.events_seen = true;
  } catch (const core::IntegrationError& error) {
    if (!is_not_permitted(error)) throw;
    found.findings.push_back(not_looked_at_events());
  }
}

Database look_at_database(const config::Config& config) {
  Database found;
  found.topics = topics_of({}, config.relay.topic);
  try {
    const auto options = hasty(connect_options(config));
    postgres::Inspector inspector(options);
    (void)inspector.server();  // what only the first statement takes is not the clock's fault
    const auto before = core::system_clock().wall();
    const auto server = inspector.server();
    const auto after = core::system_clock().wall();
    append(found.findings, judge_server(server, before + (after - before) / 2 - server.time));
    const auto schema = postgres::Migrator(options).state();
    found.findings.push_back(judge_schema(schema));
    if (schema.fit != postgres::Fit::kFits) return found;
    look_at_events(inspector, config, found);
  } catch (const core::IntegrationError& error) {
    found.findings.push_back(failed("PostgreSQL", error));
  }
  return found;
}

// Of all subscriptions, each once.
std::vector<std::string> topics_of_subscriptions(const config::Config& config) {
  std::set<std::string> topics;
  for (const auto& subscription : config.subscriptions) {
    topics.insert(subscription.topics.begin(), subscription.topics.end());
    if (!subscription.dead_letter_topic.empty()) topics.insert(subscription.dead_letter_topic);
  }
  return {topics.begin(), topics.end()};
}

std::vector<Finding> judge_topics(const config::Config& config,
                                  std::span<const std::string> of_events,
                                  std::span<const kafka::TopicDescription> described) {
  std::map<std::string, kafka::TopicDescription> found;
  for (const auto& topic : described) found.emplace(topic.name, topic);
  const bool created = config.kafka.topics.create;
  std::vector<Finding> findings;
  for (const auto& name : of_events) findings.push_back(judge_topic(found.at(name), created));
  for (const auto& subscription : config.subscriptions) {
    for (const auto& name : subscription.topics) {
      findings.push_back(judge_source_topic(found.at(name), subscription.name));
    }
    if (const auto& name = subscription.dead_letter_topic; !name.empty()) {
      findings.push_back(judge_dead_letter_topic(found.at(name), subscription.name, created));
    }
  }
  return findings;
}

std::vector<Finding> look_at_kafka(const config::Config& config, const Database& database) {
  std::vector<Finding> findings;
  auto of_events = database.topics;
  const auto all = of_events.size();
  of_events.resize(std::min(all, kMostTopics));
  auto topics = topics_of_subscriptions(config);
  for (const auto& name : of_events) {
    if (std::ranges::find(topics, name) == topics.end()) topics.push_back(name);
  }
  try {
    const auto cluster = kafka::describe_cluster(kafka_options(config), topics, kPatience);
    findings.push_back(judge_cluster(cluster));
    append(findings, judge_topics(config, of_events, cluster.topics));
  } catch (const core::IntegrationError& error) {
    findings.push_back(failed("Kafka", error));
    return findings;
  }
  if (of_events.empty() && database.events_seen) {
    findings.push_back({Level::kNote, "topics", "none to look at: there are no events yet", "", 0});
  } else if (all > kMostTopics) {
    findings.push_back({Level::kNote, "topics",
                        std::to_string(all - kMostTopics) + " more are not looked at", "", 0});
  }
  return findings;
}

// As the daemon puts them together when it starts.
std::vector<Finding> look_at_handlers(const config::Config& config) {
  NoEndpointMetrics metrics;
  const auto log = logging::make_log(logging::Options{});
  try {
    const HandlerSet handlers(config, metrics, *log, core::system_clock());
  } catch (const core::IntegrationError& error) {
    return {{Level::kError, "handlers", error.detail(), "", exit_code::kMisconfigured}};
  }
  return {};
}

template <typename Found>
std::optional<Found> Check::in_time(const char* what, std::function<Found()> ask) {
  std::packaged_task<Found()> task(std::move(ask));
  auto found = task.get_future();
  std::thread(std::move(task)).detach();
  if (found.wait_for(kMostPatience) == std::future_status::ready) return found.get();
  left_behind_ = true;
  const Finding finding{Level::kError, what, "no answer within " + duration_text(kMostPatience),
                        "check the name resolution and the network of this machine",
                        exit_code::kUnavailable};
  tell({&finding, 1});
  return std::nullopt;
}

void Check::tell(std::span<const Finding> findings) {
  for (const auto& finding : findings) {
    findings_.push_back(finding);
    if (!json_) invocation_.out.print(finding_line(finding));
  }
}

void Check::look(const config::Config& config) {
  tell(count_lists(config));
  const auto secrets = look_at_secret_files(config);
  tell(secrets);
  // Would fail on what has just been told.
  if (exit_code_of(secrets) == exit_code::kOk) tell(look_at_handlers(config));
  auto database = in_time<Database>("PostgreSQL", [config] { return look_at_database(config); });
  if (database) {
    tell(database->findings);
  } else {
    database.emplace().topics = topics_of({}, config.relay.topic);
  }
  if (config.kafka.embedded) {
    const Finding finding{Level::kNote, "Kafka",
                          "kafka.embedded: a broker inside the daemon that keeps nothing",
                          "for trying things out only", 0};
    return tell({&finding, 1});
  }
  const auto kafka = in_time<std::vector<Finding>>(
      "Kafka", [config, database = *database] { return look_at_kafka(config, database); });
  if (kafka) tell(*kafka);
}

Json to_json(std::span<const Finding> findings) {
  Json all = Json::array();
  for (const auto& finding : findings) {
    all.push_back({{"level", to_string(finding.level)},
                   {"what", finding.what},
                   {"finding", finding.finding},
                   {"advice", finding.advice}});
  }
  return all;
}

int Check::run() {
  const auto loaded = read_config(invocation_);
  if (loaded.ok() && !json_) invocation_.out.print(config::print_effective(loaded.config) + "\n");
  std::vector<Finding> problems;
  for (const auto& problem : loaded.errors) {
    problems.push_back(
        {Level::kError, problem.where, problem.message, "", exit_code::kMisconfigured});
  }
  for (const auto& problem : loaded.warnings) {
    problems.push_back({Level::kWarning, problem.where, problem.message, "", 0});
  }
  if (problems.empty()) {
    problems.push_back({Level::kOk, "configuration",
                        loaded.file.value_or("no file; environment and defaults"), "", 0});
  }
  tell(problems);
  if (loaded.ok()) look(loaded.config);
  const int code = exit_code_of(findings_);
  if (json_) {
    Json out{{"ok", code == exit_code::kOk}, {"findings", to_json(findings_)}};
    out["configuration"] =
        loaded.ok() ? Json::parse(config::print_effective_json(loaded.config)) : Json();
    invocation_.out.print(json_line(out));
  }
  // Name resolution cannot be called off: the process ends around the thread that hangs in it.
  if (left_behind_) std::_Exit(code);
  return code;
}

}  // namespace

void add_check(CLI::App& parent, Action& chosen) {
  auto* command =
      parent.add_subcommand("check", "Look at the configuration, PostgreSQL, Kafka and topics");
  command->footer(kFooter);
  // Owners: the parser, which fills it, and the action.
  const auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "One JSON object: ok, findings, configuration");
  command->callback([&chosen, json] {
    chosen = [json](Invocation& invocation) { return Check(invocation, *json).run(); };
  });
}

}  // namespace relevo::cli
