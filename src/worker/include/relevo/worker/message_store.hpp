// Port: what consuming needs of the database. One connection, one thread; errors are
// core::IntegrationError.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "relevo/worker/attempt_log.hpp"
#include "relevo/worker/dead_letters.hpp"
#include "relevo/worker/raw_record.hpp"
#include "relevo/worker/unit_of_work.hpp"

namespace relevo::worker {

// An event as the inbox knows it. day: of the event itself (midnight, UTC); by the day of arrival,
// a redelivery after midnight would count as new.
struct InboxEvent {
  std::string_view id;
  core::WallTime day{};
};

// A message parked in the table that somebody wants to be tried again.
struct ParkedMessage {
  std::int64_t id = 0;  // of the row
  RawRecord record;
  int attempts = 0;
  AttemptLog failures;
};

// One transaction. Without commit() it is rolled back.
class MessageTransaction {
 public:
  virtual ~MessageTransaction() = default;

  virtual UnitOfWork& unit() = 0;
  // Enters the events and returns the ids of those that were not there yet. Waits for a concurrent
  // transaction that enters the same one.
  virtual std::vector<std::string> enter(std::string_view subscription,
                                         std::span<const InboxEvent> events) = 0;
  // Takes an event out again that this transaction entered.
  virtual void withdraw(std::string_view subscription, const InboxEvent& event) = 0;
  // The first parked message to be tried again that nobody else is trying; locks it.
  virtual std::optional<ParkedMessage> next_redrive(std::string_view subscription) = 0;
  virtual void remove_parked(std::int64_t id) = 0;
  virtual void commit() = 0;
};

class MessageStore {
 public:
  virtual ~MessageStore() = default;

  // One at a time.
  virtual std::unique_ptr<MessageTransaction> begin() = 0;
  // Keeps the message for a person; once, however often it is called for it.
  virtual void park(std::string_view subscription, const RawRecord& record,
                    std::optional<std::string_view> event_id, const DeadLetter& letter) = 0;
  // The redrive failed: for a person again. The time of the first failure stays.
  virtual void park_again(std::int64_t id, const DeadLetter& letter) = 0;
  // Whether the last error was about the database or its connection, not about what was asked: a
  // new store is needed, and nothing that failed is to blame.
  virtual bool lost() const = 0;
};

}  // namespace relevo::worker
