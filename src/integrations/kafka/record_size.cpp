#include "relevo/kafka/record_size.hpp"

#include <bit>
#include <cstdint>

namespace relevo::kafka {
namespace {

// Base offset, length, leader epoch, magic, CRC, attributes, last offset delta, two timestamps,
// producer id, epoch and sequence, number of records.
constexpr std::size_t kBatchHeader = 61;

// Attributes, timestamp delta and offset delta of the first record of a batch.
constexpr std::size_t kFirstRecordFixed = 3;

// Lengths are zigzag varints; none is negative but -1 for null, which takes one byte.
std::size_t varint_size(std::size_t length) {
  const auto bits = static_cast<std::size_t>(std::bit_width(std::uint64_t{length} << 1U));
  return bits <= 7 ? 1 : (bits + 6) / 7;
}

std::size_t field_size(std::string_view bytes) { return varint_size(bytes.size()) + bytes.size(); }

}  // namespace

std::size_t batch_size_of(const relay::Record& record) {
  std::size_t size = kFirstRecordFixed + field_size(record.key);
  size += record.value ? field_size(*record.value) : 1;
  size += varint_size(record.headers.size());
  for (const relay::Header& header : record.headers) {
    size += field_size(header.name) + field_size(header.value);
  }
  return kBatchHeader + varint_size(size) + size;
}

}  // namespace relevo::kafka
