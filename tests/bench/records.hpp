// Kafka records in memory, packed, so that a million of them can be produced without preparing
// anything. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "relevo/relay/record.hpp"

namespace relevo::bench {

class Records {
 public:
  void add(const relay::Record& record);

  std::size_t size() const { return starts_.size(); }
  // Views are valid until the next call of at() or add(). The topic is left empty.
  const relay::Record& at(std::size_t index);
  std::size_t bytes() const { return bytes_.size(); }

 private:
  struct Start {
    std::size_t byte = 0;
    std::size_t length = 0;
    std::size_t headers = 0;
  };

  void append(std::string_view piece);

  std::string bytes_;
  std::vector<std::uint32_t> lengths_;  // key, value, and name and value of each header
  std::vector<Start> starts_;
  relay::Record record_;
  std::vector<relay::Header> headers_;
};

// Writes events to the outbox as an application might: 200 bytes of payload, kAggregates keys.
void fill_outbox(const std::string& database_url, std::int64_t events);

// The records that the relay makes of the outbox's events, in its order and by its own code.
Records records_of_outbox(const std::string& database_url);

std::string_view header_of(const relay::Record& record, std::string_view name);

}  // namespace relevo::bench
