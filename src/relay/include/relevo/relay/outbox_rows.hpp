// Rows of the outbox as they were read: views into memory that the batch keeps alive.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/feed/position.hpp"
#include "relevo/relay/record.hpp"

namespace relevo::relay {

using EventId = std::array<std::uint8_t, 16>;  // UUID, network byte order

struct OutboxRow {
  feed::RowId id = 0;
  feed::Slice shard = 0;
  EventId event_id{};
  std::string_view aggregate_type;
  std::string_view aggregate_id;
  std::string_view event_type;
  std::optional<std::string_view> topic;  // nullopt: by the configured template
  std::optional<std::string_view> tenant;
  std::string_view content_type;
  std::optional<std::string_view> payload;    // nullopt: tombstone, or not read along
  std::optional<std::int32_t> payload_bytes;  // nullopt: tombstone
  std::span<const Header> headers;
  core::WallTime created_at;

  // Large payloads are not read along, so that a page of them never meets in memory.
  bool payload_is_elsewhere() const { return payload_bytes && !payload; }
};

struct OutboxRows {
  std::vector<OutboxRow> rows;
  std::shared_ptr<const void> memory;  // owners: this batch, and the adapter's buffers behind it
};

// Port: payloads that were not read along. Throws core::IntegrationError.
class PayloadSource {
 public:
  virtual ~PayloadSource() = default;
  // In the order of ids; a row that is gone yields nothing.
  virtual std::vector<std::pair<feed::RowId, std::string>> payloads(
      std::span<const feed::RowId> ids) = 0;
};

}  // namespace relevo::relay
