#include "relevo/worker/registry.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace relevo::worker {
namespace {

class Nothing final : public JobHandler {
 public:
  Outcome run(const Job&, Context&) override { return done(); }
};

Registry registry_of(std::initializer_list<const char*> kinds) {
  Registry registry;
  for (const auto* kind : kinds) registry.add(kind, std::make_unique<Nothing>());
  return registry;
}

TEST(WorkerRegistry, FindsTheExactKindElseTheLongestPattern) {
  const auto registry = registry_of({"mail.send", "mail.*", "mail.bulk.*", "report*", "zebra.*"});
  const struct {
    const char* kind;
    const char* pattern;  // nullptr: nobody does it
  } cases[] = {
      {"mail.send", "mail.send"},
      {"mail.sendx", "mail.*"},
      {"mail.bulk.night", "mail.bulk.*"},
      {"mail.bulk", "mail.*"},
      {"mail.", "mail.*"},
      {"mail", nullptr},
      {"report", "report*"},
      {"reports.year", "report*"},
      {"aaa", nullptr},
      {"zz", nullptr},
      {"", nullptr},
  };
  for (const auto& one : cases) {
    const auto* found = registry.find(one.kind);
    EXPECT_EQ(found ? found->pattern : "nobody", one.pattern ? one.pattern : "nobody") << one.kind;
  }
}

TEST(WorkerRegistry, LetsAStarCoverWhatNothingElseDoes) {
  const auto registry = registry_of({"*", "mail.*"});
  EXPECT_EQ(registry.find("anything")->pattern, "*");
  EXPECT_EQ(registry.find("mail.send")->pattern, "mail.*");
}

TEST(WorkerRegistry, RefusesTwoHandlersOfOnePattern) {
  auto registry = registry_of({"mail.send", "mail.*"});
  EXPECT_THROW(registry.add("mail.send", std::make_unique<Nothing>()), std::invalid_argument);
  EXPECT_THROW(registry.add("mail.*", std::make_unique<Nothing>()), std::invalid_argument);
  EXPECT_THAT(registry.kinds(), testing::UnorderedElementsAre("mail.send", "mail.*"));
}

TEST(WorkerRegistry, ChangesTheRulesOfWhatAPatternCovers) {
  auto registry = registry_of({"mail.send", "mail.*", "other"});
  EXPECT_TRUE(registry.set_policy("mail.*", [](KindPolicy& policy) { policy.max_attempts = 2; }));
  EXPECT_TRUE(
      registry.set_policy("mail.send", [](KindPolicy& policy) { policy.max_attempts = 3; }));
  EXPECT_EQ(registry.find("mail.send")->policy.max_attempts, 3);
  EXPECT_EQ(registry.find("mail.bulk")->policy.max_attempts, 2);
  EXPECT_EQ(registry.find("other")->policy.max_attempts, KindPolicy{}.max_attempts);
}

TEST(WorkerRegistry, GivesAKindUnderAPatternRulesOfItsOwn) {
  auto registry = registry_of({"mail.*"});
  EXPECT_TRUE(registry.set_policy("mail.*", [](KindPolicy& policy) { policy.max_attempts = 2; }));
  EXPECT_TRUE(
      registry.set_policy("mail.send", [](KindPolicy& policy) { policy.key_concurrency = 4; }));
  EXPECT_TRUE(registry.set_policy("mail.bulk.*", [](KindPolicy& p) { p.max_attempts = 9; }));
  const auto* send = registry.find("mail.send");
  EXPECT_EQ(send->policy.max_attempts, 2);
  EXPECT_EQ(send->policy.key_concurrency, 4);
  EXPECT_EQ(send->handler, registry.find("mail.other")->handler);
  EXPECT_EQ(registry.find("mail.other")->policy.key_concurrency, 1);
  EXPECT_EQ(registry.find("mail.bulk.x")->policy.max_attempts, 9);
  EXPECT_EQ(registry.find("mail.bulk")->policy.max_attempts, 2);
}

TEST(WorkerRegistry, SaysWhenNobodyDoesWhatARuleIsFor) {
  auto registry = registry_of({"mail.*", "other"});
  const auto change = [](KindPolicy&) { FAIL() << "there is nothing to change"; };
  EXPECT_FALSE(registry.set_policy("male.send", change));
  EXPECT_FALSE(registry.set_policy("othe", change));
  EXPECT_FALSE(registry.set_policy("others.*", change));
}

}  // namespace
}  // namespace relevo::worker
