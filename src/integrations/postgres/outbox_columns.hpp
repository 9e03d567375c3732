// The columns every statement that returns events has in common, in their order, and how they
// become a row. Headers are decoded into memory of the batch.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "relevo/postgres/connection.hpp"
#include "relevo/relay/outbox_rows.hpp"

namespace relevo::postgres {

struct EventColumns {
  enum : int {
    kId,
    kShard,
    kEventId,
    kAggregateType,
    kAggregateId,
    kEventType,
    kTopic,
    kTenant,
    kContentType,
    kPayload,
    kPayloadBytes,
    kHeaders,
    kCreatedAt,
    kCount
  };
};

// What the views of a batch point into: the results it came from and the headers decoded from them.
struct EventMemory {
  std::vector<std::shared_ptr<const void>> results;
  std::deque<std::vector<relay::Header>> headers;  // deques do not move what they hold
  std::deque<std::string> texts;
};

relay::OutboxRow decode_event(const Result& result, int row, EventMemory& memory);

}  // namespace relevo::postgres
