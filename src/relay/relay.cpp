#include "relevo/relay/relay.hpp"

#include <algorithm>
#include <utility>

#include "relevo/core/error.hpp"

namespace relevo::relay {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr auto kBalanceEvery = 200ms;
constexpr auto kLongestWait = 50ms;  // between two looks at the stop flag
constexpr auto kCalm = 30s;  // without a lost producer: the next loss is taken for the first

}  // namespace

Relay::Relay(Options options, Ports ports)
    : options_(std::move(options)),
      to_(std::move(ports)),
      postgres_outage_("postgres", to_.log, to_.clock),
      shards_(to_.leases, to_.metrics, to_.log, to_.clock),
      sender_({shards_, blocked_, to_.publisher, to_.metrics, to_.log, to_.clock},
              CloudEvents(options_.topic, options_.source), options_.max_in_flight),
      redrive_({shards_, blocked_, to_.publisher, to_.metrics, to_.log, to_.clock},
               CloudEvents(options_.topic, options_.source)),
      kafka_backoff_(50ms, 1000ms),
      reopen_backoff_(50ms, 10s),
      poll_(options_.poll_min) {}

Relay::~Relay() { stop(); }

void Relay::start() {
  stopping_ = false;
  heartbeat_.beat(to_.clock.now());
  thread_ = std::thread([this] { run(); });
}

void Relay::stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

void Relay::run() {
  core::Backoff backoff(50ms, 1000ms);
  while (!stopping_) {
    heartbeat_.beat(to_.clock.now());
    try {
      if (const auto early = connect_at_ - to_.clock.now(); !connected_ && early > 0ms) {
        wait_collecting(std::chrono::ceil<milliseconds>(early));
        continue;
      }
      if (!connected_) connect();
      turn();
      if (!reading_) continue;
      // Not before a look or a read succeeded: a column that is gone fails only there.
      ready_ = true;
      postgres_outage_.recovered();
      backoff.reset();
    } catch (const core::IntegrationError& error) {
      disconnect(error.what());
      wait_collecting(backoff.next());
    }
  }
  ready_ = false;
  drain();
  heartbeat_.rest();
}

void Relay::connect() {
  connected_.emplace(to_.connect());
  start_over();
  reading_ = shards_.size() == 0;
}

void Relay::disconnect(std::string_view reason) {
  connected_.reset();
  ready_ = false;
  postgres_outage_.failed(reason);
}

// After a new connection or a new producer: keep what is acknowledged, forget the rest, read again.
void Relay::start_over() {
  auto& [session, ticker, reader] = *connected_;
  reader.clear();
  ticker.forget_ticks();
  if (producer_in_doubt_) open_producer();
  // Events still on their way would go out twice if the reading began now.
  for (const auto deadline = to_.clock.now() + 2s;
       to_.publisher.in_flight() > 0 && to_.clock.now() < deadline && !stopping_;) {
    heartbeat_.beat(to_.clock.now());
    if (!collect(kLongestWait)) open_producer();
  }
  sender_.settle_reports(*session.dead);
  sender_.clear();
  redrive_.settle(*session.dead);
  redrive_.clear();
  shards_.save(*session.positions, reader);
  shards_.resume(*session.positions, reader);
  redrive_.load(*session.dead);
  next_balance_ = next_look_ = {};
}

void Relay::turn() {
  if (!keep_leases()) return;
  balance_if_due();
  bool worked = true;
  if (!read_and_send(worked)) return;
  redrive_.work(*connected_->session.dead);
  save_if_due();
  to_.metrics.queue_depth(to_.publisher.in_flight());
  kafka_reachable_ = to_.publisher.reachable();
  if (!collect(worked ? 0ms : idle_time())) return reopen_producer(to_.publisher.last_error());
  // Before anything else of the same aggregates is read.
  sender_.settle_reports(*connected_->session.dead);
}

// Returns false when it gave up the session; else `worked` says whether to come back at once.
bool Relay::read_and_send(bool& worked) {
  worked = false;
  auto& [session, ticker, reader] = *connected_;
  const auto now = to_.clock.now();
  if (now < kafka_retry_) return true;
  if (sender_.idle()) {
    if (reader.wants_look() && now >= next_look_) {
      const bool found = reader.look();
      reading_ |= !found;
      poll_ = found ? options_.poll_min : std::min(poll_ * 3 / 2 + 1ms, options_.poll_max);
      next_look_ = to_.clock.now() + poll_;
    }
    if (!reader.has_window()) return true;
    sender_.begin(reader.step());
    reading_ = true;
  }
  switch (sender_.send(*session.payloads, *session.dead)) {
    case Sender::Progress::kDone:
      kafka_backoff_.reset();
      worked = true;
      return true;
    case Sender::Progress::kFull: return true;
    case Sender::Progress::kUnavailable:
      kafka_retry_ = to_.clock.now() + kafka_backoff_.next();
      return true;
    case Sender::Progress::kLost: reopen_producer(sender_.last_error()); return false;
  }
  return true;
}

// Returns false when the producer is lost, or left open whether an event was written: nothing more
// may be sent through it, or later events would overtake that one.
bool Relay::collect(milliseconds wait) {
  reports_.clear();
  bool alive = to_.publisher.collect(wait, reports_);
  for (const auto& report : reports_) {
    alive &= Redrive::owns(report.ticket) ? redrive_.report(report) : sender_.report(report);
  }
  producer_in_doubt_ |= !alive;
  return alive;
}

void Relay::save_if_due() {
  const auto now = to_.clock.now();
  if (now < next_save_) return;
  next_save_ = now + options_.save_interval;
  auto& [session, ticker, reader] = *connected_;
  shards_.save(*session.positions, reader);
}

void Relay::balance_if_due() {
  const auto now = to_.clock.now();
  if (now < next_balance_) return;
  next_balance_ = now + kBalanceEvery;
  auto& [session, ticker, reader] = *connected_;
  if (shards_.balance(*session.positions, reader, options_.shards)) redrive_.load(*session.dead);
  to_.metrics.shards_held(shards_.size());
}

// Drops what can no longer be trusted. Returns false when it gave up the session.
bool Relay::keep_leases() {
  const auto lapsed = shards_.lapsed();
  if (lapsed.empty()) return true;
  to_.log.warn("lease lost", {{"shards", lapsed.size()}});
  to_.metrics.lease_lost(lapsed.size());
  // Whoever holds the shards now sends the same events: what is still queued here must not follow.
  const bool reopen = to_.publisher.in_flight() > 0;
  auto* reader = connected_ && !reopen ? &connected_->reader : nullptr;
  for (const auto slice : lapsed) shards_.drop(slice, reader);
  to_.metrics.shards_held(shards_.size());
  if (reopen) reopen_producer("lease lost");
  return !reopen;
}

// The session goes too: its connection may have a page under way, and there is one way to begin
// again.
void Relay::reopen_producer(std::string_view reason) {
  to_.log.warn("producer is opened anew", {{"reason", reason}});
  to_.metrics.publish_failed(reason::kProducerLost, to_.publisher.in_flight());
  connected_.reset();
  reading_ = false;
  open_producer();
  // What makes a producer fail again and again must not turn into a storm.
  const auto now = to_.clock.now();
  if (now - last_reopen_ > kCalm) reopen_backoff_.reset();
  last_reopen_ = now;
  connect_at_ = now + reopen_backoff_.next();
}

void Relay::open_producer() {
  to_.metrics.producer_reopened();
  to_.publisher.reopen();
  producer_in_doubt_ = false;
}

// Away from PostgreSQL: what is on its way is still acknowledged, leases still lapse.
void Relay::wait_collecting(milliseconds time) {
  const auto until = to_.clock.now() + time;
  try {
    for (auto now = to_.clock.now(); now < until && !stopping_; now = to_.clock.now()) {
      const auto left = std::chrono::ceil<milliseconds>(until - now);
      if (!keep_leases()) return;
      if (!collect(std::min<milliseconds>(left, kLongestWait))) {
        std::this_thread::sleep_for(left);  // a lost producer no longer waits for us in collect()
        return;                             // start_over() opens it anew
      }
    }
  } catch (const core::IntegrationError& error) {
    to_.log.warn("producer cannot be opened", {{"reason", error.what()}});
    std::this_thread::sleep_for(time);  // nothing is left to wait on; run() must not spin
  }
}

milliseconds Relay::idle_time() const {
  if (!sender_.idle()) return kLongestWait;  // a report makes room
  auto until = next_save_;
  if (connected_->reader.wants_look()) until = std::min(until, next_look_);
  const auto wait = std::chrono::ceil<milliseconds>(until - to_.clock.now());
  return std::clamp<milliseconds>(wait, 1ms, kLongestWait);
}

void Relay::drain() {
  const auto deadline = to_.clock.now() + options_.drain;
  to_.log.info("stopping", {{"in_flight", to_.publisher.in_flight()}});
  try {
    while (to_.publisher.in_flight() > 0 && to_.clock.now() < deadline) {
      heartbeat_.beat(to_.clock.now());
      if (!keep_leases() || !collect(kLongestWait)) break;
    }
    const auto left = to_.publisher.in_flight();
    if (left > 0) to_.publisher.reopen();  // nothing may follow once the leases are handed back
    if (shards_.size() == 0) return;
    if (!connected_) connected_.emplace(to_.connect());
    auto& [session, ticker, reader] = *connected_;
    sender_.settle_reports(*session.dead);
    redrive_.settle(*session.dead);
    shards_.save(*session.positions, reader);
    shards_.release_all(*session.positions);
    to_.log.info("leases handed back", {{"unacknowledged", left}});
  } catch (const core::IntegrationError& error) {
    to_.log.warn("leases could not be handed back; others wait until they lapse",
                 {{"reason", error.what()}});
  }
  connected_.reset();
}

}  // namespace relevo::relay
