#include "surroundings.hpp"

#include <librdkafka/rdkafka.h>
#include <sys/utsname.h>

#include <cmath>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "support/database.hpp"
#include "wiring.hpp"

namespace relevo::bench {
namespace {

// The rest of the first line of a file of /proc that begins with `name`.
std::string proc_field(const std::string& file, const std::string& name) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name)) continue;
    const auto value = line.find_first_not_of(" \t", line.find(':') + 1);
    return value == std::string::npos ? "" : line.substr(value);
  }
  throw std::runtime_error("no " + name + " in " + file);
}

struct Ticks {
  double all = 0;
  double idle = 0;
};

// proc(5): user nice system idle iowait irq softirq steal
Ticks processor_ticks() {
  std::istringstream first(proc_field("/proc/stat", "cpu "));
  std::string name;
  first >> name;
  Ticks ticks;
  double value = 0;
  for (int column = 0; column < 8 && first >> value; ++column) {
    ticks.all += value;
    if (column == 3 || column == 4) ticks.idle += value;
  }
  return ticks;
}

}  // namespace

double busy_share() {
  const auto before = processor_ticks();
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const auto after = processor_ticks();
  const auto share = 1 - (after.idle - before.idle) / (after.all - before.all);
  return std::round(share * 100) / 100;
}

test::DaemonOptions daemon_options(const std::string& database_url, const Options& options,
                                   const std::string& topic) {
  test::DaemonOptions daemon;
  daemon.database_url = database_url;
  daemon.kafka_bootstrap = options.kafka;
  daemon.environment = {{"RELEVO_RELAY_TOPIC", topic},
                        {"RELEVO_KAFKA_TOPICS_CREATE", "false"},
                        {"RELEVO_RELAY_LEASE_TTL", "10s"}};
  return daemon;
}

double peak_rss_mib(pid_t process) {
  const auto kib = std::stod(proc_field("/proc/" + std::to_string(process) + "/status", "VmHWM"));
  return std::round(kib / 1024 * 10) / 10;
}

nlohmann::ordered_json postgresql_settings(const Options& options) {
  test::Connection connection(options.postgres);
  nlohmann::ordered_json settings;
  for (const auto* name : {"fsync", "synchronous_commit", "full_page_writes", "shared_buffers"})
    settings[name] = connection.value(std::string("SHOW ") + name);
  return settings;
}

nlohmann::ordered_json settings(const Options& options) {
  nlohmann::ordered_json settings{{"postgresql", postgresql_settings(options)}};
  settings["kafka"] = {{"brokers", 1}, {"partitions", kPartitions}, {"replication", 1}};
  settings["relevo"] = {{"delivery", "at_least_once"}, {"acks", "all"},
                        {"enable.idempotence", true},  {"linger.ms", 1},
                        {"max.in.flight", 1},          {"relay.max_in_flight", 20'000},
                        {"relay.shards", kShards},     {"relay.poll_min", "1ms"},
                        {"relay.poll_max", "25ms"}};
  return settings;
}

nlohmann::ordered_json versions(const Options& options) {
  utsname system{};
  ::uname(&system);
  return {{"relevo", std::string(version())},
          {"postgresql", test::Connection(options.postgres).value("SHOW server_version")},
          {"kafka", options.kafka_version},
          {"librdkafka", rd_kafka_version_str()},
          {"kernel", system.release},
          {"cpu", proc_field("/proc/cpuinfo", "model name")},
          {"cores", std::thread::hardware_concurrency()}};
}

}  // namespace relevo::bench
