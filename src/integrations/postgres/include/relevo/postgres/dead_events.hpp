// Dead events in relevo.dead_event: the relay's port over one connection; errors as Connection.
#pragma once

#include <memory>
#include <string>

#include "relevo/postgres/connection.hpp"
#include "relevo/relay/dead_events.hpp"

namespace relevo::postgres {

class DeadEvents final : public relay::DeadEvents {
 public:
  DeadEvents(std::shared_ptr<Connection> connection, std::string holder)
      : connection_(std::move(connection)), holder_(std::move(holder)) {}

  std::vector<relay::BlockedAggregate> blocked(std::span<const feed::Slice> shards,
                                               std::size_t most) override;
  std::vector<relay::BlockedAggregate> blocked_among(
      std::span<const relay::Aggregate> aggregates) override;
  std::vector<feed::RowId> park(std::span<const relay::ToPark> events,
                                std::span<const feed::Lease> leases) override;
  relay::RetryRows retryable(std::span<const feed::Slice> shards) override;
  std::vector<relay::Aggregate> published(std::span<const feed::RowId> ids) override;
  void refused(std::span<const relay::Refused> events) override;
  std::vector<relay::Aggregate> release_followers(
      std::span<const relay::Aggregate> aggregates) override;
  std::vector<relay::SkippedEvent> skipped(std::span<const feed::Slice> shards,
                                           std::optional<core::WallTime> since) override;
  std::vector<std::string> missing_topics(std::span<const feed::Slice> shards) override;
  void retry_without_target(std::span<const feed::Slice> shards) override;
  std::int64_t topic_appeared(const std::string& topic,
                              std::span<const feed::Slice> shards) override;

 private:
  void fetch_large_payloads(relay::RetryRows& rows, struct EventMemory& memory);

  std::shared_ptr<Connection> connection_;
  const std::string holder_;
};

}  // namespace relevo::postgres
