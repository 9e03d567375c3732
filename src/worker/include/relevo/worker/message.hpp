// An event or command from a topic as a handler sees it, whatever envelope it came in. Views are
// valid for the duration of the call.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "relevo/core/clock.hpp"

namespace relevo::worker {

struct Message {
  std::string_view id;                      // of the event: what the inbox knows it by
  std::string_view type;                    // e.g. OrderPaid; empty: the envelope names none
  std::string_view key;                     // of the record: messages of one key come in order
  std::optional<std::string_view> payload;  // nullopt: tombstone
  std::optional<std::string_view> tenant;
  std::optional<core::WallTime> time;  // when the event happened
  std::span<const std::pair<std::string_view, std::string_view>> headers;  // of the record
  std::string_view topic;
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  int attempt = 1;
};

}  // namespace relevo::worker
