#include "client.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "relevo/core/error.hpp"

namespace relevo::kafka {
namespace {

using Property = std::pair<std::string_view, std::string_view>;

constexpr std::string_view kOrderAndLoss = "relevo's guarantees of order and no loss rest on it";
constexpr std::string_view kOwnKey = "relevo has a setting of its own for it";
constexpr std::string_view kNotOffered = "relevo does not support it";

constexpr std::array kRefused{
    Property{"acks", kOrderAndLoss},
    Property{"request.required.acks", kOrderAndLoss},
    Property{"enable.idempotence", kOrderAndLoss},
    Property{"enable.gapless.guarantee", kOrderAndLoss},
    Property{"max.in.flight", kOrderAndLoss},
    Property{"max.in.flight.requests.per.connection", kOrderAndLoss},
    Property{"retries", kOrderAndLoss},
    Property{"message.send.max.retries", kOrderAndLoss},
    Property{"message.timeout.ms", kOrderAndLoss},
    Property{"delivery.timeout.ms", kOrderAndLoss},
    Property{"partitioner", kOrderAndLoss},
    Property{"queuing.strategy", kOrderAndLoss},
    Property{"transactional.id", kOrderAndLoss},
    Property{"bootstrap.servers", kOwnKey},
    Property{"metadata.broker.list", kOwnKey},
    Property{"queue.buffering.max.messages", kOwnKey},
    Property{"queue.buffering.max.kbytes", kOwnKey},
    Property{"client.id", kOwnKey},
    Property{"enable.auto.commit", kOwnKey},
    Property{"enable.auto.offset.store", kOwnKey},
    Property{"auto.offset.reset", kOwnKey},
    Property{"isolation.level", kOwnKey},
    Property{"enable.partition.eof", kOwnKey},
    Property{"group.id", kNotOffered},
    Property{"statistics.interval.ms", kNotOffered},
    Property{"log.queue", kNotOffered},
    Property{"builtin.features", kNotOffered},
    Property{"plugin.library.paths", kNotOffered},
    Property{"test.mock.num.brokers", kNotOffered},
};

constexpr std::array kProducerDefaults{
    Property{"linger.ms", "1"},
    // Large, so that the topic's own limit decides.
    Property{"message.max.bytes", "10485760"},
    Property{"allow.auto.create.topics", "false"},
};

// Default back-off is 10 s: a broker that is back would not be used for so long.
constexpr std::array kClientDefaults{
    Property{"reconnect.backoff.max.ms", "1000"},
    Property{"socket.keepalive.enable", "true"},
    // Brokers close idle connections; nobody needs to hear of it.
    Property{"log.connection.close", "false"},
};

constexpr std::array kMemberDefaults{
    // How long the partitions of a member that died stand still; librdkafka's default is 45 s.
    // Brokers take 6 s to 30 min (group.min.session.timeout.ms).
    Property{"session.timeout.ms", "10000"},
    Property{"heartbeat.interval.ms", "3000"},
    // Fetched ahead per subscription; the default is 64 MiB and 100,000 messages. So little is
    // enough since KafkaConsumer keeps the fetching going.
    Property{"queued.max.messages.kbytes", "1024"},
    Property{"queued.min.messages", "5000"},
    // New topics and partitions are found so soon.
    Property{"topic.metadata.refresh.interval.ms", "15000"},
    Property{"allow.auto.create.topics", "false"},
};

constexpr std::size_t kDefaultBatchSize = 1'000'000;

class Builder {
 public:
  explicit Builder(const ClientOptions& options) : options_(options), conf_(rd_kafka_conf_new()) {
    for (const auto& [name, value] : options.properties) {
      if (const auto reason = refused_property(name)) {
        refuse("kafka property " + name + " cannot be set: " + std::string(*reason));
      }
    }
    set("bootstrap.servers", options.bootstrap_servers);
    set("client.id", options.client_id);
    defaults(kClientDefaults);
  }

  template <std::size_t kCount>
  void defaults(const std::array<Property, kCount>& properties) {
    for (const auto& [name, value] : properties) set(name, value);
  }

  void set(std::string_view name, std::string_view value) {
    std::array<char, 512> text{};
    if (rd_kafka_conf_set(conf_.get(), std::string(name).c_str(), std::string(value).c_str(),
                          text.data(), text.size()) != RD_KAFKA_CONF_OK) {
      refuse("property " + std::string(name) + ": " + text.data());
    }
  }

  void users() {
    for (const auto& [name, value] : options_.properties) set(name, value);
  }

  std::string get(const char* name) const {
    std::array<char, 64> text{};
    std::size_t size = text.size();
    if (rd_kafka_conf_get(conf_.get(), name, text.data(), &size) != RD_KAFKA_CONF_OK) return {};
    return text.data();
  }

  rd_kafka_conf_t* conf() { return conf_.get(); }

  Client build(rd_kafka_type_t type) {
    std::array<char, 512> text{};
    Client client(rd_kafka_new(type, conf_.get(), text.data(), text.size()));
    if (!client) refuse(text.data());
    (void)conf_.release();  // the client's from here on
    return client;
  }

 private:
  [[noreturn]] static void refuse(std::string reason) {
    throw core::IntegrationError(core::ErrorKind::kMisconfigured, "configure kafka client",
                                 std::move(reason));
  }

  const ClientOptions& options_;
  Conf conf_;
};

}  // namespace

std::optional<std::string_view> refused_property(std::string_view name) {
  const auto* found = std::ranges::find(kRefused, name, &Property::first);
  if (found == kRefused.end()) return std::nullopt;
  return found->second;
}

std::size_t configured_batch_size(const ClientOptions& options) {
  const auto found = options.properties.find("batch.size");
  if (found == options.properties.end()) return kDefaultBatchSize;
  const std::string& text = found->second;
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  if (!whole || value == 0) {
    throw core::IntegrationError(core::ErrorKind::kMisconfigured, "configure kafka client",
                                 "batch.size is no positive number");
  }
  return value;
}

Client new_producer(const ClientOptions& options, const ProducerLimits& limits) {
  Builder builder(options);
  builder.defaults(kProducerDefaults);
  // Only what degrades; a user who sets `debug` wants the rest too.
  if (!options.properties.contains("debug")) builder.set("log_level", "4");
  builder.users();

  builder.set("enable.idempotence", "true");
  builder.set("acks", "all");
  // More than one loses events on a partition that is being created:
  // docs/adr/0007-one-request-in-flight.md.
  builder.set("max.in.flight.requests.per.connection", "1");
  // Any finite time-out would break the order of a key: a later record could overtake the expired
  // one.
  builder.set("message.timeout.ms", "0");
  builder.set("partitioner", "murmur2");
  builder.set("statistics.interval.ms", "0");
  builder.set("batch.size", std::to_string(limits.batch_size));
  builder.set("queue.buffering.max.messages", std::to_string(limits.max_in_flight));
  const std::size_t largest = std::stoul(builder.get("message.max.bytes"));
  builder.set("queue.buffering.max.kbytes",
              std::to_string((kMaxBytesInFlight + largest) / 1024 + 1));

  // Reports, errors and log lines all come to the thread that collects.
  builder.set("log.queue", "true");
  rd_kafka_conf_set_events(builder.conf(),
                           RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);
  Client client = builder.build(RD_KAFKA_PRODUCER);
  rd_kafka_set_log_queue(client.get(), nullptr);
  return client;
}

Client new_consumer(const ClientOptions& options, bool read_committed) {
  Builder builder(options);
  builder.users();
  builder.set("enable.auto.commit", "false");
  builder.set("auto.offset.reset", "earliest");
  builder.set("enable.partition.eof", "true");
  builder.set("isolation.level", read_committed ? "read_committed" : "read_uncommitted");
  rd_kafka_conf_set_log_cb(builder.conf(), nullptr);
  return builder.build(RD_KAFKA_CONSUMER);
}

Client new_group_member(const ClientOptions& options, const GroupMember& member) {
  if (const auto found = options.properties.find("partition.assignment.strategy");
      found != options.properties.end() && found->second.find("cooperative") != std::string::npos) {
    throw core::IntegrationError(
        core::ErrorKind::kMisconfigured, "configure kafka client",
        "partition.assignment.strategy: cooperative-sticky makes librdkafka before 2.3 abort the "
        "process; use range,roundrobin");
  }
  Builder builder(options);
  builder.defaults(kMemberDefaults);
  if (!options.properties.contains("debug")) builder.set("log_level", "4");
  builder.users();
  builder.set("group.id", member.group);
  if (!member.instance_id.empty()) builder.set("group.instance.id", member.instance_id);
  builder.set("enable.auto.commit", "false");
  builder.set("enable.auto.offset.store", "false");
  // Never a silent jump: where a group has no offset yet, it is resolved by us.
  builder.set("auto.offset.reset", "error");
  builder.set("isolation.level", "read_committed");
  builder.set("enable.partition.eof", "false");
  builder.set("statistics.interval.ms", "0");
  builder.set("log.queue", "true");
  rd_kafka_conf_set_opaque(builder.conf(), member.opaque);
  rd_kafka_conf_set_rebalance_cb(builder.conf(), member.rebalance);
  rd_kafka_conf_set_offset_commit_cb(builder.conf(), member.committed);
  rd_kafka_conf_set_error_cb(builder.conf(), member.error);
  rd_kafka_conf_set_log_cb(builder.conf(), member.line);
  Client client = builder.build(RD_KAFKA_CONSUMER);
  rd_kafka_set_log_queue(client.get(), nullptr);
  rd_kafka_poll_set_consumer(client.get());
  return client;
}

Queue main_queue(rd_kafka_t* client) { return Queue(rd_kafka_queue_get_main(client)); }

}  // namespace relevo::kafka
