// Record -> Message: CloudEvents in both modes, Debezium's event router with any of its converters,
// plain JSON. Sources: CloudEvents 1.0.2 with its Kafka protocol binding; Debezium's outbox event
// router. Pure.
//
// The message's views point into the record and, where something had to be decoded, into `owned`.
// What cannot be decoded is a text that says why, without quoting the record.
#pragma once

#include <forward_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "relevo/worker/message.hpp"
#include "relevo/worker/raw_record.hpp"

namespace relevo::worker {

enum class Envelope { kAuto, kCloudEvents, kDebezium, kJson };

// auto, cloudevents, debezium, json
std::optional<Envelope> envelope_of(std::string_view name);

struct DecodedMessage {
  Message message;
  core::WallTime day{};  // midnight (UTC) of the event's own day; the record's where it has no time
  std::forward_list<std::string> owned;
  // Of an event in structured mode: the record's, and its attributes as binary mode has them.
  std::vector<std::pair<std::string_view, std::string_view>> headers;
};

struct Undecodable {
  std::string reason;  // a sentence
};

// The record outlives the result; it may be moved.
[[nodiscard]] std::variant<DecodedMessage, Undecodable> decode(const RawRecord& record,
                                                               Envelope envelope);

// RFC 3339 -> time, as far as it goes into microseconds; nullopt: not one.
std::optional<core::WallTime> parse_rfc3339(std::string_view text);

// The other way, in UTC with milliseconds: 2026-01-31T12:00:00.123Z. A year beyond 9999, which
// RFC 3339 cannot write, stands with its sign, as ISO 8601 has it: +99999-12-31T00:00:00.000Z.
std::string rfc3339(core::WallTime time);

}  // namespace relevo::worker
