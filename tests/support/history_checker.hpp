// Compares what was committed (the truth table) with what stands in Kafka. Pure.
// Each record names its event in the header `ce_id`; order is judged by first occurrences, since a
// record that is sent again changes nothing for a consumer that drops what it has seen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace relevo::test {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Written {
  std::string event_id;
  std::string topic;
  std::string aggregate_type;
  std::string aggregate_id;
  std::string event_type;
  std::int64_t version = 0;                 // ascending within the aggregate, in commit order
  std::optional<std::string> value_digest;  // sha256 in hex; nullopt: tombstone
  Headers headers;                          // those the writer gave
};

struct Received {
  std::string topic;
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  std::string key;
  std::optional<std::string> value;
  Headers headers;
};

struct Verdict {
  std::size_t events = 0;
  std::size_t records = 0;
  std::vector<std::string> lost;       // event ids
  std::vector<std::string> invented;   // what is no event, with its place in Kafka
  std::vector<std::string> corrupted;  // event ids, with what differs
  std::vector<std::string> reordered;  // event ids that came after a later one of their aggregate
  std::vector<std::string> split;      // aggregates found in more than one partition
  std::size_t duplicates = 0;
  // A replay: an aggregate goes back to an earlier event and on from there. It is broken when it
  // leaves out an event on its way, so that a consumer sees an old state directly followed by a
  // newer one.
  std::size_t replays = 0;
  std::size_t broken_replays = 0;

  // Nothing lost, invented, corrupted, reordered or split. Duplicates are for the test to judge.
  bool sound() const;
  // One line of numbers, then a few examples of each violation.
  std::string report() const;
};

Verdict check_history(std::span<const Written> written, std::span<const Received> received);

}  // namespace relevo::test
