#include "wiring.hpp"

#include <unistd.h>

#include <array>
#include <random>

#include "relevo/config/secret_file.hpp"

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
