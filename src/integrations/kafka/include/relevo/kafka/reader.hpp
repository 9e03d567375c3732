// Follows topics from their beginning or end, without a consumer group and without leaving a trace
// in the cluster: no offsets are committed, no topic is created. New topics that match, new
// partitions and topics made anew are found within half a second. One thread calls everything.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "relevo/kafka/client_options.hpp"

namespace relevo::kafka {

struct ReaderOptions {
  ClientOptions client;
  // Names, or patterns in which * stands for any characters.
  std::vector<std::string> topics;
  enum class From { kBeginning, kEnd } from = From::kBeginning;
  // false: also records of transactions that are open or were aborted.
  bool read_committed = true;
  // How long a broker holds back an answer while there is nothing to send.
  std::chrono::milliseconds fetch_wait{10};
};

// Views are valid until the reader's next call.
struct ReadRecord {
  std::string_view topic;
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  std::optional<std::string_view> key;
  std::optional<std::string_view> value;
  std::vector<std::pair<std::string_view, std::string_view>> headers;
  std::chrono::sys_time<std::chrono::milliseconds> timestamp;
};

class KafkaReader {
 public:
  // Throws IntegrationError kMisconfigured for wrong properties. Does not wait for a broker.
  explicit KafkaReader(ReaderOptions options);
  ~KafkaReader();
  KafkaReader(const KafkaReader&) = delete;
  KafkaReader& operator=(const KafkaReader&) = delete;

  // The next record, or null when none came within `wait` (a search for new topics may add 1 s when
  // brokers do not answer). Order holds within a partition.
  const ReadRecord* poll(std::chrono::milliseconds wait);

  // Whether every partition known was read to its end, and at least one is known.
  bool at_end() const;

  // The last thing that went wrong, for a person; empty when nothing did.
  const std::string& last_error() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace relevo::kafka
