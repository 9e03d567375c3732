#include "relevo/postgres/dead_messages.hpp"

#include "statements.hpp"

namespace relevo::postgres {
namespace {

std::optional<std::string> optional_text(const Result& result, int row, int column) {
  if (result.is_null(row, column)) return std::nullopt;
  return result.string(row, column);
}

// The columns that messages_list and message_by_ids begin with.
DeadMessageRow row_of(const Result& result, int i) {
  DeadMessageRow row;
  row.id = result.int8(i, 0);
  row.subscription = result.string(i, 1);
  row.topic = result.string(i, 2);
  row.partition = result.int4(i, 3);
  row.offset = result.int8(i, 4);
  row.event_id = optional_text(result, i, 5);
  if (!result.is_null(i, 6)) row.payload_bytes = result.int4(i, 6);
  row.error_class = result.string(i, 7);
  row.error = result.string(i, 8);
  row.attempts = result.int4(i, 9);
  row.first_failed_at = result.time(i, 10);
  row.parked_at = result.time(i, 11);
  if (!result.is_null(i, 12)) row.retry_since = result.time(i, 12);
  return row;
}

std::vector<std::int64_t> ids_of(const Result& result) {
  std::vector<std::int64_t> ids;
  for (int i = 0; i < result.rows(); ++i) ids.push_back(result.int8(i, 0));
  return ids;
}

}  // namespace

std::vector<DeadMessageRow> DeadMessages::list(std::int64_t after,
                                               const std::optional<std::string>& subscription,
                                               int limit) {
  Params params;
  params.add(after);
  if (subscription) {
    params.add(*subscription);
  } else {
    params.add(std::nullopt);
  }
  params.add(std::int64_t{limit});
  const auto result = connection_.run(statements::kMessagesList, params);
  std::vector<DeadMessageRow> rows;
  for (int i = 0; i < result.rows(); ++i) rows.push_back(row_of(result, i));
  return rows;
}

std::vector<DeadMessage> DeadMessages::find(std::span<const std::int64_t> ids) {
  const auto result = connection_.run(statements::kMessageByIds, Params().add_array(ids));
  std::vector<DeadMessage> messages;
  for (int i = 0; i < result.rows(); ++i) {
    messages.push_back({row_of(result, i), optional_text(result, i, 13),
                        optional_text(result, i, 14), optional_text(result, i, 15).value_or("[]"),
                        result.string(i, 16)});
  }
  return messages;
}

std::vector<std::int64_t> DeadMessages::retry(std::span<const std::int64_t> ids,
                                              std::string_view who) {
  return ids_of(connection_.run(statements::kMessageRedriven, Params().add_array(ids).add(who)));
}

std::vector<std::int64_t> DeadMessages::drop(std::span<const std::int64_t> ids,
                                             std::string_view who, std::string_view why) {
  return ids_of(
      connection_.run(statements::kMessageDrop, Params().add_array(ids).add(who).add(why)));
}

}  // namespace relevo::postgres
