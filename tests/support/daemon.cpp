#include "support/daemon.hpp"

#include <httplib.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <sstream>

#include "support/eventually.hpp"

namespace relevo::test {
namespace {

Process::Environment environment_of(const DaemonOptions& options) {
  Process::Environment all{
      {"RELEVO_DATABASE_URL", options.database_url},
      {"RELEVO_KAFKA_BOOTSTRAP_SERVERS", options.kafka_bootstrap},
      {"RELEVO_KAFKA_TOPICS_CREATE", "true"},
      {"RELEVO_KAFKA_TOPICS_PARTITIONS", "3"},
      {"RELEVO_ROLES", "relay"},
      {"RELEVO_HTTP_LISTEN", "127.0.0.1:0"},
      {"RELEVO_RELAY_LEASE_TTL", "2s"},
      {"RELEVO_RELAY_TOPIC", options.topic_prefix + ".{aggregate_type}"},
      {"RELEVO_LOG_FORMAT", "json"},
  };
  if (!options.instance.empty()) all["RELEVO_INSTANCE"] = options.instance;
  for (const auto& [name, value] : options.environment) all[name] = value;
  return all;
}

}  // namespace

void migrate(const std::string& database_url) {
  run({required_environment("RELEVO_BIN"), "migrate"}, {{"RELEVO_DATABASE_URL", database_url}});
}

Daemon::Daemon(const DaemonOptions& options)
    : process_({required_environment("RELEVO_BIN"), "run"}, environment_of(options)) {}

int Daemon::port() {
  if (port_ == 0) {
    if (const auto line = process_.find_line("http listening")) {
      port_ = nlohmann::json::parse(*line).at("port").get<int>();
    }
  }
  return port_;
}

std::optional<Daemon::Answer> Daemon::get(const std::string& path) {
  if (port() == 0) return std::nullopt;
  httplib::Client client("127.0.0.1", port_);
  client.set_connection_timeout(std::chrono::seconds(1));
  client.set_read_timeout(std::chrono::seconds(2));
  const auto response = client.Get(path.c_str());
  if (!response) return std::nullopt;
  return Answer{response->status, response->body};
}

bool Daemon::ready() {
  const auto answer = get("/readyz");
  return answer && answer->status == 200;
}

bool Daemon::wait_ready(std::chrono::milliseconds deadline) {
  bool ready_now = false;
  (void)eventually(deadline, [&] {
    ready_now = ready();
    return ready_now || !process_.running();
  });
  return ready_now;
}

std::optional<double> Daemon::metric(std::string_view name, std::string_view label) {
  const auto answer = get("/metrics");
  if (!answer) return std::nullopt;
  std::optional<double> sum;
  std::istringstream lines(answer->body);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name)) continue;
    const auto after = line.substr(name.size());
    if (after.empty() || (after[0] != ' ' && after[0] != '{')) continue;  // a longer name
    if (after.substr(0, after.rfind(' ')).find(label) == std::string::npos) continue;
    sum = sum.value_or(0) + std::stod(line.substr(line.rfind(' ') + 1));
  }
  return sum;
}

std::optional<Exit> Daemon::terminate(std::chrono::milliseconds deadline) {
  process_.signal(SIGTERM);
  return process_.wait(deadline);
}

}  // namespace relevo::test
