// Port: where records go. An implementation is an idempotent producer that keeps the order of
// records with the same topic and key, retries by itself without limit, and reports each accepted
// record once.
//
// Not thread-safe: one thread calls everything. Nothing here blocks longer than the time-out given
// or, where none is given, a few milliseconds while the broker answers (topic()/create may take up
// to 2 s).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "relevo/relay/record.hpp"

namespace relevo::relay {

// Chosen by the caller, returned with the delivery report.
using Ticket = std::uint64_t;

enum class Send {
  kAccepted,      // a report with this ticket will follow
  kFull,          // bounded queue full: collect reports and offer it again
  kTooLarge,      // larger than the topic takes; will never be accepted as it is
  kInvalidTopic,  // no legal topic name
  kUnknownTopic,  // the topic does not exist (and is not to be created)
  kUnauthorized,  // the broker does not let us write to it
  kUnavailable,   // the broker cannot be asked about the topic now: try again later
  kProducerLost,  // fatal error: reopen() and send again everything not reported
};

enum class Outcome {
  kDelivered,     // acknowledged by all in-sync replicas
  kTooLarge,      // rejected for good by the broker
  kRejected,      // rejected for good by the broker for another reason
  kUnknownTopic,  // the topic vanished
  kUnauthorized,
  kUnknown,  // may or may not have been written (producer lost, purged), or its batch was refused
             // for what may be another record's sake: send it again
};

struct Report {
  Ticket ticket = 0;
  Outcome outcome = Outcome::kUnknown;
};

struct SendResult {
  Send status = Send::kAccepted;
  std::string error;  // for a person; empty when accepted
};

class Publisher {
 public:
  virtual ~Publisher() = default;

  // Copies the record. May look up (or create, if configured so) a topic that it has not seen.
  [[nodiscard]] virtual SendResult send(const Record& record, Ticket ticket) = 0;

  // Appends the reports that are there, waiting up to `wait` for the first one. Returns false when
  // the producer is lost (fatal error); what was reported until then still counts.
  [[nodiscard]] virtual bool collect(std::chrono::milliseconds wait,
                                     std::vector<Report>& reports) = 0;

  // Text of the last error behind a report that is not kDelivered, for a person.
  virtual std::string last_error() const = 0;

  // Whether the topic exists now; asks the broker, not the cache, also about its limits. kAccepted,
  // kUnknownTopic, kInvalidTopic, kUnauthorized or kUnavailable.
  [[nodiscard]] virtual SendResult probe_topic(const std::string& topic) = 0;

  // Whether a broker has answered, and none of the last signs says that all are gone.
  virtual bool reachable() const = 0;

  // Records accepted and not yet reported.
  virtual std::size_t in_flight() const = 0;

  // Gives up everything in flight without reports and starts a fresh producer in place.
  virtual void reopen() = 0;
};

}  // namespace relevo::relay
