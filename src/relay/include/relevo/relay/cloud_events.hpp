// Outbox row -> Kafka record in CloudEvents 1.0 binary content mode.
// Source: CloudEvents spec v1.0.2, "Kafka Protocol Binding", section 3.2: attributes as headers
// with the prefix ce_, content-type without; a record without value is a tombstone. One thread: the
// record's views point into buffers that the next call overwrites.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "relevo/relay/outbox_rows.hpp"
#include "relevo/relay/record.hpp"

namespace relevo::relay {

// Topic of events that name none: text with {aggregate_type}, {event_type}, {tenant}.
class TopicTemplate {
 public:
  // Throws std::invalid_argument on an unknown placeholder or an unclosed brace.
  explicit TopicTemplate(std::string_view text);

  void render(const OutboxRow& row, std::string& topic) const;

 private:
  enum class Part { kText, kAggregateType, kEventType, kTenant };
  std::vector<std::pair<Part, std::string>> parts_;
};

class CloudEvents {
 public:
  // source: the CloudEvents attribute, the same for all events of this daemon.
  CloudEvents(TopicTemplate topic, std::string source);

  // value: the payload, in case it was not read along with the row.
  const Record& record(const OutboxRow& row, std::optional<std::string_view> value);

 private:
  TopicTemplate template_;
  std::string source_;
  Record record_;
  std::string topic_;
  std::vector<Header> headers_;
  char id_text_[36];
  char time_text_[27];
};

}  // namespace relevo::relay
