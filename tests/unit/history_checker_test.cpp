// The checker judges every fault test, so each kind of violation is planted here and must be found.
#include "support/history_checker.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/sha256.hpp"

namespace relevo::test {
namespace {

Written event(const std::string& aggregate, std::int64_t version) {
  const auto value = "{\"version\": " + std::to_string(version) + "}";
  return {aggregate + "-" + std::to_string(version),
          "orders",
          "order",
          aggregate,
          "changed",
          version,
          sha256_hex(value),
          {{"source", "test"}}};
}

Received record(const std::string& aggregate, std::int64_t version, std::int64_t offset,
                std::int32_t partition = 0) {
  return {"orders",
          partition,
          offset,
          aggregate,
          "{\"version\": " + std::to_string(version) + "}",
          {{"ce_id", aggregate + "-" + std::to_string(version)},
           {"ce_type", "changed"},
           {"content-type", "application/json"},
           {"source", "test"}}};
}

std::vector<Written> events(const std::string& aggregate, std::int64_t count) {
  std::vector<Written> result;
  for (std::int64_t version = 1; version <= count; ++version)
    result.push_back(event(aggregate, version));
  return result;
}

// The aggregate's records with these versions, one after the other.
std::vector<Received> records(const std::string& aggregate,
                              std::initializer_list<std::int64_t> versions) {
  std::vector<Received> result;
  for (const auto version : versions) {
    result.push_back(record(aggregate, version, static_cast<std::int64_t>(result.size())));
  }
  return result;
}

using Texts = std::vector<std::string>;

TEST(HistoryChecker, AcceptsACompleteHistory) {
  const auto verdict = check_history(events("a", 3), records("a", {1, 2, 3}));
  EXPECT_TRUE(verdict.sound()) << verdict.report();
  EXPECT_EQ(verdict.events, 3U);
  EXPECT_EQ(verdict.records, 3U);
  EXPECT_EQ(verdict.duplicates, 0U);
}

TEST(HistoryChecker, GoesByOffsetsNotByTheOrderOfReading) {
  auto read = records("a", {1, 2, 3});
  std::reverse(read.begin(), read.end());
  EXPECT_TRUE(check_history(events("a", 3), read).sound());
}

TEST(HistoryChecker, AcceptsAggregatesThatInterleave) {
  auto written = events("a", 2);
  const auto more = events("b", 2);
  written.insert(written.end(), more.begin(), more.end());
  const std::vector<Received> read{record("b", 1, 0), record("a", 1, 1), record("a", 2, 2),
                                   record("b", 2, 3)};
  EXPECT_TRUE(check_history(written, read).sound());
}

TEST(HistoryChecker, FindsALostEvent) {
  const auto verdict = check_history(events("a", 3), records("a", {1, 3}));
  EXPECT_EQ(verdict.lost, Texts{"a-2"});
  EXPECT_FALSE(verdict.sound());
}

TEST(HistoryChecker, FindsALostLastEvent) {
  EXPECT_EQ(check_history(events("a", 3), records("a", {1, 2})).lost, Texts{"a-3"});
}

TEST(HistoryChecker, FindsAnInventedEvent) {
  const auto verdict = check_history(events("a", 2), records("a", {1, 2, 3}));
  EXPECT_EQ(verdict.invented, Texts{"a-3 orders/0@2"});
  EXPECT_FALSE(verdict.sound());
}

TEST(HistoryChecker, FindsARecordWithoutAnEventId) {
  auto read = records("a", {1});
  read[0].headers.erase(read[0].headers.begin());
  const auto verdict = check_history(events("a", 1), read);
  EXPECT_EQ(verdict.invented.size(), 1U);
  EXPECT_EQ(verdict.lost.size(), 1U);
}

struct Corruption {
  std::string name;
  void (*plant)(Received&);
  std::string expected;
};

class HistoryCheckerCorruption : public testing::TestWithParam<Corruption> {};

TEST_P(HistoryCheckerCorruption, IsFound) {
  auto read = records("a", {1});
  GetParam().plant(read[0]);
  const auto verdict = check_history(events("a", 1), read);
  ASSERT_EQ(verdict.corrupted.size(), 1U);
  EXPECT_TRUE(verdict.corrupted[0].ends_with(GetParam().expected)) << verdict.corrupted[0];
  EXPECT_FALSE(verdict.sound());
}

INSTANTIATE_TEST_SUITE_P(
    Each, HistoryCheckerCorruption,
    testing::Values(
        Corruption{"Value", [](Received& r) { r.value->back() = ' '; }, " value"},
        Corruption{"ValueMissing", [](Received& r) { r.value.reset(); }, " tombstone"},
        Corruption{"Key", [](Received& r) { r.key = "b"; }, " key"},
        Corruption{"Topic", [](Received& r) { r.topic = "others"; }, " topic"},
        Corruption{"HeaderChanged", [](Received& r) { r.headers.back().second = "T"; }, " headers"},
        Corruption{"HeaderMissing", [](Received& r) { r.headers.pop_back(); }, " headers"},
        Corruption{"HeaderAdded", [](Received& r) { r.headers.emplace_back("x", ""); }, " headers"},
        Corruption{"EventType", [](Received& r) { r.headers[1].second = "made"; }, " ce_type"}),
    [](const auto& corruption) { return corruption.param.name; });

TEST(HistoryChecker, FindsAValueWhereATombstoneWasWritten) {
  auto written = events("a", 1);
  written[0].value_digest.reset();
  EXPECT_EQ(check_history(written, records("a", {1})).corrupted.size(), 1U);
}

TEST(HistoryChecker, FindsReorderedEvents) {
  const auto verdict = check_history(events("a", 3), records("a", {1, 3, 2}));
  EXPECT_EQ(verdict.reordered, Texts{"a-2"});
  EXPECT_TRUE(verdict.lost.empty());
  EXPECT_FALSE(verdict.sound());
}

TEST(HistoryChecker, FindsAFirstOccurrenceOutOfOrderWithinAReplay) {
  EXPECT_EQ(check_history(events("a", 4), records("a", {1, 3, 1, 2, 3, 4})).reordered,
            Texts{"a-2"});
}

TEST(HistoryChecker, FindsAnAggregateInTwoPartitions) {
  const std::vector<Received> read{record("a", 1, 0, 0), record("a", 2, 0, 1)};
  const auto verdict = check_history(events("a", 2), read);
  EXPECT_EQ(verdict.split, Texts{"order a"});
  EXPECT_FALSE(verdict.sound());
}

TEST(HistoryChecker, CountsAReplayThatGoesOnFromAnEarlierEvent) {
  const auto verdict = check_history(events("a", 5), records("a", {1, 2, 3, 2, 3, 4, 5}));
  EXPECT_TRUE(verdict.sound()) << verdict.report();
  EXPECT_EQ(verdict.duplicates, 2U);
  EXPECT_EQ(verdict.replays, 1U);
  EXPECT_EQ(verdict.broken_replays, 0U);
}

TEST(HistoryChecker, CountsEachReplay) {
  const auto verdict = check_history(events("a", 3), records("a", {1, 2, 1, 2, 1, 2, 3, 3}));
  EXPECT_EQ(verdict.duplicates, 5U);
  EXPECT_EQ(verdict.replays, 3U);
  EXPECT_EQ(verdict.broken_replays, 0U);
}

TEST(HistoryChecker, FindsAReplayThatLeavesAnEventOut) {
  const auto verdict = check_history(events("a", 4), records("a", {1, 2, 3, 1, 3, 4}));
  EXPECT_TRUE(verdict.sound());
  EXPECT_EQ(verdict.duplicates, 2U);
  EXPECT_EQ(verdict.broken_replays, 1U);
}

TEST(HistoryChecker, ReportsNumbersAndExamples) {
  const auto report = check_history(events("a", 3), records("a", {1, 3, 3})).report();
  EXPECT_NE(report.find("events=3 records=3 duplicates=1"), std::string::npos) << report;
  EXPECT_NE(report.find("lost=1"), std::string::npos) << report;
  EXPECT_NE(report.find("a-2"), std::string::npos) << report;
}

}  // namespace
}  // namespace relevo::test
