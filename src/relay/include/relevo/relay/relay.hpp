// The relay of one replica: takes its share of the shards, reads what was committed to their
// outbox, publishes it in order, and saves how far everything is acknowledged or parked.
//
// Guarantees at-least-once delivery and, per aggregate, the order of first occurrences, across
// crashes of the relay, the broker and PostgreSQL (docs/guarantees.md). Neither PostgreSQL nor
// Kafka being away ends it: it waits and goes on.
//
// One thread does everything, so that no state is shared: PostgreSQL works on the next page and
// librdkafka's own threads send while it hands over the page before. Leases are renewed elsewhere
// (feed::LeaseKeeper).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "relevo/core/backoff.hpp"
#include "relevo/core/heartbeat.hpp"
#include "relevo/core/outage.hpp"
#include "relevo/core/service.hpp"
#include "relevo/feed/lease_keeper.hpp"
#include "relevo/feed/position_store.hpp"
#include "relevo/feed/ticker.hpp"
#include "relevo/relay/blocked_aggregates.hpp"
#include "relevo/relay/dead_events.hpp"
#include "relevo/relay/metrics.hpp"
#include "relevo/relay/outbox_rows.hpp"
#include "relevo/relay/publisher.hpp"
#include "relevo/relay/redrive.hpp"
#include "relevo/relay/sender.hpp"
#include "relevo/relay/shards.hpp"

namespace relevo::relay {

struct Options {
  int shards = 8;
  std::chrono::milliseconds save_interval{250};
  std::chrono::milliseconds poll_min{1};
  std::chrono::milliseconds poll_max{25};
  std::size_t max_in_flight = 20'000;
  std::chrono::milliseconds drain{20'000};  // how long stop() waits for what is on its way
  TopicTemplate topic{"outbox.event.{aggregate_type}"};
  std::string source = "/relevo";
};

// The relay's connections to PostgreSQL. Thrown away as a whole after any error.
struct Session {
  std::unique_ptr<feed::TickSource> ticks;
  std::unique_ptr<feed::WindowSource<OutboxRows>> outbox;
  std::unique_ptr<PayloadSource> payloads;
  std::unique_ptr<feed::PositionStore> positions;
  std::unique_ptr<DeadEvents> dead;
};

class Relay final : public core::Service {
 public:
  struct Ports {
    std::function<Session()> connect;  // throws core::IntegrationError
    feed::LeaseKeeper& leases;
    Publisher& publisher;
    Metrics& metrics;
    core::Log& log;
    const core::Clock& clock;
  };

  Relay(Options options, Ports ports);
  ~Relay() override;

  std::string_view name() const override { return "relay"; }
  void start() override;
  // Publishes what is on its way, saves, hands the leases back.
  void stop() override;

  const core::Heartbeat& heartbeat() const { return heartbeat_; }
  // Connected to PostgreSQL: reads, or stands by because others hold all shards.
  bool ready() const { return ready_.load(std::memory_order_relaxed); }
  bool kafka_reachable() const { return kafka_reachable_.load(std::memory_order_relaxed); }

 private:
  // A session with what reads through it.
  struct Connected {
    explicit Connected(Session s)
        : session(std::move(s)), ticker(*session.ticks), reader(ticker, *session.outbox) {}
    Session session;
    feed::Ticker ticker;
    OutboxReader reader;
  };

  void run();
  void connect();
  void disconnect(std::string_view reason);
  void turn();
  bool read_and_send(bool& worked);
  bool collect(std::chrono::milliseconds wait);
  void save_if_due();
  void balance_if_due();
  bool keep_leases();
  void wait_collecting(std::chrono::milliseconds time);
  void reopen_producer(std::string_view reason);
  void open_producer();
  void start_over();
  void drain();
  std::chrono::milliseconds idle_time() const;

  const Options options_;
  Ports to_;
  core::Outage postgres_outage_;
  core::Heartbeat heartbeat_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> ready_{false};
  std::atomic<bool> kafka_reachable_{false};

  Shards shards_;
  BlockedAggregates blocked_;
  Sender sender_;
  Redrive redrive_;
  std::optional<Connected> connected_;
  std::vector<Report> reports_;
  core::BootTime next_save_{};
  core::BootTime next_balance_{};
  core::BootTime next_look_{};
  core::BootTime kafka_retry_{};
  core::Backoff kafka_backoff_;
  bool reading_ = false;  // this session has read, or has nothing to read
  bool producer_in_doubt_ = false;
  core::BootTime last_reopen_{};
  core::BootTime connect_at_{};
  core::Backoff reopen_backoff_;
  std::chrono::milliseconds poll_;

  std::thread thread_;
};

}  // namespace relevo::relay
