#include "support/truth.hpp"

#include <nlohmann/json.hpp>

namespace relevo::test {
namespace {

constexpr auto kTables = R"(
CREATE TABLE aggregate (
  type text, id text, version bigint NOT NULL DEFAULT 0, PRIMARY KEY (type, id));
CREATE TABLE truth (
  event_id uuid NOT NULL, aggregate_type text NOT NULL, aggregate_id text NOT NULL, event_type text NOT NULL,
  version bigint NOT NULL, topic text NOT NULL, value_digest text, headers jsonb);
)";

constexpr auto kPublish = R"(
WITH e AS (
  SELECT relevo.publish($1, $2, $3, $6::jsonb, headers => $7::jsonb, topic => $8) AS event_id)
INSERT INTO truth
SELECT e.event_id, $1, $2, $3, $4::bigint, $5,
       encode(sha256(convert_to($6::jsonb::text, 'UTF8')), 'hex'), $7::jsonb FROM e)";

constexpr auto kInsert = R"(
WITH e AS (
  INSERT INTO relevo.outbox (aggregate_type, aggregate_id, event_type, payload, headers, topic)
  VALUES ($1, $2, $3, convert_to($6, 'UTF8'), $7::jsonb, $8) RETURNING event_id)
INSERT INTO truth
SELECT e.event_id, $1, $2, $3, $4::bigint, $5, encode(sha256(convert_to($6, 'UTF8')), 'hex'), $7::jsonb
FROM e)";

constexpr auto kInsertMany = R"(
WITH e AS (
  INSERT INTO relevo.outbox (aggregate_type, aggregate_id, event_type, payload)
  SELECT $1, $2 || n % $6::int, 'filled', convert_to(jsonb_build_object('version', n)::text, 'UTF8')
  FROM generate_series($4::bigint, $4::bigint + $5::bigint - 1) n ORDER BY n
  RETURNING event_id, aggregate_id, payload)
INSERT INTO truth
SELECT event_id, $1, aggregate_id, 'filled', (convert_from(payload, 'UTF8')::jsonb ->> 'version')::bigint,
       $3, encode(sha256(payload), 'hex'), NULL
FROM e)";

void write(Connection& connection, const char* statement, const NewEvent& event) {
  connection.query(statement, {event.aggregate_type, event.aggregate_id, event.event_type,
                               std::to_string(event.version), event.topic, event.payload,
                               event.headers, event.names_topic ? Value(event.topic) : Value()});
}

Headers to_headers(const Value& json) {
  Headers headers;
  if (!json) return headers;
  const auto object = nlohmann::json::parse(*json);
  for (const auto& [name, value] : object.items())
    headers.emplace_back(name, value.get<std::string>());
  return headers;
}

}  // namespace

void create_truth(Connection& connection) { connection.exec(kTables); }

void publish(Connection& connection, const NewEvent& event) { write(connection, kPublish, event); }

void insert_plainly(Connection& connection, const NewEvent& event) {
  write(connection, kInsert, event);
}

void publish_many(Connection& connection, const std::string& aggregate_type,
                  const std::string& prefix, const std::string& topic, std::int64_t first_version,
                  std::int64_t count, int aggregates) {
  connection.query(kInsertMany, {aggregate_type, prefix, topic, std::to_string(first_version),
                                 std::to_string(count), std::to_string(aggregates)});
}

std::vector<Written> read_truth(Connection& connection) {
  const auto rows = connection.query(
      "SELECT event_id, topic, aggregate_type, aggregate_id, event_type, version, value_digest, "
      "headers "
      "FROM truth");
  std::vector<Written> events;
  events.reserve(rows.size());
  for (const auto& row : rows) {
    events.push_back({*row[0], *row[1], *row[2], *row[3], *row[4], std::stoll(*row[5]), row[6],
                      to_headers(row[7])});
  }
  return events;
}

}  // namespace relevo::test
