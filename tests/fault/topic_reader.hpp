// Topics from their beginning as the history checker takes them. Topics that do not exist yet are
// found when they appear.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "relevo/kafka/reader.hpp"
#include "support/history_checker.hpp"

namespace relevo::test {

class TopicReader {
 public:
  TopicReader(const std::string& bootstrap, std::vector<std::string> topics);

  // What arrived, waiting up to `wait` for the first record.
  std::vector<Received> poll(std::chrono::milliseconds wait);
  // Whether what poll() handed out was all there is in the topics found so far.
  bool at_end() const { return reader_.at_end(); }

 private:
  kafka::KafkaReader reader_;
};

}  // namespace relevo::test
