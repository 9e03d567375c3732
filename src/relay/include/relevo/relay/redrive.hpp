// Publishes dead events that were released (by a person, or because their topic appeared), in the
// order of their aggregate, and lets the aggregate flow again when none is left. One thread;
// borrows everything.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/core/log.hpp"
#include "relevo/relay/blocked_aggregates.hpp"
#include "relevo/relay/cloud_events.hpp"
#include "relevo/relay/dead_events.hpp"
#include "relevo/relay/metrics.hpp"
#include "relevo/relay/publisher.hpp"
#include "relevo/relay/sender.hpp"
#include "relevo/relay/shards.hpp"

namespace relevo::relay {

class Redrive {
 public:
  using Ports = Sender::Ports;

  Redrive(Ports ports, CloudEvents format) : to_(ports), format_(std::move(format)) {}

  // Mirrors the table for the shards now held.
  void load(DeadEvents& dead);

  // Looks for released events and for topics that appeared, each at its own pace.
  void work(DeadEvents& dead);

  // Writes down what the reports said: removes what is published, parks again what was refused.
  void settle(DeadEvents& dead);

  static bool owns(Ticket ticket);
  // Returns false if it leaves open whether the event was written.
  [[nodiscard]] bool report(const Report& report);
  bool busy() const { return !on_their_way_.empty(); }
  void clear();

 private:
  struct OnItsWay {
    feed::RowId id;
    std::int64_t attempts;
    core::WallTime created_at;
  };

  // Notes the events skipped since the last call; returns their aggregates.
  std::vector<Aggregate> new_skips(DeadEvents& dead);
  void look_for_topics(DeadEvents& dead);
  void send_released(DeadEvents& dead);
  void let_flow(DeadEvents& dead, std::span<const Aggregate> aggregates);

  Ports to_;
  CloudEvents format_;
  core::BootTime next_look_{};
  core::BootTime next_topic_look_{};
  core::BootTime next_blind_retry_{};
  core::BootTime next_reload_{};
  std::optional<core::WallTime> skips_seen_;  // by the database's clock
  std::unordered_map<std::uint64_t, OnItsWay> on_their_way_;
  std::uint64_t tickets_ = 0;
  std::vector<feed::RowId> published_;
  std::vector<Refused> refused_;
};

}  // namespace relevo::relay
