// Hands rows to the publisher in order, keeps count of what is on its way, and parks what cannot be
// published together with the events that queue behind it. One thread; borrows everything.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/core/log.hpp"
#include "relevo/feed/window_reader.hpp"
#include "relevo/relay/blocked_aggregates.hpp"
#include "relevo/relay/cloud_events.hpp"
#include "relevo/relay/dead_events.hpp"
#include "relevo/relay/metrics.hpp"
#include "relevo/relay/publisher.hpp"
#include "relevo/relay/shards.hpp"

namespace relevo::relay {

// The event was not published and never will be as it is: word for metrics and table. nullopt:
// published, or the question is open.
std::optional<std::string_view> refusal(Send status);
std::optional<std::string_view> refusal(Outcome outcome);

class Sender {
 public:
  enum class Progress {
    kDone,         // nothing of the delivery is left
    kFull,         // as much is on its way as is allowed
    kUnavailable,  // the broker cannot be reached
    kLost,         // the producer is lost
  };

  struct Ports {
    Shards& shards;
    BlockedAggregates& blocked;
    Publisher& publisher;
    Metrics& metrics;
    core::Log& log;
    const core::Clock& clock;
  };

  Sender(Ports ports, CloudEvents format, std::size_t max_in_flight);

  // Takes over what was read. Requires idle().
  void begin(feed::Delivery<OutboxRows> delivery);
  bool idle() const { return !delivery_; }

  // Goes on with the delivery as far as possible. What is refused is parked before this returns.
  [[nodiscard]] Progress send(PayloadSource& payloads, DeadEvents& dead);

  // A delivery report. Returns false if it leaves open whether the event was written.
  [[nodiscard]] bool report(const Report& report);
  // Parks what the reports refused, tells the metrics. To be called after a run of report()s.
  void settle_reports(DeadEvents& dead);

  // Forgets the delivery and everything to be parked: it will be read again.
  void clear();

  const std::string& last_error() const { return last_error_; }

 private:
  void learn_blocked(DeadEvents& dead);
  // By slice; nullptr: not (or no longer) to be sent from this delivery.
  std::vector<Shard*> open_shards();
  std::optional<std::string_view> payload_of(std::size_t index, PayloadSource& payloads);
  void park(Shard& shard, std::uint64_t number, ToPark event);
  void commit_parked(DeadEvents& dead);

  Ports to_;
  CloudEvents format_;
  const std::size_t max_in_flight_;

  std::optional<feed::Delivery<OutboxRows>> delivery_;
  // The tenures it was read for. A shard that was lost and taken again since stands elsewhere.
  std::vector<std::pair<feed::Slice, std::uint64_t>> read_for_;
  std::size_t next_ = 0;                                      // row to be sent next
  std::vector<std::pair<feed::RowId, std::string>> fetched_;  // large payloads of the rows ahead

  std::vector<ToPark> to_park_;
  std::vector<std::pair<Ticket, feed::RowId>> parking_;  // beside to_park_
  std::vector<std::chrono::microseconds> latencies_;
  std::string last_error_;
};

}  // namespace relevo::relay
