#include <algorithm>
#include <array>

#include "rules.hpp"

namespace relevo::config {

namespace {

struct Refused {
  std::string_view name;
  std::string_view reason;
};

constexpr std::string_view kIdempotence = "order rests on the idempotent producer; it is always on";
constexpr std::string_view kAcks =
    "an event counts as published only when all in-sync replicas have it; always all";
constexpr std::string_view kInFlight = "the order of an aggregate's events rests on it";
constexpr std::string_view kRetries =
    "retrying without end keeps the order; an outage is waited out";
constexpr std::string_view kTimeout =
    "an event that times out lets later ones overtake it; an outage is waited out";
constexpr std::string_view kPartitioner =
    "one key must reach the same partition as from Java; always murmur2_random";
constexpr std::string_view kGapless = "one event that Kafka refuses would stop all others";
constexpr std::string_view kTransaction =
    "Kafka and PostgreSQL do not commit together; it would give nothing here";
constexpr std::string_view kServers = "use kafka.bootstrap_servers";
constexpr std::string_view kCallback = "relevo sets it itself; it is not text";
constexpr std::string_view kQueueLimit = "use relay.max_in_flight";
constexpr std::string_view kReports =
    "without reports of success no event would ever count as published";

constexpr std::array kRefused{
    Refused{"enable.idempotence", kIdempotence},
    Refused{"acks", kAcks},
    Refused{"request.required.acks", kAcks},
    Refused{"max.in.flight", kInFlight},
    Refused{"max.in.flight.requests.per.connection", kInFlight},
    Refused{"queuing.strategy", kInFlight},
    Refused{"retries", kRetries},
    Refused{"message.send.max.retries", kRetries},
    Refused{"message.timeout.ms", kTimeout},
    Refused{"delivery.timeout.ms", kTimeout},
    Refused{"partitioner", kPartitioner},
    Refused{"msg_order_cmp", kInFlight},
    Refused{"enable.gapless.guarantee", kGapless},
    Refused{"transactional.id", kTransaction},
    Refused{"bootstrap.servers", kServers},
    Refused{"metadata.broker.list", kServers},
    Refused{"queue.buffering.max.messages", kQueueLimit},
    Refused{"delivery.report.only.error", kReports},
    Refused{"test.mock.num.brokers", "use kafka.embedded"},
    Refused{"opaque", kCallback},
    Refused{"default_topic_conf", kCallback},
    Refused{"enabled_events", kCallback},
    Refused{"interceptors", kCallback},
    Refused{"ssl_engine_callback_data", kCallback},
    Refused{"ssl_key", kCallback},
    Refused{"ssl_certificate", kCallback},
    Refused{"ssl_ca", kCallback},
};

}  // namespace

std::string_view refusal_of_property(std::string_view name) {
  if (name == "partitioner_cb") return kPartitioner;
  if (name.ends_with("_cb")) return kCallback;
  const auto found = std::find_if(kRefused.begin(), kRefused.end(),
                                  [&](const Refused& r) { return r.name == name; });
  return found == kRefused.end() ? std::string_view{} : found->reason;
}

}  // namespace relevo::config
