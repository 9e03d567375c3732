// The relay's ports in memory: what a test wants the broker and the database to answer.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/core/error.hpp"
#include "relevo/core/log.hpp"
#include "relevo/feed/lease_keeper.hpp"
#include "relevo/feed/position_store.hpp"
#include "relevo/feed/window_reader.hpp"
#include "relevo/relay/dead_events.hpp"
#include "relevo/relay/metrics.hpp"
#include "relevo/relay/outbox_rows.hpp"
#include "relevo/relay/publisher.hpp"

namespace relevo::test {

class FakeClock final : public core::Clock {
 public:
  core::BootTime now() const override { return now_; }
  core::WallTime wall() const override {
    return core::WallTime{std::chrono::floor<std::chrono::microseconds>(now_.time_since_epoch())};
  }
  void advance(std::chrono::nanoseconds time) { now_ += time; }

 private:
  core::BootTime now_{std::chrono::hours(1000)};
};

class QuietLog final : public core::Log {
 public:
  void write(core::Level, std::string_view message, std::span<const core::Field>) override {
    lines.emplace_back(message);
  }
  std::vector<std::string> lines;
};

class CountingMetrics final : public relay::Metrics {
 public:
  void published(std::span<const std::chrono::microseconds> events) override {
    published_ += events.size();
  }
  void publish_failed(std::string_view reason, std::size_t events) override {
    failed[std::string(reason)] += events;
  }
  void batch_read(std::size_t) override {}
  void shards_held(std::size_t) override {}
  void lease_lost(std::size_t shards) override { leases_lost += shards; }
  void producer_reopened() override { ++reopened; }
  void queue_depth(std::size_t) override {}
  void backlog(std::int64_t, bool, std::chrono::duration<double>) override {}
  void dead_events(std::int64_t, std::int64_t) override {}

  std::size_t published_ = 0;
  std::map<std::string, std::size_t> failed;
  std::size_t leases_lost = 0;
  std::size_t reopened = 0;
};

// Accepts everything unless `answer` says otherwise; reports when told to.
class FakePublisher final : public relay::Publisher {
 public:
  struct Sent {
    std::string topic;
    std::string key;
    std::string value;
    relay::Ticket ticket = 0;
  };

  std::function<relay::Send(const relay::Record&)> answer = [](const auto&) {
    return relay::Send::kAccepted;
  };
  std::vector<Sent> sent;
  std::vector<relay::Report> to_report;
  std::set<std::string> topics;  // for probe_topic
  std::size_t unreported = 0;
  bool lost = false;

  relay::SendResult send(const relay::Record& record, relay::Ticket ticket) override {
    const auto status = answer(record);
    if (status != relay::Send::kAccepted) return {status, "refused by the test"};
    sent.push_back({std::string(record.topic), std::string(record.key),
                    std::string(record.value.value_or("")), ticket});
    ++unreported;
    return {};
  }
  bool collect(std::chrono::milliseconds, std::vector<relay::Report>& reports) override {
    unreported -= std::min(unreported, to_report.size());
    reports.insert(reports.end(), to_report.begin(), to_report.end());
    to_report.clear();
    return !lost;
  }
  std::string last_error() const override { return "error of the test"; }
  relay::SendResult probe_topic(const std::string& topic) override {
    return {topics.contains(topic) ? relay::Send::kAccepted : relay::Send::kUnknownTopic, {}};
  }
  bool reachable() const override { return true; }
  std::size_t in_flight() const override { return unreported; }
  void reopen() override {
    unreported = 0;
    lost = false;
  }

  std::vector<std::string> keys() const {
    std::vector<std::string> keys;
    for (const auto& record : sent) keys.push_back(record.key);
    return keys;
  }
};

// Position rows as relevo.position keeps them, with its fences.
class FakePositions final : public feed::PositionStore {
 public:
  explicit FakePositions(int slices) {
    for (int i = 0; i < slices; ++i) {
      feed::PositionRow row;
      row.held.slice = static_cast<feed::Slice>(i);
      row.held.position = {1, 1, feed::kWindowStart, 1001};
      rows.push_back(row);
    }
  }
  std::vector<feed::PositionRow> rows;
  bool answer_is_lost = false;  // the next save() is done, but its answer does not arrive

  std::vector<feed::Held> take(const std::string& holder, std::chrono::milliseconds,
                               int most) override {
    std::vector<feed::Held> taken;
    for (auto& row : rows) {
      if (!row.expired || static_cast<int>(taken.size()) == most) continue;
      row.holder = holder;
      row.expired = false;
      ++row.held.epoch;
      ++row.held.version;
      taken.push_back(row.held);
    }
    return taken;
  }
  std::vector<feed::Slice> save(std::span<const feed::Held> positions) override {
    std::vector<feed::Slice> saved;
    for (const auto& held : positions) {
      auto& row = rows[held.slice].held;
      if (row.epoch != held.epoch || row.version != held.version) continue;
      row.position = held.position;
      ++row.version;
      saved.push_back(held.slice);
    }
    if (std::exchange(answer_is_lost, false)) {
      throw core::IntegrationError(core::ErrorKind::kDisconnected, "save", "reply lost");
    }
    return saved;
  }
  void release(const std::string& holder, std::span<const feed::Lease> leases) override {
    for (const auto& lease : leases) {
      auto& row = rows[lease.slice];
      if (row.holder != holder || row.held.epoch != lease.epoch) continue;
      row.holder.clear();
      row.expired = true;
    }
  }
  std::vector<feed::PositionRow> read() override { return rows; }
};

class FakeLeases final : public feed::LeaseStore {
 public:
  // Who lives, as the test may change it while the keeper's thread asks.
  class Replicas {
   public:
    explicit Replicas(std::vector<std::string> alive) : alive_(std::move(alive)) {}
    void set(std::vector<std::string> alive) {
      std::lock_guard lock(mutex_);
      alive_ = std::move(alive);
    }
    std::vector<std::string> get() const {
      std::lock_guard lock(mutex_);
      return alive_;
    }

   private:
    mutable std::mutex mutex_;
    std::vector<std::string> alive_;
  };

  explicit FakeLeases(const Replicas& replicas) : replicas_(replicas) {}
  std::vector<feed::Slice> renew(const std::string&, std::span<const feed::Lease> leases,
                                 std::chrono::milliseconds) override {
    std::vector<feed::Slice> all;
    for (const auto& lease : leases) all.push_back(lease.slice);
    return all;
  }
  void heartbeat(const std::string&, std::chrono::milliseconds) override {}
  std::vector<std::string> alive(std::chrono::milliseconds) override { return replicas_.get(); }
  void leave(const std::string&) override {}

 private:
  const Replicas& replicas_;
};

class FakeDeadEvents final : public relay::DeadEvents {
 public:
  std::map<feed::RowId, std::string> parked;  // id -> reason
  std::vector<relay::Aggregate> aggregates_free;
  relay::RetryRows to_retry;
  std::vector<relay::Refused> refused_;
  std::vector<relay::BlockedAggregate> blocked_;
  std::vector<relay::SkippedEvent> skipped_;
  std::vector<std::string> missing;
  std::vector<std::string> appeared;
  std::vector<feed::RowId> removed;
  bool fenced = false;
  int asked_among = 0;
  int blind_retries = 0;

  std::vector<relay::BlockedAggregate> blocked(std::span<const feed::Slice>, std::size_t) override {
    return blocked_;
  }
  std::vector<relay::BlockedAggregate> blocked_among(
      std::span<const relay::Aggregate> aggregates) override {
    ++asked_among;
    std::vector<relay::BlockedAggregate> found;
    for (const auto& [aggregate, first] : blocked_) {
      for (const auto& asked : aggregates) {
        if (asked.type == aggregate.type && asked.id == aggregate.id)
          found.push_back({aggregate, first});
      }
    }
    return found;
  }
  std::vector<feed::RowId> park(std::span<const relay::ToPark> events,
                                std::span<const feed::Lease>) override {
    std::vector<feed::RowId> ids;
    for (const auto& event : events) {
      if (fenced) continue;
      parked[event.id] = event.reason;
      ids.push_back(event.id);
    }
    return ids;
  }
  relay::RetryRows retryable(std::span<const feed::Slice>) override { return to_retry; }
  std::vector<relay::Aggregate> published(std::span<const feed::RowId> ids) override {
    removed.insert(removed.end(), ids.begin(), ids.end());
    std::erase_if(to_retry.rows, [&](const auto& row) {
      return std::find(ids.begin(), ids.end(), row.event.id) != ids.end();
    });
    return aggregates_free;
  }
  void refused(std::span<const relay::Refused> events) override {
    refused_.insert(refused_.end(), events.begin(), events.end());
    to_retry.rows.clear();
  }
  std::vector<relay::Aggregate> release_followers(
      std::span<const relay::Aggregate> aggregates) override {
    return {aggregates.begin(), aggregates.end()};
  }
  std::vector<relay::SkippedEvent> skipped(std::span<const feed::Slice>,
                                           std::optional<core::WallTime>) override {
    return skipped_;
  }
  std::vector<std::string> missing_topics(std::span<const feed::Slice>) override { return missing; }
  void retry_without_target(std::span<const feed::Slice>) override { ++blind_retries; }
  std::int64_t topic_appeared(const std::string& topic, std::span<const feed::Slice>) override {
    appeared.push_back(topic);
    return 1;
  }
};

class FakePayloads final : public relay::PayloadSource {
 public:
  std::map<feed::RowId, std::string> stored;
  std::vector<std::vector<feed::RowId>> asked;
  std::vector<std::pair<feed::RowId, std::string>> payloads(
      std::span<const feed::RowId> ids) override {
    asked.emplace_back(ids.begin(), ids.end());
    std::vector<std::pair<feed::RowId, std::string>> found;
    for (const auto id : ids) {
      if (stored.contains(id)) found.emplace_back(id, stored[id]);
    }
    return found;
  }
};

// A source without rows: for what is under test above the reader.
class EmptyOutbox final : public feed::TickSource, public feed::WindowSource<relay::OutboxRows> {
 public:
  static constexpr feed::TickId kUnknownTick = 77;

  std::string probe() override { return "10:10:"; }
  std::optional<feed::Tick> next_tick() override { return tick(1); }
  std::vector<feed::Tick> find_ticks(std::span<const feed::TickId> ids) override {
    std::vector<feed::Tick> ticks;
    for (const auto id : ids) {
      if (id != kUnknownTick) ticks.push_back(tick(id));
    }
    return ticks;
  }
  std::optional<relay::OutboxRows> small_window(const feed::Tick&, const feed::Tick&, feed::RowId,
                                                std::span<const feed::Slice>) override {
    return relay::OutboxRows{};
  }
  feed::RowId lower_bound(const feed::Tick&, const feed::Tick&) override {
    return feed::kWindowStart;
  }
  void request_page(const feed::Tick&, const feed::Tick&, feed::RowId,
                    std::span<const feed::Slice>) override {}
  feed::Page<relay::OutboxRows> receive_page() override { return {}; }

 private:
  static feed::Tick tick(feed::TickId id) {
    return {id, 1000 + id, feed::Snapshot::parse("10:10:")};
  }
};

}  // namespace relevo::test
