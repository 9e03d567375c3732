// The truth table: what the history checker takes as committed. A row is written in the transaction
// of its event, so both exist or neither, whatever happened to the answer of COMMIT.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "support/database.hpp"
#include "support/history_checker.hpp"

namespace relevo::test {

struct NewEvent {
  std::string aggregate_type;
  std::string aggregate_id;
  std::string event_type = "changed";
  std::int64_t version = 0;
  std::string topic;         // where it is expected
  bool names_topic = false;  // says so itself instead of leaving it to the relay's template
  std::optional<std::string> payload;  // JSON; nullopt: tombstone
  std::optional<std::string> headers;  // JSON object of strings
};

// Needs the migrated schema. `aggregate` is what writers lock before they publish.
void create_truth(Connection& connection);

// One event and its truth, inside the caller's transaction if there is one.
void publish(Connection& connection, const NewEvent& event);         // by relevo.publish()
void insert_plainly(Connection& connection, const NewEvent& event);  // by INSERT INTO relevo.outbox

// `count` events in one statement, versions from `first_version` on, spread over `aggregates`
// aggregates
// "<prefix>0", "<prefix>1", …
void publish_many(Connection& connection, const std::string& aggregate_type,
                  const std::string& prefix, const std::string& topic, std::int64_t first_version,
                  std::int64_t count, int aggregates);

std::vector<Written> read_truth(Connection& connection);

}  // namespace relevo::test
