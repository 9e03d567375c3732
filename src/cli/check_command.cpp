#include <CLI/App.hpp>
#include <algorithm>
#include <cstdlib>
#include <future>
#include <memory>
#include <thread>

#include "cli/command.hpp"
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
Looks at PostgreSQL, the schema, Kafka, the topics that recent events name, and the files that hold secrets of
HTTP handlers; changes nothing. Takes a few seconds at most. Exit code 0 without errors, 3 for an error of the configuration, 4 for an unreachable server.

Examples:
  relevo -c relevo.yaml check
  relevo check --json | jq '.findings[] | select(.level != "ok")')";

constexpr auto kPatience = 3s;      // with one connection or answer
constexpr auto kMostPatience = 6s;  // with one server, also when name resolution hangs
constexpr int kRecentEvents = 5'000;
constexpr std::size_t kMostTopics = 100;

struct Database {
  std::vector<Finding> findings;
  std::vector<std::string> topics;  // that recent events go to
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

Database look_at_database(const config::Config& config) {
  Database found;
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
    append(found.findings, judge_surroundings(inspector.surroundings(), config.relay.shards));
    found.topics = topics_of(inspector.recent_names(kRecentEvents), config.relay.topic);
  } catch (const core::IntegrationError& error) {
    found.findings.push_back(failed("PostgreSQL", error));
  }
  return found;
}

std::vector<Finding> look_at_kafka(const config::Config& config, std::vector<std::string> topics) {
  std::vector<Finding> findings;
  const auto all = topics.size();
  topics.resize(std::min(all, kMostTopics));
  try {
    const auto cluster = kafka::describe_cluster(kafka_options(config), topics, kPatience);
    findings.push_back(judge_cluster(cluster));
    for (const auto& topic : cluster.topics) {
      findings.push_back(judge_topic(topic, config.kafka.topics.create));
    }
  } catch (const core::IntegrationError& error) {
    findings.push_back(failed("Kafka", error));
    return findings;
  }
  if (topics.empty()) {
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
  const auto database =
      in_time<Database>("PostgreSQL", [config] { return look_at_database(config); });
  if (database) tell(database->findings);
  if (config.kafka.embedded) {
    const Finding finding{Level::kNote, "Kafka",
                          "kafka.embedded: a broker inside the daemon that keeps nothing",
                          "for trying things out only", 0};
    return tell({&finding, 1});
  }
  auto topics = database ? database->topics : topics_of({}, config.relay.topic);
  const auto kafka = in_time<std::vector<Finding>>(
      "Kafka", [config, topics = std::move(topics)] { return look_at_kafka(config, topics); });
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
