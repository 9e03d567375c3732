#include "support/message_source_contract.hpp"

#include <gtest/gtest.h>

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

std::vector<worker::RawRecord> poll(worker::MessageSource& source, AssignmentLog& assignment,
                                    std::size_t count, std::chrono::milliseconds time = 30s) {
  std::vector<worker::RawRecord> records;
  const auto deadline = std::chrono::steady_clock::now() + time;
  while (records.size() < count && std::chrono::steady_clock::now() < deadline) {
    source.poll(50ms, count - records.size(), records, assignment);
  }
  return records;
}

std::vector<std::string> values(const std::vector<worker::RawRecord>& records) {
  std::vector<std::string> all;
  for (const auto& record : records) all.emplace_back(record.value().value_or(""));
  return all;
}

worker::TopicPartition partition_of(const worker::RawRecord& record) {
  return {std::string(record.topic()), record.partition()};
}

}  // namespace

void expect_message_source(const SourceUnderTest& subject) {
  using Values = std::vector<std::string>;
  subject.write({"a", "b", "c", "d"});
  {
    const auto source = subject.open();
    AssignmentLog assignment;
    const auto first = poll(*source, assignment, 3);
    ASSERT_EQ(values(first), (Values{"a", "b", "c"})) << "no more than asked for, in order";
    EXPECT_FALSE(assignment.held.empty()) << "told before the first record";
    source->store(partition_of(first[0]), first[1].offset() + 1);
    source->commit();
    source->store({"no such topic", 0}, 7);  // passed over
    source->close(10s, assignment);
    EXPECT_TRUE(assignment.held.empty()) << "revoked at close";
  }
  {
    const auto source = subject.open();
    AssignmentLog assignment;
    const auto again = poll(*source, assignment, 2);
    ASSERT_EQ(values(again), (Values{"c", "d"})) << "from what was stored, not what was polled";
    EXPECT_GE(source->lag(), 1);
    source->pause();
    subject.write({"e"});
    EXPECT_TRUE(poll(*source, assignment, 1, 500ms).empty()) << "paused";
    source->resume();
    const auto rest = poll(*source, assignment, 1);
    ASSERT_EQ(values(rest), Values{"e"});
    // What is stored while the partition is being revoked is still committed.
    assignment.before_revoked = [&] { source->store(partition_of(rest[0]), rest[0].offset() + 1); };
    source->close(10s, assignment);
  }
  {
    const auto source = subject.open();
    AssignmentLog assignment;
    subject.write({"f"});
    EXPECT_EQ(values(poll(*source, assignment, 1)), Values{"f"});
    source->close(10s, assignment);
  }
}

}  // namespace relevo::test
