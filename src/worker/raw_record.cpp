#include "relevo/worker/raw_record.hpp"

#include <cstring>

namespace relevo::worker {

RawRecord::RawRecord(const Parts& parts)
    : partition_(parts.partition), offset_(parts.offset), timestamp_(parts.timestamp) {
  bytes_ = parts.topic.size() + parts.key.value_or("").size() + parts.value.value_or("").size();
  for (const auto& [name, value] : parts.headers) bytes_ += name.size() + value.size();
  memory_ = std::make_unique_for_overwrite<char[]>(bytes_);
  char* at = memory_.get();
  const auto keep = [&at](std::string_view text) {
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    const std::string_view kept(at, text.size());
    at += text.size();
    return kept;
  };
  topic_ = keep(parts.topic);
  if (parts.key) key_ = keep(*parts.key);
  if (parts.value) value_ = keep(*parts.value);
  headers_.reserve(parts.headers.size());
  for (const auto& [name, value] : parts.headers) {
    const auto kept = keep(name);
    headers_.emplace_back(kept, value.data() ? keep(value) : std::string_view());
  }
}

std::size_t RawRecord::size() const {
  return sizeof *this + bytes_ + headers_.size() * sizeof(RecordHeader);
}

}  // namespace relevo::worker
