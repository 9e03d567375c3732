// One subscription: reads topics as a member of a consumer group and hands each message to its
// handler, new to the inbox, in one transaction with what the handler writes. The offset follows
// the commit, so a message comes again after a crash, and the inbox makes that harmless: one
// committed effect per event.
//
// Messages of one key run one after the other in order, keys side by side. A message that fails for
// now holds up its key only; one that fails for good is parked in the table (and sent to the dead
// letter topic), and its key goes on. Neither Kafka nor PostgreSQL being away ends it or burns an
// attempt. What only a person can help with (an offset the log no longer holds) stops it:
// problem().
//
// One thread talks to Kafka and knows the group; `concurrency` threads run handlers, each with a
// connection of its own.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "relevo/core/heartbeat.hpp"
#include "relevo/core/log.hpp"
#include "relevo/core/outage.hpp"
#include "relevo/core/service.hpp"
#include "relevo/worker/consumer_metrics.hpp"
#include "relevo/worker/dead_letters.hpp"
#include "relevo/worker/envelope.hpp"
#include "relevo/worker/handler.hpp"
#include "relevo/worker/key_lanes.hpp"
#include "relevo/worker/message_source.hpp"
#include "relevo/worker/message_store.hpp"

namespace relevo::worker {

struct ConsumerOptions {
  std::string subscription;
  Envelope envelope = Envelope::kAuto;
  std::vector<std::string> types;  // empty: all
  bool park_unknown = false;       // types not listed: dead letters instead of passed over
  int concurrency = 8;
  std::size_t batch_size = 500;
  int max_attempts = 10;
  std::chrono::milliseconds backoff_base{500};    // full jitter up to base * 2^n …
  std::chrono::milliseconds backoff_cap{60'000};  // … and never above this
  std::chrono::milliseconds commit_interval{1'000};
  std::chrono::milliseconds redrive_interval{2'000};
  std::chrono::milliseconds timeout{0};       // of one run of the handler; 0: none
  std::chrono::milliseconds give_up{30'000};  // how long it may ignore its stop token
  std::chrono::milliseconds drain{20'000};    // how long stop() lets handlers go on undisturbed
  KeyLanes::Limits held;
};

class Consumer final : public core::Service {
 public:
  struct Ports {
    std::function<std::unique_ptr<MessageSource>()> open_source;  // both throw IntegrationError
    std::function<std::unique_ptr<MessageStore>()> open_store;
    MessageHandler& handler;
    DeadLetters* dead_letters;  // nullptr: the table only
    ConsumerMetrics& metrics;
    core::Log& log;
    const core::Clock& clock;
    // A handler does not come back: the process should end and be started anew. Called once.
    std::function<void()> replace{};
  };

  Consumer(ConsumerOptions options, Ports ports);
  ~Consumer() override;

  std::string_view name() const override { return "consumer"; }
  void start() override;
  void stop() override;

  // Both sides were reached, and nothing since says otherwise.
  bool ready() const { return source_ready_ && store_ready_; }
  // Why it stopped for good; nullopt: it did not.
  std::optional<std::string> problem() const;
  const core::Heartbeat& heartbeat() const { return heartbeat_; }

 private:
  struct Held;
  class Run;
  class Assignment;
  class Call;
  struct Taken {
    KeyLanes::Ticket ticket = 0;
    Held* held = nullptr;  // the thread's own until it is settled
  };
  enum class Next { kWork, kRedrive, kStop };

  void control();
  void turn(MessageSource& source, std::vector<RawRecord>& records);
  bool wait_for_room(MessageSource& source);
  void hold(std::vector<RawRecord>& records);
  void store_progress(MessageSource& source);
  void commit_if_due(MessageSource& source);
  void give_up(MessageSource& source, std::span<const TopicPartition> partitions, bool wait);
  void close_source(std::unique_ptr<MessageSource>& source);
  void drain();

  void work(std::size_t worker);
  Next wait_for_work(std::size_t worker);
  std::vector<Taken> take_work();
  void redrive_if_due(MessageStore& store);
  std::chrono::milliseconds backoff(int attempt) const;
  void watch_calls();

  const ConsumerOptions options_;
  const Ports to_;
  const std::size_t per_key_;
  core::Heartbeat heartbeat_;
  std::atomic<bool> source_ready_ = false;
  std::atomic<bool> store_ready_ = false;

  mutable std::mutex mutex_;       // of everything below, but for what control() alone uses
  std::condition_variable work_;   // something to do for a worker, or stop
  std::condition_variable ended_;  // something was finished, or stop
  KeyLanes lanes_;
  std::vector<std::unique_ptr<Held>> held_;  // by ticket
  std::optional<std::string> problem_;
  core::Outage store_outage_;
  core::BootTime next_redrive_{};
  bool stopping_ = false;
  bool draining_ = false;  // nothing new is begun

  core::Outage source_outage_;  // control()'s, and what follows
  bool paused_ = false;
  core::BootTime next_commit_{};
  core::BootTime next_lag_{};

  std::set<Call*> calls_;  // runs of the handler under way; under mutex_
  bool replacing_ = false;
  std::stop_source stop_;
  std::thread control_;
  std::vector<std::thread> workers_;
};

}  // namespace relevo::worker
