#include "relevo/postgres/unit_of_work.hpp"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "relevo/core/error.hpp"
#include "statements.hpp"

namespace relevo::postgres {
namespace {

using worker::Value;

void add(Params& params, const Value& value, std::string_view statement) {
  if (!value) {
    params.add(std::nullopt);
    return;
  }
  // PostgreSQL's text cannot hold it, and libpq would cut the value off there.
  if (value->find('\0') != std::string::npos) {
    throw core::IntegrationError(core::ErrorKind::kRejected, std::string(statement),
                                 "a value contains a NUL byte");
  }
  params.add(*value);
}

Params parameters(std::string_view statement, std::initializer_list<Value> values) {
  Params params;
  for (const auto& value : values) add(params, value, statement);
  return params;
}

Value interval(const std::optional<std::chrono::milliseconds>& duration) {
  if (!duration) return std::nullopt;
  return std::to_string(duration->count()) + " milliseconds";
}

Value number(const std::optional<int>& value) {
  if (!value) return std::nullopt;
  return std::to_string(*value);
}

void append_member(std::string& object, const char* name, const Value& text) {
  if (!text) return;
  object += object.back() == '{' ? "\"" : ",\"";
  object += name;
  object += "\":";
  object += nlohmann::json(*text).dump();
}

// JSON that a handler gives is put in as it stands, so it has to be exactly one value.
void append_json_member(std::string& object, const char* name, const std::string& json,
                        std::string_view statement) {
  if (!nlohmann::json::accept(json)) {
    throw core::IntegrationError(core::ErrorKind::kRejected, std::string(statement),
                                 std::string(name) + " of a job is not JSON");
  }
  object += ",\"";
  object += name;
  object += "\":";
  object += json;
}

bool is_null(std::string_view json) {
  static constexpr std::string_view kSpace = " \t\r\n";
  const auto first = json.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return false;
  return json.substr(first, json.find_last_not_of(kSpace) + 1 - first) == "null";
}

void append_json(std::string& array, const worker::NewJob& job, std::string_view statement) {
  array += '{';
  append_member(array, "kind", job.kind);
  append_json_member(array, "payload", job.payload, statement);
  append_member(array, "queue", job.queue);
  array += ",\"priority\":" + std::to_string(job.priority);
  append_member(array, "unique_key", job.unique_key);
  append_member(array, "on_conflict", job.on_conflict);
  append_member(array, "concurrency_key", job.concurrency_key);
  append_member(array, "rate_key", job.rate_key);
  append_member(array, "tenant", job.tenant);
  if (job.max_attempts) array += ",\"max_attempts\":" + std::to_string(*job.max_attempts);
  if (job.headers != "{}") append_json_member(array, "headers", job.headers, statement);
  array += '}';
}

}  // namespace

Transaction::Transaction(Connection& connection) : connection_(connection) { connection_.begin(); }

Transaction::~Transaction() { connection_.rollback(); }

std::vector<worker::Row> Transaction::query(const worker::Statement& statement,
                                            std::span<const Value> values) {
  Params params;
  for (const auto& value : values) add(params, value, statement.name);
  const auto result =
      connection_.execute({statement.name, statement.text, false}, params, Format::kText);
  std::vector<worker::Row> rows(static_cast<std::size_t>(result.rows()));
  for (int i = 0; i < result.rows(); ++i) {
    auto& row = rows[static_cast<std::size_t>(i)];
    row.reserve(static_cast<std::size_t>(result.columns()));
    for (int column = 0; column < result.columns(); ++column) {
      if (result.is_null(i, column)) {
        row.emplace_back(std::nullopt);
      } else {
        row.emplace_back(result.string(i, column));
      }
    }
  }
  return rows;
}

void Transaction::publish(const worker::NewEvent& event) {
  const auto& statement = statements::kUnitPublish;
  connection_.defer(statement, parameters(statement.name, {event.aggregate_type, event.aggregate_id,
                                                           event.type, event.payload, event.headers,
                                                           event.topic, event.tenant}));
}

worker::JobId Transaction::enqueue(const worker::NewJob& job) {
  const auto& statement = statements::kUnitEnqueue;
  return connection_
      .execute(statement,
               parameters(statement.name, {job.kind, job.payload, job.queue, interval(job.delay),
                                           std::to_string(job.priority), job.unique_key,
                                           job.on_conflict, job.concurrency_key, job.rate_key,
                                           job.tenant, number(job.max_attempts), job.headers}))
      .int8(0, 0);
}

void Transaction::enqueue_many(std::span<const worker::NewJob> jobs) {
  const auto& statement = statements::kUnitEnqueueMany;
  std::string array = "[";
  for (const auto& job : jobs) {
    // What only the single form knows: the database's clock, and that a null is not the default.
    if (job.delay || is_null(job.payload)) {
      UnitOfWork::enqueue_many(jobs);
      return;
    }
    if (array.size() > 1) array += ',';
    append_json(array, job, statement.name);
  }
  if (jobs.empty()) return;
  connection_.defer(statement, Params().add(array += ']'));
}

void Transaction::audit(const worker::AuditEntry& entry) {
  const auto& statement = statements::kUnitAudit;
  connection_.defer(statement,
                    parameters(statement.name, {entry.actor, entry.action, entry.subject_type,
                                                entry.subject_id, entry.from_state, entry.to_state,
                                                entry.reason, entry.tenant, entry.details}));
}

Result Transaction::execute(const Statement& statement, const Params& params) {
  return connection_.execute(statement, params);
}

bool Transaction::finish_job(worker::JobId id, std::int32_t token) {
  const std::int64_t ids[] = {id};
  const std::int64_t tokens[] = {token};
  return execute(statements::kJobFinish,
                 Params().add_array(std::span(ids)).add_array(std::span(tokens)))
             .rows() == 1;
}

std::vector<std::string> Transaction::new_events(std::string_view subscription,
                                                 std::span<const std::string> ids,
                                                 std::span<const std::string> days) {
  // As the generated statement, but not pinned: it reads no table, and the handler's statements
  // that follow are planned as usual.
  static constexpr Statement kSeen{statements::kInboxSeen.name, statements::kInboxSeen.text, false};
  const auto result = execute(kSeen, Params().add(subscription).add_array(ids).add_array(days));
  std::vector<std::string> events;
  events.reserve(static_cast<std::size_t>(result.rows()));
  for (int i = 0; i < result.rows(); ++i) events.push_back(result.string(i, 0));
  return events;
}

void Transaction::commit() { connection_.commit(); }

void Transaction::rollback() noexcept { connection_.rollback(); }

}  // namespace relevo::postgres
