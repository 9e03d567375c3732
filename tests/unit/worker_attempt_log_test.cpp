#include "relevo/worker/attempt_log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "relevo/worker/envelope.hpp"

namespace relevo::worker {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;

const auto kStart = *parse_rfc3339("2026-01-31T12:00:00.123Z");

FailedAttempt failed(int attempt, std::string error = "no") {
  return {attempt, kStart + std::chrono::seconds(attempt - 1), std::move(error)};
}

AttemptLog log_of(int attempts, const std::string& error = "no") {
  AttemptLog log;
  for (int i = 1; i <= attempts; ++i) log.add(failed(i, error));
  return log;
}

std::vector<int> numbers(std::span<const FailedAttempt> attempts) {
  std::vector<int> found;
  for (const auto& one : attempts) found.push_back(one.attempt);
  return found;
}

std::vector<int> numbers(const std::string& text) {
  std::vector<int> found;
  for (const auto& one : json::parse(text)) found.push_back(one.at("attempt").get<int>());
  return found;
}

TEST(AttemptLog, keeps_the_first_and_the_last) {
  EXPECT_THAT(AttemptLog().entries(), IsEmpty());
  EXPECT_EQ(log_of(20).entries().size(), 20U);
  EXPECT_THAT(numbers(log_of(10'000).entries()),
              ElementsAre(1, 2, 3, 4, 5, 9'986, 9'987, 9'988, 9'989, 9'990, 9'991, 9'992, 9'993,
                          9'994, 9'995, 9'996, 9'997, 9'998, 9'999, 10'000));
}

TEST(AttemptLog, an_attempt_has_one_entry) {
  auto log = log_of(2);
  auto again = failed(2, "worse");
  again.at += std::chrono::hours(1);
  log.add(again);
  EXPECT_THAT(log.entries(), ElementsAre(failed(1), failed(2, "worse")));
}

TEST(AttemptLog, is_an_array_of_objects) {
  AttemptLog log;
  log.add(failed(1, "\"no\"\n\xc3\xbc"));
  EXPECT_EQ(attempts_json(log.entries()),
            R"([{"attempt":1,"at":"2026-01-31T12:00:00.123Z","error":"\"no\"\nü"}])");
  EXPECT_EQ(attempts_json({}), "[]");
}

TEST(AttemptLog, comes_back_as_it_was) {
  const auto log = log_of(30, "a \"quoted\" \\ text");
  EXPECT_THAT(AttemptLog(attempts_json(log.entries())).entries(),
              testing::ElementsAreArray(log.entries()));
}

TEST(AttemptLog, what_is_no_entry_is_passed_over) {
  for (const auto* text : {"", "{", "null", "{}", "[]", "[1, null, [], \"x\"]",
                           R"([{"attempt": "1", "at": "2026-01-31T12:00:00Z", "error": "e"}])",
                           R"([{"attempt": 1, "at": "yesterday", "error": "e"}])",
                           R"([{"attempt": 1, "at": 5, "error": "e"}])",
                           R"([{"attempt": 1, "at": "2026-01-31T12:00:00Z"}])"}) {
    EXPECT_THAT(AttemptLog(text).entries(), IsEmpty()) << text;
  }
  EXPECT_THAT(
      numbers(
          AttemptLog(R"([7, {"attempt":2,"at":"2026-01-31T12:00:00Z","error":"e"}])").entries()),
      ElementsAre(2));
}

TEST(AttemptLog, a_text_with_a_limit_leaves_out_the_middle) {
  const auto log = log_of(20, std::string(1'024, '"'));  // each takes two bytes in JSON
  const auto entries = log.entries();
  EXPECT_EQ(numbers(attempts_json(entries)).size(), 20U);
  const auto text = attempts_json(entries, 8'192);
  EXPECT_LE(text.size(), 8'192U);
  EXPECT_THAT(numbers(text), ElementsAre(1, 19, 20));

  const auto shorter = log_of(4);
  const auto whole = attempts_json(shorter.entries());
  EXPECT_EQ(attempts_json(shorter.entries(), whole.size()), whole);
  EXPECT_THAT(numbers(attempts_json(shorter.entries(), whole.size() - 1)), ElementsAre(1, 3, 4));
  EXPECT_EQ(attempts_json(shorter.entries(), 2), "[]");
}

}  // namespace
}  // namespace relevo::worker
