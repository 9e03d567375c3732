// What one thread of a consumer does with the messages it took: decode, run, settle each. Included
// by the sources of this folder only.
#pragma once

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "relevo/worker/attempt_log.hpp"
#include "relevo/worker/consumer.hpp"

namespace relevo::worker {

struct Consumer::Held {
  explicit Held(RawRecord given) : record(std::move(given)) {}

  RawRecord record;
  std::optional<std::variant<DecodedMessage, Undecodable>> decoded;
  int attempt = 1;
  int conflicts = 0;
  AttemptLog failures;
  // It is in the table; only the dead letter topic has not taken it yet.
  std::optional<std::pair<std::string, std::string>> parked;  // error class, message
};

// A run of the handler, known to the consumer as long as it lasts.
class Consumer::Call {
 public:
  explicit Call(Consumer& consumer);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  const core::BootTime begun;
  std::stop_source stop;
  std::optional<core::BootTime> asked_at;  // to stop, by the time limit

 private:
  Consumer& consumer_;
};

// Whatever is not settled when it goes is put back: the thread met a fault of the database.
class Consumer::Run {
 public:
  Run(Consumer& consumer, MessageStore& store, const std::vector<Taken>& taken);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // Throws core::IntegrationError when the store is lost.
  void process();

  // Tries one parked message again; false: there is none, or it is to wait.
  static bool redrive(Consumer& consumer, MessageStore& store);

 private:
  struct Item {
    KeyLanes::Ticket ticket = 0;
    Held* held = nullptr;
    bool settled = false;

    DecodedMessage& decoded() const { return std::get<DecodedMessage>(*held->decoded); }
    const std::optional<std::string_view>& key() const { return held->record.key(); }
  };
  using Items = std::vector<Item*>;

  // Of one transaction that did not come about.
  struct Failure {
    bool conflict = false;          // with another transaction: nobody's fault
    std::string reason;             // the handler threw
    std::vector<Outcome> outcomes;  // or said so, one per item
  };

  bool decode(Item& item);
  void run(Items items);
  std::optional<Failure> attempt(const Items& items);
  std::vector<Item*> enter(MessageTransaction& transaction, const Items& items);
  void run_apart(const Items& items, const Failure& failure);
  void failed(Item& item, const Failure& failure);
  void try_again(Item& item, std::chrono::milliseconds delay, bool suspect);
  void dead_letter(Item& item, std::string_view error_class, std::string_view reason);
  void finish(const Items& items);
  Items without_held_up(const Items& items);
  bool knows(std::string_view type) const;

  Consumer& consumer_;
  MessageStore& store_;
  std::vector<Item> items_;
  std::set<std::string, std::less<>> held_up_;  // keys with a message that was put back
};

}  // namespace relevo::worker
