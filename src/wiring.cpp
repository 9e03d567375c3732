#include "wiring.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <random>
#include <stdexcept>

#include "relevo/config/secret_file.hpp"
#include "relevo/core/error.hpp"
#include "relevo/worker/schedule.hpp"

namespace relevo {

std::string_view version() { return RELEVO_VERSION; }

postgres::ConnectOptions connect_options(const config::Config& config, Observer observe) {
  postgres::ConnectOptions options;
  options.url = config.database.url.reveal();
  if (!config.database.password_file.empty()) {
    options.password = config::read_secret_file(config.database.password_file).reveal();
  }
  options.prepared_statements = config.database.prepared_statements;
  options.connect_timeout = config.database.connect_timeout;
  options.statement_timeout = config.database.statement_timeout;
  options.observe = std::move(observe);
  return options;
}

kafka::ClientOptions kafka_options(const config::Config& config) {
  kafka::ClientOptions options{config.kafka.bootstrap_servers, config.kafka.properties, "relevo"};
  for (const auto& [name, path] : config.kafka.property_files) {
    options.properties[name] = config::read_secret_file(path).reveal();
  }
  return options;
}

kafka::PublisherOptions publisher_options(const config::Config& config) {
  kafka::PublisherOptions options;
  options.client = kafka_options(config);
  options.topics = {config.kafka.topics.create, config.kafka.topics.partitions,
                    config.kafka.topics.replication};
  options.max_in_flight = static_cast<std::size_t>(config.relay.max_in_flight);
  return options;
}

relay::Options relay_options(const config::Config& config) {
  relay::Options options;
  options.shards = config.relay.shards;
  options.save_interval = config.relay.save_interval;
  options.poll_min = config.relay.poll_min;
  options.poll_max = config.relay.poll_max;
  options.max_in_flight = static_cast<std::size_t>(config.relay.max_in_flight);
  // The rest of the grace is for handing leases back and ending the threads.
  options.drain = config.shutdown.grace * 3 / 4;
  options.topic = relay::TopicTemplate(config.relay.topic);
  options.source = config.relay.source;
  return options;
}

worker::Options worker_options(const config::Config& config) {
  worker::Options options;
  options.threads = config.worker.threads;
  options.max_in_flight = static_cast<std::size_t>(config.worker.max_in_flight);
  options.poll_min = config.worker.poll_min;
  options.poll_max = config.worker.poll_max;
  options.quarantine_after = config.worker.quarantine_after;
  options.give_up = config.worker.give_up;
  options.drain = config.shutdown.grace * 3 / 4;
  return options;
}

std::vector<worker::ScheduleDefinition> schedules_of(const config::Config& config) {
  std::vector<worker::ScheduleDefinition> all;
  for (const auto& schedule : config.schedules) {
    worker::ScheduleDefinition definition;
    definition.name = schedule.name;
    definition.kind = schedule.kind;
    definition.queue = schedule.queue;
    definition.payload = schedule.payload;
    definition.priority = schedule.priority;
    definition.missed = schedule.missed;
    definition.missed_max = schedule.missed_max;
    definition.unique_key = schedule.unique_key;
    definition.concurrency_key = schedule.concurrency_key;
    definition.rate_key = schedule.rate_key;
    definition.tenant = schedule.tenant;
    definition.timing.every = schedule.every;
    definition.timing.time_zone = schedule.time_zone;
    if (!schedule.cron.empty()) definition.timing.cron = schedule.cron;
    try {
      if (!schedule.at.empty()) definition.timing.at = worker::parse_instant(schedule.at);
      (void)worker::parse_timing(definition.timing);
    } catch (const std::invalid_argument& error) {
      throw core::IntegrationError(core::ErrorKind::kMisconfigured, "schedules",
                                   schedule.name + ": " + error.what());
    }
    all.push_back(std::move(definition));
  }
  return all;
}

std::vector<config::Problem> schedule_problems(const config::Config& config) {
  std::vector<config::Problem> problems;
  for (std::size_t i = 0; i < config.schedules.size(); ++i) {
    const auto& schedule = config.schedules[i];
    const auto check = [&](const std::string& field, std::string_view named, auto parse) {
      try {
        parse();
      } catch (const std::invalid_argument& error) {
        std::string_view why = error.what();
        if (why.starts_with(named)) why.remove_prefix(named.size());  // the key says it
        problems.push_back({"schedules[" + std::to_string(i) + "]." + field, std::string(why)});
      }
    };
    check("time_zone", "time zone ", [&] { (void)worker::TimeZone::find(schedule.time_zone); });
    if (!schedule.cron.empty()) {
      check("cron", "cron ", [&] { (void)worker::Cron::parse(schedule.cron); });
    }
    if (schedule.every) {
      check("every", "every: ", [&] { (void)worker::Timing::every(*schedule.every); });
    }
    if (!schedule.at.empty()) {
      check("at", "at: ", [&] { (void)worker::Timing::at(worker::parse_instant(schedule.at)); });
    }
  }
  return problems;
}

bool has_role(const config::Config& config, std::string_view role) {
  return std::find(config.roles.begin(), config.roles.end(), role) != config.roles.end();
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

std::string instance_name(const config::Config& config) {
  if (!config.instance.empty()) return config.instance;
  static constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::random_device random;
  std::string name = host_name() + "-";
  for (int i = 0; i < 6; ++i) name += kLetters[random() % kLetters.size()];
  return name;
}

}  // namespace relevo
