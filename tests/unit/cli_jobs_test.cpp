// The pure parts of the commands for jobs and queues.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/job_filter.hpp"
#include "cli/job_report.hpp"
#include "cli/jobs_commands.hpp"
#include "cli/queues_commands.hpp"
#include "cli/schedules_commands.hpp"
#include "daemon.hpp"

namespace relevo::cli {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

template <typename Call>
std::string usage_error(const Call& call) {
  try {
    call();
  } catch (const UsageError& error) {
    EXPECT_EQ(error.exit_code(), exit_code::kUsage);
    return error.what();
  }
  return "no error";
}

TEST(CliJobFilter, NamesConditionsAsTheDatabaseDoes) {
  JobFilter filter;
  EXPECT_TRUE(filter.empty());
  EXPECT_EQ(filter.json(), "{}");
  filter.kind = "mail.*";
  filter.key = "customer 7";
  filter.before = "2026-03-29T09:00:00+02:00";
  filter.after = "2026-03-28T00:00:00Z";
  EXPECT_FALSE(filter.empty());
  EXPECT_EQ(json::parse(filter.json()), json::parse(R"({"kind": "mail.*",
      "concurrency_key": "customer 7", "before": "2026-03-29T07:00:00.000Z",
      "after": "2026-03-28T00:00:00.000Z"})"));
}

TEST(CliJobFilter, APayloadGoesAsItWasGiven) {
  JobFilter filter;
  filter.payload = R"({"id": 123456789012345678901234567890.5})";
  EXPECT_EQ(filter.json(), R"({"payload":{"id": 123456789012345678901234567890.5}})");
  filter.queue = "q";
  EXPECT_EQ(filter.json(), R"({"queue":"q","payload":{"id": 123456789012345678901234567890.5}})");
}

TEST(CliJobFilter, MistakesNameTheirOption) {
  const auto mistake = [](auto member, const char* value) {
    JobFilter filter;
    filter.*member = value;
    return usage_error([&] { (void)filter.json(); });
  };
  EXPECT_THAT(mistake(&JobFilter::payload, "{"), HasSubstr("--payload: is no valid JSON"));
  EXPECT_THAT(mistake(&JobFilter::payload, R"({}, "kind": "x")"), HasSubstr("--payload"));
  EXPECT_THAT(mistake(&JobFilter::payload, ""), HasSubstr("--payload"));
  EXPECT_THAT(mistake(&JobFilter::before, "yesterday"), HasSubstr("--before: "));
  EXPECT_THAT(mistake(&JobFilter::after, "2026-03-29"), HasSubstr("--after-time: "));
  EXPECT_THAT(mistake(&JobFilter::kind, "\xff"), HasSubstr("UTF-8"));
}

TEST(CliJobFilter, KnowsAUniqueKeyAlone) {
  JobFilter filter;
  EXPECT_FALSE(filter.only_unique_key());
  filter.unique_key = "u";
  EXPECT_TRUE(filter.only_unique_key());
  filter.queue = "q";
  EXPECT_FALSE(filter.only_unique_key());
}

TEST(CliJobChange, HasOnlyWhatIsAskedFor) {
  JobChange change;
  EXPECT_THAT(usage_error([&] { (void)change.json(); }), HasSubstr("nothing to change"));
  change.priority = -2;
  EXPECT_EQ(change.json(), R"({"priority":-2})");
  change.run_at = "2026-03-29T09:00:00+02:00";
  change.queue = "q";
  change.payload = "123456789012345678901234567890";
  EXPECT_EQ(
      change.json(),
      R"({"run_at":"2026-03-29T07:00:00.000Z","priority":-2,"queue":"q","payload":123456789012345678901234567890})");
  change = {};
  change.payload = "null";
  EXPECT_EQ(change.json(), R"({"payload":null})");
  change.payload = R"(1}, "queue": "x")";
  EXPECT_THAT(usage_error([&] { (void)change.json(); }), HasSubstr("no valid JSON"));
  change.payload.reset();
  change.run_at = "soon";
  EXPECT_THAT(usage_error([&] { (void)change.json(); }), HasSubstr("--run-at: "));
}

postgres::JobDetails a_job() {
  postgres::JobDetails details;
  details.job.id = 7;
  details.job.state = "retryable";
  details.job.queue = "mail";
  details.job.kind = "mail.send";
  details.job.attempts = 2;
  details.job.error = "no route\nto host";
  details.payload = R"({"to": 123456789012345678901234567890})";
  details.failures = R"([{"at": "2026-03-29T07:00:00+00:00", "attempt": 1, "outcome": "retry",
                          "worker": null, "ran_ms": 1250, "error": "no route"}])";
  return details;
}

TEST(CliJobs, OneJobAsText) {
  const auto text = details_text({a_job()});
  EXPECT_THAT(text, AllOf(HasSubstr("id:              7\n"), HasSubstr("no route\\nto host\n"),
                          HasSubstr(R"({"to": 123456789012345678901234567890})"),
                          HasSubstr("failed attempts\n"), HasSubstr("1.2 s")));
  EXPECT_THAT(text, Not(HasSubstr("tenant")));
}

TEST(CliJobs, OneJobAsJsonWithTheRunsBefore) {
  auto earlier = a_job();
  earlier.job.state = "completed";
  earlier.payload.reset();
  const auto line = details_json({earlier, a_job()});
  EXPECT_THAT(line, HasSubstr(R"("payload":{"to": 123456789012345678901234567890}})"));
  const auto object = json::parse(line);
  EXPECT_EQ(object.at("id"), 7);
  EXPECT_EQ(object.at("failures").at(0).at("attempt"), 1);
  EXPECT_EQ(object.at("earlier_runs").at(0).at("state"), "completed");
  EXPECT_TRUE(object.at("result").is_null());
  EXPECT_TRUE(json::parse(details_json({earlier})).at("payload").is_null());
}

TEST(CliJobs, AListShowsNoPayload) {
  EXPECT_FALSE(json(json::parse(job_json(a_job().job).dump())).contains("payload"));
}

TEST(CliJobs, AnswersSayWhatHelps) {
  struct Case {
    const char* verb;
    const char* answer;
    bool done;
    const char* text;
  };
  const std::vector<Case> cases{
      {"cancel", "cancelled", true, "job 1: cancelled"},
      {"cancel", "requested", true, "asks it to stop"},
      {"cancel", "dead: discard it", false, "discard it"},
      {"cancel", "not found", false, "jobs show"},
      {"retry", "requested", true, "runs it as soon"},
      {"retry", "redriven", true, "waits again"},
      {"retry", "refused: another job with its unique key is waiting", false, "unique key"},
      {"discard", "discarded", true, "discarded"},
      {"discard", "not found", false, "cancel it"},
      {"edit", "edited", true, "edited"},
      {"edit", "running", false, "waits again"},
      {"edit", "dead", false, "discard it"},
  };
  for (const auto& [verb, answer, done, text] : cases) {
    EXPECT_EQ(is_done(answer), done) << answer;
    EXPECT_THAT(explain_answer(verb, {1, answer}), HasSubstr(text));
  }
}

TEST(CliQueues, FiguresRunsAndSettingsMakeOneLineEach) {
  const std::vector<postgres::QueueFigures> figures{{"a", 5, true, core::WallTime{}, 2},
                                                    {"b", 1, false, std::nullopt, 0}};
  const std::vector<worker::QueueState> states{
      {"c", "*", true, {}}, {"a", "*", false, 4}, {"a", "mail.*", true, {}}, {"*", "*", true, {}}};
  const auto lines = queue_lines(figures, {{"a", 2}, {"b", 3}}, states);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0].ready, 5);
  EXPECT_EQ(lines[0].running, 2);
  EXPECT_EQ(lines[0].concurrency, 4);
  EXPECT_FALSE(lines[0].paused);
  EXPECT_EQ(lines[1].running, 3);
  EXPECT_EQ(lines[2].queue, "c");
  EXPECT_TRUE(lines[2].paused);

  QueuesLook look{core::WallTime{} + 90s, lines, {{"a", "mail.*", true, {}}, {"*", "*", true, {}}}};
  EXPECT_THAT(queues_text(look),
              AllOf(HasSubstr("1 min 30 s"), HasSubstr("paused: kind mail.* in queue a\n"),
                    HasSubstr("paused: everything\n"), HasSubstr("≈ 1")));
  EXPECT_EQ(queues_json(look).at(0).at("oldest_age_seconds"), 90);
  EXPECT_EQ(pauses_json(look).size(), 2U);
}

TEST(CliQueues, LimitsAreNumbersOrNone) {
  EXPECT_EQ(parse_limit("N", "20"), 20);
  EXPECT_EQ(parse_limit("N", "none"), std::nullopt);
  EXPECT_EQ(parse_rate("R", "0.5"), 0.5);
  EXPECT_EQ(parse_rate("R", "none"), std::nullopt);
  for (const auto* wrong : {"", "0", "-1", "1.5", "x", "1x", "99999999999"}) {
    EXPECT_THAT(usage_error([&] { (void)parse_limit("N", wrong); }), HasSubstr("N: is ")) << wrong;
  }
  for (const auto* wrong : {"", "0", "-1", "nan", "inf", "1,5"}) {
    EXPECT_THAT(usage_error([&] { (void)parse_rate("R", wrong); }), HasSubstr("R: is ")) << wrong;
  }
}

TEST(CliStatus, JobsThatMayNotBeSeenAreToldAndNull) {
  EXPECT_THAT(jobs_text(std::nullopt), HasSubstr("relevo_worker"));
  Json status = Json::object();
  add_jobs_json(status, std::nullopt);
  for (const auto* member : {"queues", "pauses", "lanes", "schedules", "parked_messages"}) {
    EXPECT_TRUE(status.at(member).is_null()) << member;
  }
}

TEST(CliStatus, JobsShowQueuesWorkersSchedulesAndParkedMessages) {
  JobLook look;
  look.queues.now = core::WallTime{} + 60s;
  look.queues.queues.push_back({.queue = "mail",
                                .ready = 3,
                                .running = 1,
                                .oldest = std::nullopt,
                                .dead = 0,
                                .exact = true,
                                .paused = false,
                                .concurrency = std::nullopt});
  look.lanes = {{"host-a", 12, 1, 20ms}, {std::nullopt, 4, 0, 2h}};
  look.schedules = {3, 1, 1, core::WallTime{}};
  look.parked = {{"orders", 5, core::WallTime{}}};
  EXPECT_THAT(jobs_text(look),
              AllOf(HasSubstr("mail"), HasSubstr("host-a"), HasSubstr("(free)"), HasSubstr("2 h"),
                    HasSubstr("3, 1 paused, next 1970-01-01T00:00:00.000Z, 1 overdue"),
                    HasSubstr("orders")));
  Json status = Json::object();
  add_jobs_json(status, look);
  EXPECT_TRUE(status.at("lanes").at(1).at("holder").is_null());
  EXPECT_EQ(status.at("schedules").at("overdue"), 1);
  EXPECT_EQ(status.at("parked_messages").at(0).at("messages"), 5);
}

TEST(CliIntervals, AMistakeNamesItsOption) {
  EXPECT_EQ(parse_interval("--timeout", "15m"), 15min);
  EXPECT_THAT(usage_error([] { (void)parse_interval("--timeout", "soon"); }),
              HasSubstr("--timeout: \"soon\""));
}

}  // namespace
}  // namespace relevo::cli
