// What arrived in Kafka, counted per aggregate: is each event there, once and in its order, and do
// the sums agree with the database? Memory is bounded by the number of aggregates. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "latencies.hpp"
#include "relevo/kafka/reader.hpp"

namespace relevo::books {

// One event as either side tells it: the sequence-th of its aggregate, with what it adds to a sum.
struct Entry {
  std::int64_t aggregate = 0;
  std::int64_t sequence = 0;
  std::int64_t value = 0;
};

// An aggregate's events, folded in their order: equal accounts mean the same events in the same
// order.
class Account {
 public:
  void add(const Entry& entry);

  std::int64_t events() const { return events_; }
  std::int64_t sum() const { return sum_; }
  bool operator==(const Account&) const = default;

 private:
  std::int64_t events_ = 0;  // also the sequence of the last one
  std::int64_t sum_ = 0;
  std::uint64_t fold_ = 0;
};

using Ledger = std::unordered_map<std::int64_t, Account>;

// Which topic, and which of its payload's fields make an entry.
struct Kind {
  std::string name;
  std::string topic;
  std::string sequence;
  std::string value;
};

struct Received {
  Ledger ledger;
  std::int64_t events = 0;
  std::int64_t sum = 0;
  std::int64_t duplicates = 0;  // sequences that had been there before
  std::int64_t misplaced = 0;   // sequences that came too early: one before them is lost, or late
  std::int64_t unreadable = 0;
};

class Books {
 public:
  explicit Books(const Kind& kind) : kind_(kind) {}

  // A record of the kind's topic.
  void enter(const kafka::ReadRecord& record);

  const Kind& kind() const { return kind_; }
  const Received& received() const { return received_; }
  // Records the broker dropped before they were read.
  std::int64_t missed() const { return missed_; }

  Latencies recent;  // of first arrivals; the owner clears it
  Latencies all;

 private:
  const Kind kind_;
  Received received_;
  std::map<std::int32_t, std::int64_t> next_offset_;  // by partition
  std::int64_t missed_ = 0;
};

}  // namespace relevo::books
