// Messages that subscriptions could not consume (relevo.dead_message), for the people who look
// after them. One connection; errors as Connection.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "relevo/postgres/connection.hpp"

namespace relevo::postgres {

struct DeadMessageRow {
  std::int64_t id = 0;
  std::string subscription;
  std::string topic;
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  std::optional<std::string> event_id;
  std::optional<std::int32_t> payload_bytes;
  std::string error_class;
  std::string error;
  int attempts = 0;
  core::WallTime first_failed_at{};
  core::WallTime parked_at{};
  std::optional<core::WallTime> retry_since;  // it is to be tried again
};

struct DeadMessage {
  DeadMessageRow row;
  std::optional<std::string> key;
  std::optional<std::string> payload;
  std::string headers;      // JSON: [[name, value] …], as postgres::headers_json()
  std::string attempt_log;  // JSON, as worker::attempts_json()
};

class DeadMessages {
 public:
  explicit DeadMessages(const ConnectOptions& options) : connection_(options) {}

  // In the order of their ids, those larger than `after`; of one subscription, if one is given.
  std::vector<DeadMessageRow> list(std::int64_t after,
                                   const std::optional<std::string>& subscription, int limit);
  std::vector<DeadMessage> find(std::span<const std::int64_t> ids);
  // Both return the ids that were changed, and tell of them in the audit log.
  std::vector<std::int64_t> retry(std::span<const std::int64_t> ids, std::string_view who);
  std::vector<std::int64_t> drop(std::span<const std::int64_t> ids, std::string_view who,
                                 std::string_view why);

 private:
  Connection connection_;
};

}  // namespace relevo::postgres
