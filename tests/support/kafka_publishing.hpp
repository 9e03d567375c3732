// What tests of the Kafka adapter share: lines of a log, waiting for reports, reading a topic back.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "relevo/core/log.hpp"
#include "relevo/relay/publisher.hpp"

namespace relevo::test {

// Keeps lines as "level message key=value …". Thread-safe.
class LogLines : public core::Log {
 public:
  void write(core::Level level, std::string_view message,
             std::span<const core::Field> fields) override;
  std::size_t count(std::string_view part) const;
  std::string all() const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

// Collects until `count` reports are there, the producer is lost or the time is over.
std::vector<relay::Report> collect_reports(
    relay::Publisher& publisher, std::size_t count,
    std::chrono::milliseconds time = std::chrono::seconds(20));

// Sends again while the answer is kFull or kUnavailable, collecting into `reports`.
relay::SendResult send_patiently(relay::Publisher& publisher, const relay::Record& record,
                                 relay::Ticket ticket, std::vector<relay::Report>& reports,
                                 std::chrono::milliseconds time = std::chrono::seconds(20));

struct StoredRecord {
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  std::string key;
  std::optional<std::string> value;
  std::vector<std::pair<std::string, std::string>> headers;
};

// Reads a topic from its beginning until `count` records are there or the time is over.
std::vector<StoredRecord> read_topic(const std::string& bootstrap, const std::string& topic,
                                     std::size_t count,
                                     std::chrono::milliseconds time = std::chrono::seconds(20));

}  // namespace relevo::test
