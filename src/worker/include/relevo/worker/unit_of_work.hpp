// Everything one run changes, in one PostgreSQL transaction: the context's rows, the events that
// tell of it, the audit entries, the jobs that follow, and the end of the job (or the inbox row of
// the message) itself. All of it is committed, or none.
//
// Port; one run has one. Errors are core::IntegrationError: handlers let them pass, and the run is
// tried again. Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "relevo/worker/job.hpp"

namespace relevo::worker {

// A named statement of a context, embedded from its .sql file. $1, $2 … with a cast each.
struct Statement {
  std::string_view name;
  const char* text;
};

using Value = std::optional<std::string>;  // in PostgreSQL's text form; nullopt: NULL
using Row = std::vector<Value>;

struct NewEvent {
  std::string aggregate_type;
  std::string aggregate_id;
  std::string type;
  std::optional<std::string> payload;  // JSON text; nullopt: tombstone
  std::string headers = "{}";          // JSON text, an object of strings
  std::optional<std::string> topic;    // nullopt: by the configured template
  std::optional<std::string> tenant;
};

// As the parameters of relevo.enqueue() (docs/jobs.md).
struct NewJob {
  std::string kind;
  std::string payload = "{}";  // JSON text
  std::string queue = "default";
  std::optional<std::chrono::milliseconds> delay;  // from the database's now; nullopt: at once
  int priority = 0;
  std::optional<std::string> unique_key;
  std::string on_conflict = "keep";
  std::optional<std::string> concurrency_key;
  std::optional<std::string> rate_key;
  std::optional<std::string> tenant;
  std::optional<int> max_attempts;
  std::string headers = "{}";
};

// One line of relevo.audit_log: who changed what, from which state to which, and why.
struct AuditEntry {
  std::string action;
  std::string subject_type;
  std::string subject_id;
  std::optional<std::string> from_state;
  std::optional<std::string> to_state;
  std::optional<std::string> reason;
  std::optional<std::string> actor;
  std::optional<std::string> tenant;
  std::string details = "{}";  // JSON text
};

class UnitOfWork {
 public:
  virtual ~UnitOfWork() = default;

  // Rows of the statement, in text form; empty for one that returns none.
  virtual std::vector<Row> query(const Statement& statement, std::span<const Value> values) = 0;
  std::vector<Row> query(const Statement& statement, std::initializer_list<Value> values = {}) {
    return query(statement, std::span(values.begin(), values.size()));
  }

  virtual void publish(const NewEvent& event) = 0;
  virtual JobId enqueue(const NewJob& job) = 0;
  // In this order, in one statement where the adapter can; the ids are not told.
  virtual void enqueue_many(std::span<const NewJob> jobs) {
    for (const auto& job : jobs) enqueue(job);
  }
  virtual void audit(const AuditEntry& entry) = 0;
};

}  // namespace relevo::worker
