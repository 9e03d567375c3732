// Records handed to librdkafka and not yet reported: their tickets, bounded in number and in bytes.
// Included by the sources of this folder only.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "client.hpp"
#include "relevo/core/invariant.hpp"
#include "relevo/relay/publisher.hpp"

namespace relevo::kafka {

class InFlight {
 public:
  struct Entry {
    relay::Ticket ticket = 0;
    std::size_t bytes = 0;  // 0: free
  };

  explicit InFlight(std::size_t capacity) : entries_(capacity) { clear(); }
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;

  // An entry whose address travels with the record; null when full. One record fits whatever its
  // size.
  Entry* add(relay::Ticket ticket, std::size_t bytes) {
    const bool is_over = count() > 0 && bytes_ + bytes > kMaxBytesInFlight;
    if (is_over || free_.empty()) return nullptr;
    Entry* entry = free_.back();
    free_.pop_back();
    *entry = {ticket, bytes};
    bytes_ += bytes;
    return entry;
  }

  Entry remove(Entry* entry) {
    RELEVO_INVARIANT(entry != nullptr, "each record carries its entry");
    RELEVO_INVARIANT(entry->bytes > 0, "each record is reported once");
    bytes_ -= entry->bytes;
    free_.push_back(entry);
    return std::exchange(*entry, {});
  }

  void clear() {
    bytes_ = 0;
    free_.clear();
    free_.reserve(entries_.size());
    for (Entry& entry : entries_) {
      entry = {};
      free_.push_back(&entry);
    }
  }

  std::size_t count() const { return entries_.size() - free_.size(); }

 private:
  std::vector<Entry> entries_;  // never grows
  std::vector<Entry*> free_;
  std::size_t bytes_ = 0;
};

}  // namespace relevo::kafka
