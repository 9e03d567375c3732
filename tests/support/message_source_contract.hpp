// What every worker::MessageSource does: the fake that tests of the consumer run on, and the one on
// librdkafka.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "relevo/worker/message_source.hpp"

namespace relevo::test {

struct SourceUnderTest {
  // A member of one group, the same each time.
  std::function<std::unique_ptr<worker::MessageSource>()> open;
  // Appends records with these values to one partition.
  std::function<void(const std::vector<std::string>& values)> write;
};

// Keeps what the source tells.
class AssignmentLog final : public worker::MessageSource::Assignment {
 public:
  void assigned(std::span<const worker::TopicPartition> partitions) override {
    held.insert(held.end(), partitions.begin(), partitions.end());
  }
  void revoked(std::span<const worker::TopicPartition> partitions, bool) override {
    if (before_revoked) before_revoked();
    for (const auto& partition : partitions) std::erase(held, partition);
  }

  std::vector<worker::TopicPartition> held;
  std::function<void()> before_revoked;
};

// Fails the current test where the source does otherwise.
void expect_message_source(const SourceUnderTest& source);

}  // namespace relevo::test
