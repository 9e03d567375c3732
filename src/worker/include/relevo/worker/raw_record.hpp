// A record as it lies in a topic, in one piece of memory of its own: a record of the client library
// would keep the whole answer of the broker alive, and one key that waits could hold megabytes.
// Movable; the views stay valid with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "relevo/core/clock.hpp"

namespace relevo::worker {

// A header without a value (NULL) has a view whose data() is null.
using RecordHeader = std::pair<std::string_view, std::string_view>;

class RawRecord {
 public:
  struct Parts {
    std::string_view topic;
    std::int32_t partition = 0;
    std::int64_t offset = 0;
    std::optional<std::string_view> key;
    std::optional<std::string_view> value;  // nullopt: tombstone
    std::span<const RecordHeader> headers;
    core::WallTime timestamp{};
  };

  explicit RawRecord(const Parts& parts);  // copies everything

  std::string_view topic() const { return topic_; }
  std::int32_t partition() const { return partition_; }
  std::int64_t offset() const { return offset_; }
  const std::optional<std::string_view>& key() const { return key_; }
  const std::optional<std::string_view>& value() const { return value_; }
  std::span<const RecordHeader> headers() const { return headers_; }
  core::WallTime timestamp() const { return timestamp_; }

  std::size_t size() const;  // bytes of memory, about

 private:
  std::unique_ptr<char[]> memory_;
  std::size_t bytes_ = 0;
  std::string_view topic_;
  std::int32_t partition_ = 0;
  std::int64_t offset_ = 0;
  std::optional<std::string_view> key_;
  std::optional<std::string_view> value_;
  std::vector<RecordHeader> headers_;
  core::WallTime timestamp_{};
};

}  // namespace relevo::worker
