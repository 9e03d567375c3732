// A Kafka record as the relay hands it to its publisher. All views are borrowed for the call only;
// a key or header value whose data() is null becomes NULL.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace relevo::relay {

struct Header {
  std::string_view name;
  std::string_view value;  // UTF-8
};

struct Record {
  std::string_view topic;
  std::string_view key;                   // the aggregate id; decides the partition (murmur2)
  std::optional<std::string_view> value;  // nullopt: tombstone
  std::span<const Header> headers;        // in this order
};

}  // namespace relevo::relay
