// How handlers are tested: called as they stand, with a unit of work that only writes down what it
// was asked for (docs/handlers.md). What PostgreSQL makes of it is the adapter's test.
#include <gtest/gtest.h>

#include <algorithm>

#include "points.hpp"
#include "welcome.hpp"

namespace relevo::samples {
namespace {

using nlohmann::json;

class MutedLog final : public core::Log {
 public:
  void write(core::Level, std::string_view, std::span<const core::Field>) override {}
};

struct RecordedUnit final : worker::UnitOfWork {
  using UnitOfWork::query;
  std::vector<worker::Row> query(const worker::Statement&,
                                 std::span<const worker::Value>) override {
    return {};
  }
  void publish(const worker::NewEvent& event) override { events.push_back(event); }
  worker::JobId enqueue(const worker::NewJob& job) override {
    jobs.push_back(job);
    return static_cast<worker::JobId>(jobs.size());
  }
  void audit(const worker::AuditEntry& entry) override { audits.push_back(entry); }

  bool untouched() const { return events.empty() && jobs.empty() && audits.empty(); }

  std::vector<worker::NewEvent> events;
  std::vector<worker::NewJob> jobs;
  std::vector<worker::AuditEntry> audits;
};

class RecordedContext final : public worker::Context {
 public:
  worker::UnitOfWork& unit() override { return recorded; }
  const core::Clock& clock() const override { return core::system_clock(); }
  std::stop_token stop() const override { return {}; }
  core::Log& log() override { return log_; }

  RecordedUnit recorded;

 private:
  MutedLog log_;
};

worker::Job job_with(std::string_view payload) {
  worker::Job job;
  job.id = 42;
  job.payload = payload;
  job.headers = "{}";
  return job;
}

TEST(SampleWelcome, GreetsTheCustomerAndLeavesATraceAndTheNextJob) {
  Welcome handler;
  RecordedContext context;

  const auto outcome = handler.run(job_with(R"({"customer": "c-7", "name": "Ada"})"), context);

  ASSERT_TRUE(std::holds_alternative<worker::Done>(outcome));
  EXPECT_EQ(json::parse(std::get<worker::Done>(outcome).result),
            json({{"customer", "c-7"}, {"greeting", "Hello Ada"}}));
  const auto& unit = context.recorded;
  ASSERT_EQ(unit.events.size(), 1U);
  EXPECT_EQ(unit.events[0].aggregate_type, "customer");
  EXPECT_EQ(unit.events[0].aggregate_id, "c-7");
  EXPECT_EQ(unit.events[0].type, "CustomerWelcomed");
  EXPECT_EQ(json::parse(unit.events[0].payload.value()).at("greeting"), "Hello Ada");
  ASSERT_EQ(unit.audits.size(), 1U);
  EXPECT_EQ(unit.audits[0].subject_id, "c-7");
  EXPECT_EQ(unit.audits[0].to_state, "welcomed");
  EXPECT_EQ(unit.audits[0].actor, "job 42");
  ASSERT_EQ(unit.jobs.size(), 1U);
  EXPECT_EQ(unit.jobs[0].kind, Points::kKind);
  EXPECT_EQ(json::parse(unit.jobs[0].payload), json({{"customer", "c-7"}, {"points", 10}}));
}

TEST(SampleWelcome, RefusesACustomerWithoutANameAndWritesNothing) {
  Welcome handler;
  RecordedContext context;

  const auto outcome = handler.run(job_with(R"({"customer": "c-7", "name": ""})"), context);

  ASSERT_TRUE(std::holds_alternative<worker::Dead>(outcome));
  EXPECT_EQ(std::get<worker::Dead>(outcome).reason, "name: is empty");
  EXPECT_TRUE(context.recorded.untouched());
}

TEST(SampleWelcome, NeverSucceedsWithAPayloadOfAnotherShape) {
  Welcome handler;
  RecordedContext context;

  const auto outcome = handler.run(job_with(R"({"customer": "c-7"})"), context);

  ASSERT_TRUE(std::holds_alternative<worker::Dead>(outcome));
  const auto& reason = std::get<worker::Dead>(outcome).reason;
  EXPECT_NE(reason.find("name"), std::string::npos) << reason;
  EXPECT_EQ(reason.find("c-7"), std::string::npos) << "tells a value: " << reason;
  EXPECT_TRUE(context.recorded.untouched());
}

TEST(SamplePoints, MakesOneEventOfManyJobs) {
  Points handler;
  RecordedContext context;
  const std::vector<worker::Job> jobs{job_with(R"({"points": 10})"), job_with(R"({"points": -3})")};

  const auto outcomes = handler.run(jobs, context);

  ASSERT_EQ(outcomes.size(), jobs.size());
  EXPECT_TRUE(std::all_of(outcomes.begin(), outcomes.end(), [](const worker::Outcome& one) {
    return std::holds_alternative<worker::Done>(one);
  }));
  ASSERT_EQ(context.recorded.events.size(), 1U);
  EXPECT_EQ(json::parse(context.recorded.events[0].payload.value()),
            json({{"points", 7}, {"jobs", 2}}));
}

// The worker then rolls back and runs them in calls of one: only the bad one is dead.
TEST(SamplePoints, TellsTheBadJobOfABatchFromTheGood) {
  Points handler;
  RecordedContext context;
  const std::vector<worker::Job> jobs{job_with(R"({"points": 10})"),
                                      job_with(R"({"points": "ten"})"), job_with("[]")};

  const auto outcomes = handler.run(jobs, context);

  ASSERT_EQ(outcomes.size(), jobs.size());
  EXPECT_TRUE(std::holds_alternative<worker::Done>(outcomes[0]));
  EXPECT_TRUE(std::holds_alternative<worker::Dead>(outcomes[1]));
  EXPECT_TRUE(std::holds_alternative<worker::Dead>(outcomes[2]));
}

}  // namespace
}  // namespace relevo::samples
