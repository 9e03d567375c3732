#include "outbox_columns.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace relevo::postgres {
namespace {

// The table's constraint admits only strings; a table altered by hand may hold anything, which then
// travels as its JSON text.
std::span<const relay::Header> decode_headers(std::string_view json, EventMemory& memory) {
  const auto object = nlohmann::json::parse(json, nullptr, false);
  if (!object.is_object()) return {};
  auto& headers = memory.headers.emplace_back();
  headers.reserve(object.size());
  for (const auto& [name, value] : object.items()) {
    const auto& name_text = memory.texts.emplace_back(name);
    const auto& value_text =
        memory.texts.emplace_back(value.is_string() ? value.get<std::string>() : value.dump());
    headers.push_back({name_text, value_text});
  }
  return headers;
}

}  // namespace

relay::OutboxRow decode_event(const Result& result, int row, EventMemory& memory) {
  using C = EventColumns;
  const auto optional_text = [&](int column) -> std::optional<std::string_view> {
    if (result.is_null(row, column)) return std::nullopt;
    return result.text(row, column);
  };
  relay::OutboxRow event;
  event.id = result.int8(row, C::kId);
  event.shard = static_cast<feed::Slice>(result.int2(row, C::kShard));
  const auto uuid = result.text(row, C::kEventId);
  std::copy_n(uuid.begin(), std::min(uuid.size(), event.event_id.size()), event.event_id.begin());
  event.aggregate_type = result.text(row, C::kAggregateType);
  event.aggregate_id = result.text(row, C::kAggregateId);
  event.event_type = result.text(row, C::kEventType);
  event.topic = optional_text(C::kTopic);
  event.tenant = optional_text(C::kTenant);
  event.content_type = result.text(row, C::kContentType);
  event.payload = optional_text(C::kPayload);
  if (!result.is_null(row, C::kPayloadBytes))
    event.payload_bytes = result.int4(row, C::kPayloadBytes);
  if (!result.is_null(row, C::kHeaders)) {
    event.headers = decode_headers(result.text(row, C::kHeaders), memory);
  }
  event.created_at = result.time(row, C::kCreatedAt);
  return event;
}

}  // namespace relevo::postgres
