#include "relevo/config/validate.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <iterator>
#include <string_view>
#include <utility>

#include "relevo/config/listen_address.hpp"
#include "rules.hpp"
#include "value.hpp"
#include "value_rules.hpp"

namespace relevo::config {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::hours kYear{365 * 24};

bool is_blank(char c) { return c == ' ' || c == '\t'; }

// As librdkafka reads an entry: an optional protocol, a host, and a port unless it is 9092.
bool is_broker(std::string_view entry) {
  if (const auto end = entry.find("://"); end != std::string_view::npos) {
    std::string protocol(entry.substr(0, end));
    std::transform(protocol.begin(), protocol.end(), protocol.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (!is_one_of(protocol, {"plaintext", "ssl", "sasl_plaintext", "sasl_ssl"})) return false;
    entry.remove_prefix(end + 3);
  }
  const bool has_port = entry.find(':') != std::string_view::npos && !entry.ends_with(']');
  const auto address = parse_listen_address(std::string(entry) + (has_port ? "" : ":9092"));
  return address && address->port != 0;
}

// librdkafka leaves out what it cannot read, and waits for ever when nothing is left.
bool are_brokers(std::string_view list) {
  bool some = false;
  while (!list.empty()) {
    auto entry = list.substr(0, list.find(','));
    list.remove_prefix(std::min(entry.size() + 1, list.size()));
    while (!entry.empty() && is_blank(entry.front())) entry.remove_prefix(1);
    while (!entry.empty() && is_blank(entry.back())) entry.remove_suffix(1);
    if (entry.empty()) continue;
    if (!is_broker(entry)) return false;
    some = true;
  }
  return some;
}

class Checker {
 public:
  explicit Checker(const Config& config) : config_(config) {}

  std::vector<Broken> run() {
    roles();
    instance();
    database();
    kafka();
    kafka_properties();
    relay();
    worker();
    topic();
    source();
    outside();
    consumer();
    auto of_records = broken_record_rules(config_);
    std::move(of_records.begin(), of_records.end(), std::back_inserter(broken_));
    return std::move(broken_);
  }

 private:
  void broken(std::string key, std::string message) {
    broken_.push_back({{std::move(key)}, std::move(message)});
  }

  void within(const std::string& key, milliseconds value, milliseconds least, milliseconds most) {
    if (auto complaint = out_of_range(value, least, most)) broken(key, std::move(*complaint));
  }

  void within(const std::string& key, std::int64_t value, std::int64_t least, std::int64_t most) {
    if (auto complaint = out_of_range(value, least, most)) broken(key, std::move(*complaint));
  }

  void roles() {
    if (config_.roles.empty()) broken("roles", "at least one role is needed, as in [relay]");
    for (const std::string& role : config_.roles) {
      if (is_one_of(role, {"relay", "worker", "consumer", "scheduler"})) continue;
      const bool announced = is_one_of(role, {"webhooks", "admin"});
      broken("roles", announced ? "role \"" + role + "\" is not in this version"
                                : "unknown role " + in_quotes(role) +
                                      "; known: relay, worker, consumer, scheduler");
    }
  }

  void instance() {
    if (config_.instance.size() > 63 || !is_printable(config_.instance)) {
      broken("instance", "must be at most 63 printable characters");
    }
  }

  void database() {
    const std::string& url = config_.database.url.reveal();
    const bool uri = url.starts_with("postgresql://") || url.starts_with("postgres://");
    if (url.empty()) {
      broken("database.url", "must not be empty");
    } else if (!uri && (url.find('=') == std::string::npos || url.find("://") < url.find('='))) {
      broken("database.url",
             "must be postgresql://user@host/database or libpq's host=… user=… form");
    }
    within("database.connect_timeout", config_.database.connect_timeout, 1s, 5min);
    within("database.statement_timeout", config_.database.statement_timeout, 1s, 10min);
  }

  void kafka() {
    const Kafka& kafka = config_.kafka;
    if (kafka.bootstrap_servers.empty() && !kafka.embedded) {
      broken_.push_back({{"kafka.bootstrap_servers", "kafka.embedded"},
                         "must not be empty, as in host:9092,host:9092"});
    } else if (!kafka.embedded && !are_brokers(kafka.bootstrap_servers)) {
      broken("kafka.bootstrap_servers",
             "must be host:port separated by commas, as in host:9092,host:9092");
    }
    within("kafka.topics.partitions", kafka.topics.partitions, 1, 10'000);
    if (kafka.topics.replication != -1)
      within("kafka.topics.replication", kafka.topics.replication, 1, 32);
  }

  void kafka_properties() {
    const auto check_name = [this](const std::string& key, const std::string& name) {
      if (name.empty() || !std::all_of(name.begin(), name.end(), is_name_character)) {
        broken(key, in_quotes(name) + " is not the name of a librdkafka property");
      } else if (const auto reason = refusal_of_property(name); !reason.empty()) {
        broken(key, name + " cannot be set: " + std::string(reason));
      }
    };
    for (const auto& [name, value] : config_.kafka.properties) check_name("kafka.properties", name);
    for (const auto& [name, path] : config_.kafka.property_files) {
      check_name("kafka.property_files", name);
      if (path.empty()) broken("kafka.property_files", in_quotes(name) + " names no file");
      if (config_.kafka.properties.contains(name)) {
        broken_.push_back({{"kafka.property_files", "kafka.properties"},
                           in_quotes(name) + " is in kafka.properties too; set it in one of them"});
      }
    }
  }

  void relay() {
    const Relay& relay = config_.relay;
    if (relay.delivery == "exactly_once") {
      broken("relay.delivery", "\"exactly_once\" is not in this version; use at_least_once");
    } else if (relay.delivery != "at_least_once") {
      broken("relay.delivery",
             "unknown guarantee " + in_quotes(relay.delivery) + "; known: at_least_once");
    }
    if (relay.shards < 1 || relay.shards > 256 ||
        !std::has_single_bit(static_cast<unsigned>(relay.shards))) {
      broken("relay.shards",
             "must be a power of two, 1 to 256, is " + std::to_string(relay.shards));
    }
    within("relay.lease_ttl", relay.lease_ttl, 2s, 5min);
    if (relay.save_interval < 1ms) {
      broken("relay.save_interval", "must be at least 1ms");
    } else if (relay.save_interval * 4 >= relay.lease_ttl) {
      broken_.push_back({{"relay.save_interval", "relay.lease_ttl"},
                         "must be less than a quarter of relay.lease_ttl (" +
                             to_text(relay.lease_ttl) + "), is " + to_text(relay.save_interval)});
    }
    polling("relay", relay.poll_min, relay.poll_max);
    within("relay.max_in_flight", relay.max_in_flight, 100, 1'000'000);
  }

  void worker() {
    const Worker& worker = config_.worker;
    within("worker.threads", worker.threads, 1, 256);
    within("worker.max_in_flight", worker.max_in_flight, 10, 20'000);
    within("worker.lease_ttl", worker.lease_ttl, 2s, 5min);
    polling("worker", worker.poll_min, worker.poll_max);
    within("worker.quarantine_after", worker.quarantine_after, 1, 100);
    within("worker.give_up", worker.give_up, 1s, 1h);
    within("worker.history", worker.history, 1h, kYear);
  }

  void polling(const std::string& section, milliseconds least, milliseconds most) {
    const std::string shortest = section + ".poll_min";
    const std::string longest = section + ".poll_max";
    within(shortest, least, 1ms, 1s);
    within(longest, most, 1ms, 1s);
    if (least <= most) return;
    broken_.push_back(
        {{shortest, longest},
         "must not exceed " + longest + " (" + to_text(most) + "), is " + to_text(least)});
  }

  void topic() {
    constexpr std::size_t kKafkaLimit = 249;
    std::string_view rest = config_.relay.topic;
    if (rest.empty()) return broken("relay.topic", "must not be empty");
    if (rest == "." || rest == "..")
      return broken("relay.topic", "Kafka has no topic " + in_quotes(rest));
    std::size_t fixed = 0;
    while (!rest.empty()) {
      if (rest.front() == '{') {
        const auto end = rest.find('}');
        if (end == std::string_view::npos) return broken("relay.topic", "a { is not closed");
        const std::string_view placeholder = rest.substr(0, end + 1);
        if (!is_one_of(placeholder, {"{aggregate_type}", "{event_type}", "{tenant}"})) {
          return broken("relay.topic", "unknown placeholder " + in_quotes(placeholder) +
                                           "; known: {aggregate_type}, {event_type}, {tenant}");
        }
        rest.remove_prefix(placeholder.size());
      } else {
        if (!is_name_character(rest.front())) {
          return broken("relay.topic", "a topic holds letters, digits, '.', '_' and '-' only");
        }
        rest.remove_prefix(1);
        ++fixed;
      }
    }
    if (fixed > kKafkaLimit) broken("relay.topic", "longer than Kafka's 249 characters");
  }

  void source() {
    const std::string& source = config_.relay.source;
    const bool legal = std::all_of(source.begin(), source.end(), [](char c) {
      return c > 0x20 && c < 0x7f &&
             std::string_view("<>\"{}|\\^`").find(c) == std::string_view::npos;
    });
    if (source.empty()) {
      broken("relay.source", "must not be empty");
    } else if (!legal || source.size() > 1'024) {
      broken(
          "relay.source",
          "must be a URI reference of at most 1024 characters without spaces, as in /shop/orders");
    }
  }

  void outside() {
    if (!config_.http.listen.empty() && !parse_listen_address(config_.http.listen)) {
      broken("http.listen", "must be host:port, as in 0.0.0.0:9464 or [::1]:0, is " +
                                in_quotes(config_.http.listen));
    }
    if (!is_one_of(config_.log.level, {"debug", "info", "warn", "error"})) {
      broken("log.level", "must be debug, info, warn or error, is " + in_quotes(config_.log.level));
    }
    if (!is_one_of(config_.log.format, {"auto", "json", "text"})) {
      broken("log.format", "must be auto, json or text, is " + in_quotes(config_.log.format));
    }
    within("shutdown.grace", config_.shutdown.grace, 1s, 1h);
  }

  void consumer() {
    const bool consumes =
        std::find(config_.roles.begin(), config_.roles.end(), "consumer") != config_.roles.end();
    if (!consumes || !config_.subscriptions.empty()) return;
    broken_.push_back({{"subscriptions", "roles"}, "at least one is needed by the role consumer"});
  }

  const Config& config_;
  std::vector<Broken> broken_;
};

}  // namespace

std::vector<Broken> broken_rules(const Config& config) { return Checker(config).run(); }

std::vector<Problem> validate(const Config& config) {
  std::vector<Problem> problems;
  for (const Broken& broken : broken_rules(config))
    problems.push_back({broken.keys.front(), broken.message});
  return problems;
}

}  // namespace relevo::config
