#include "relevo/worker/consumer.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "consumer_run.hpp"
#include "relevo/core/backoff.hpp"
#include "relevo/core/error.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;
using core::ErrorKind;
using core::IntegrationError;
using std::chrono::milliseconds;

constexpr auto kPollWait = 50ms;
constexpr auto kPausedPollWait = 100ms;
constexpr std::size_t kPollMost = 1'000;
constexpr auto kRoomWait = 500ms;  // before partitions are paused, which costs fetching again
constexpr auto kRevokeWait = 10s;  // for handlers that work on partitions to be given up
constexpr auto kStopWait = 5s;     // for handlers that were asked to stop
constexpr auto kCloseTime = 5s;    // leaving the group
constexpr auto kLagEvery = 5s;
constexpr auto kLongestWait = 1s;  // between two looks at what may have become due
// Memory of a message held beside its record: what is decoded, its place in the lanes.
constexpr std::size_t kHeldSize = 1'024;
constexpr std::size_t kRedriveMost = 100;  // before other work gets its turn

}  // namespace

// What the source tells about partitions, from within poll() and close().
class Consumer::Assignment final : public MessageSource::Assignment {
 public:
  Assignment(Consumer& consumer, MessageSource& source) : consumer_(consumer), source_(source) {}

  void assigned(std::span<const TopicPartition> partitions) override {
    const std::lock_guard lock(consumer_.mutex_);
    for (const auto& partition : partitions) consumer_.lanes_.open(partition);
    consumer_.source_ready_ = true;
  }
  void revoked(std::span<const TopicPartition> partitions, bool lost) override {
    consumer_.give_up(source_, partitions, !lost);
  }

 private:
  Consumer& consumer_;
  MessageSource& source_;
};

Consumer::Consumer(ConsumerOptions options, Ports ports)
    : options_(std::move(options)),
      to_(std::move(ports)),
      per_key_(to_.handler.several_of_a_key() ? options_.batch_size : 1),
      lanes_(options_.held),
      store_outage_("postgres", to_.log, to_.clock),
      source_outage_("kafka", to_.log, to_.clock) {}

Consumer::~Consumer() { stop(); }

void Consumer::start() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = draining_ = replacing_ = false;
    problem_.reset();
  }
  stop_ = {};
  heartbeat_.beat(to_.clock.now());
  control_ = std::thread([this] { control(); });
  for (int i = 0; i < options_.concurrency; ++i) {
    workers_.emplace_back([this, i] { work(static_cast<std::size_t>(i)); });
  }
}

void Consumer::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  ended_.notify_all();
  if (control_.joinable()) control_.join();
  for (auto& worker : workers_) worker.join();
  workers_.clear();
}

std::optional<std::string> Consumer::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

milliseconds Consumer::backoff(int attempt) const {
  const auto doubled = std::min(attempt - 1, 20);
  const auto highest = std::min(options_.backoff_base * (1 << doubled), options_.backoff_cap);
  return core::Backoff(highest, highest).next();
}

// --- The thread that talks to Kafka ---

void Consumer::control() {
  core::Backoff backoff(100ms, 5s);
  std::unique_ptr<MessageSource> source;
  std::vector<RawRecord> records;
  const auto pause = [this](milliseconds time) {
    std::unique_lock lock(mutex_);
    return ended_.wait_for(lock, time, [this] { return stopping_; });
  };
  for (bool stopping = false; !stopping;) {
    heartbeat_.beat(to_.clock.now());
    watch_calls();
    try {
      if (!source) {
        source = to_.open_source();
        paused_ = false;
      }
      turn(*source, records);
      if (source_ready_) source_outage_.recovered();
      backoff.reset();
      stopping = pause(0ms);
    } catch (const IntegrationError& error) {
      source_ready_ = false;
      records.clear();
      close_source(source);
      if (error.kind() == ErrorKind::kMisconfigured) {
        to_.log.error("subscription stopped; a person must act",
                      {{"subscription", options_.subscription}, {"reason", error.what()}});
        {
          const std::lock_guard lock(mutex_);
          problem_ = error.what();
        }
        while (!pause(kLongestWait)) {
          heartbeat_.beat(to_.clock.now());
          watch_calls();
        }
        break;
      }
      source_outage_.failed(error.what());
      stopping = pause(backoff.next());
    }
  }
  drain();
  close_source(source);
  source_ready_ = false;
  heartbeat_.rest();
}

void Consumer::turn(MessageSource& source, std::vector<RawRecord>& records) {
  const bool room = wait_for_room(source);
  Assignment assignment(*this, source);
  source.poll(room ? kPollWait : kPausedPollWait, kPollMost, records, assignment);
  hold(records);
  store_progress(source);
  commit_if_due(source);
}

// Pausing makes librdkafka throw away what it fetched ahead, so a little patience comes first.
bool Consumer::wait_for_room(MessageSource& source) {
  bool room = true;
  {
    std::unique_lock lock(mutex_);
    if (paused_) {
      room = lanes_.roomy();
    } else if (lanes_.full()) {
      room = ended_.wait_for(lock, kRoomWait, [this] { return stopping_ || lanes_.roomy(); });
    }
  }
  if (room && paused_) source.resume();
  if (!room && !paused_) source.pause();
  paused_ = !room;
  return room;
}

void Consumer::hold(std::vector<RawRecord>& records) {
  if (records.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    for (auto& record : records) {
      const TopicPartition partition{std::string(record.topic()), record.partition()};
      if (!lanes_.accepts(partition, record.offset())) continue;
      const auto ticket =
          lanes_.add(partition, record.offset(), record.key(), record.size() + kHeldSize);
      if (held_.size() <= ticket) held_.resize(ticket + 1);
      held_[ticket] = std::make_unique<Held>(std::move(record));
    }
  }
  const auto wanted = std::min(records.size(), static_cast<std::size_t>(options_.concurrency));
  for (std::size_t i = 0; i < wanted; ++i) work_.notify_one();
  records.clear();
}

void Consumer::store_progress(MessageSource& source) {
  const std::lock_guard lock(mutex_);
  for (const auto& partition : lanes_.partitions()) {
    if (const auto next = lanes_.advanced(partition)) source.store(partition, *next);
  }
}

void Consumer::commit_if_due(MessageSource& source) {
  const auto now = to_.clock.now();
  if (now >= next_commit_) {
    source.commit();
    next_commit_ = now + options_.commit_interval;
  }
  if (now >= next_lag_) {
    to_.metrics.consumer_lag(options_.subscription, source.lag());
    next_lag_ = now + kLagEvery;
  }
}

void Consumer::give_up(MessageSource& source, std::span<const TopicPartition> partitions,
                       bool wait) {
  std::unique_lock lock(mutex_);
  for (const auto& partition : partitions) {
    for (const auto ticket : lanes_.revoke(partition)) held_[ticket].reset();
  }
  const auto idle = [&] {
    return std::ranges::all_of(partitions, [&](const auto& p) { return lanes_.at_work(p) == 0; });
  };
  for (const auto deadline = to_.clock.now() + kRevokeWait;
       wait && !idle() && to_.clock.now() < deadline;) {
    heartbeat_.beat(to_.clock.now());
    ended_.wait_for(lock, 100ms, idle);
  }
  for (const auto& partition : partitions) {
    if (const auto next = lanes_.advanced(partition)) source.store(partition, *next);
    lanes_.drop(partition);
  }
}

void Consumer::close_source(std::unique_ptr<MessageSource>& source) {
  if (!source) return;
  Assignment assignment(*this, *source);
  source->close(kCloseTime, assignment);
  std::vector<TopicPartition> rest;
  {
    const std::lock_guard lock(mutex_);
    rest = lanes_.partitions();
  }
  give_up(*source, rest, false);
  source.reset();
}

// A handler over its time is asked to stop. Its thread cannot be ended from here, and its messages,
// with all that come after them, wait for it: what ignores the request costs the process.
void Consumer::watch_calls() {
  if (options_.timeout == 0ms) return;
  std::vector<std::stop_source> late;
  bool replace = false;
  {
    const std::lock_guard lock(mutex_);
    const auto now = to_.clock.now();
    for (auto* call : calls_) {
      if (now - call->begun < options_.timeout) continue;
      if (!call->asked_at) call->asked_at = now;
      if (!call->stop.stop_requested()) late.push_back(call->stop);
      if (replacing_ || now - *call->asked_at < options_.give_up) continue;
      replace = replacing_ = true;
    }
  }
  for (auto& stop : late) {
    to_.log.warn("handler over its time limit is asked to stop",
                 {{"subscription", options_.subscription},
                  {"limit_ms", std::int64_t{options_.timeout.count()}}});
    stop.request_stop();
  }
  if (!replace) return;
  to_.log.error("a handler does not come back: this process ends to be started anew",
                {{"subscription", options_.subscription}});
  if (to_.replace) to_.replace();
}

// Nothing new is begun; what is at work gets its time, then the request to stop.
void Consumer::drain() {
  std::unique_lock lock(mutex_);
  draining_ = true;
  work_.notify_all();
  const auto wait_idle = [&](milliseconds time) {
    const auto deadline = to_.clock.now() + time;
    while (lanes_.at_work() > 0 && to_.clock.now() < deadline) {
      heartbeat_.beat(to_.clock.now());
      ended_.wait_for(lock, 100ms);
    }
    return lanes_.at_work() == 0;
  };
  if (wait_idle(options_.drain)) return;
  stop_.request_stop();
  for (auto* call : calls_) call->stop.request_stop();
  (void)wait_idle(kStopWait);
}

// --- The threads that run handlers ---

void Consumer::work(std::size_t worker) {
  std::unique_ptr<MessageStore> store;
  core::Backoff backoff(50ms, 2s);
  for (;;) {
    switch (wait_for_work(worker)) {
      case Next::kStop: return;
      case Next::kWork:
      case Next::kRedrive: break;
    }
    try {
      if (!store) {
        store = to_.open_store();
        const std::lock_guard lock(mutex_);
        store_outage_.recovered();
        store_ready_ = true;
      }
      if (worker == 0) redrive_if_due(*store);
      if (const auto taken = take_work(); !taken.empty()) Run(*this, *store, taken).process();
      backoff.reset();
    } catch (const IntegrationError& error) {
      // The database is away: what was at work waits in its lane, no attempt is burnt.
      store.reset();
      store_ready_ = false;
      std::unique_lock lock(mutex_);
      store_outage_.failed(error.what());
      work_.wait_for(lock, backoff.next(), [this] { return draining_; });
    }
  }
}

Consumer::Next Consumer::wait_for_work(std::size_t worker) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (draining_) return Next::kStop;
    const auto now = to_.clock.now();
    if (lanes_.due(now) > 0) return Next::kWork;
    auto until = now + kLongestWait;
    if (const auto due = lanes_.next_due()) until = std::min(until, *due);
    if (worker == 0) {
      if (now >= next_redrive_) return Next::kRedrive;
      until = std::min(until, next_redrive_);
    }
    work_.wait_for(lock, until - now);
  }
}

std::vector<Consumer::Taken> Consumer::take_work() {
  const std::lock_guard lock(mutex_);
  if (draining_) return {};
  const auto now = to_.clock.now();
  // What is there is shared among the threads; a backlog fills whole batches.
  const auto ready = per_key_ == 1 ? lanes_.due(now) : lanes_.waiting();
  const auto threads = static_cast<std::size_t>(options_.concurrency);
  const auto share =
      std::clamp<std::size_t>((ready + threads - 1) / threads, 1, options_.batch_size);
  std::vector<Taken> taken;
  for (const auto ticket : lanes_.take(now, share, per_key_)) {
    taken.push_back({ticket, held_[ticket].get()});
  }
  return taken;
}

void Consumer::redrive_if_due(MessageStore& store) {
  {
    const std::lock_guard lock(mutex_);
    if (to_.clock.now() < next_redrive_) return;
    next_redrive_ = to_.clock.now() + options_.redrive_interval;
  }
  for (std::size_t i = 0; i < kRedriveMost && !stop_.stop_requested(); ++i) {
    if (!Run::redrive(*this, store)) return;
  }
}

}  // namespace relevo::worker
