// Records handed to librdkafka and not yet reported: their tickets, bounded in number and in bytes.
// Included by the sources of this folder only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "client.hpp"
#include "relevo/core/invariant.hpp"
#include "relevo/relay/publisher.hpp"

namespace relevo::kafka {

class InFlight {
 public:
  struct Entry {
    relay::Ticket ticket = 0;
    std::size_t bytes = 0;  // 0: the slot is free
  };

  explicit InFlight(std::size_t capacity) : entries_(capacity) { clear(); }

  // A slot number to travel with the record; nullopt when full. One record fits however large it is.
  std::optional<std::uintptr_t> add(relay::Ticket ticket, std::size_t bytes) {
    if (free_.empty() || (count() > 0 && bytes_ + bytes > kMaxBytesInFlight)) return std::nullopt;
    const auto slot = free_.back();
    free_.pop_back();
    entries_[slot] = {ticket, bytes};
    bytes_ += bytes;
    return slot;
  }

  Entry remove(std::uintptr_t slot) {
    RELEVO_INVARIANT(slot < entries_.size() && entries_[slot].bytes > 0,
                     "each record is reported once");
    const Entry entry = entries_[slot];
    entries_[slot] = {};
    bytes_ -= entry.bytes;
    free_.push_back(static_cast<std::uint32_t>(slot));
    return entry;
  }

  void clear() {
    bytes_ = 0;
    free_.clear();
    free_.reserve(entries_.size());
    for (std::size_t slot = entries_.size(); slot > 0; --slot) {
      entries_[slot - 1] = {};
      free_.push_back(static_cast<std::uint32_t>(slot - 1));
    }
  }

  std::size_t count() const { return entries_.size() - free_.size(); }

 private:
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;
  std::size_t bytes_ = 0;
};

}  // namespace relevo::kafka
