// A record read from Kafka as one line of text or JSON.
#pragma once

#include <string>
#include <string_view>

#include "relevo/kafka/reader.hpp"

namespace relevo::cli {

std::string record_line(const kafka::ReadRecord& record, bool with_payload);
// A payload that is not UTF-8 goes into payload_base64.
std::string record_json(const kafka::ReadRecord& record, bool with_payload);

// The pattern of all topics that relay.topic may stand for: placeholders become *.
std::string topic_pattern(std::string_view topic_template);

}  // namespace relevo::cli
