// The commands for jobs and queues on a real database, with and without a worker.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "job_worker.hpp"
#include "support/database.hpp"
#include "support/environment.hpp"
#include "support/eventually.hpp"
#include "support/process.hpp"
#include "support/program.hpp"
#include "support/scripted_server.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class CliJobsTest : public ProgramTest {
 protected:
  std::string enqueue(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"jobs", "enqueue"});
    auto id = done(std::move(arguments));
    id.pop_back();
    return id;
  }
  std::vector<std::int64_t> listed(std::vector<std::string> filters) const {
    filters.insert(filters.begin(), {"jobs", "list"});
    std::vector<std::int64_t> ids;
    for (const auto& job : answer(std::move(filters))) ids.push_back(job.at("id"));
    return ids;
  }
  void kill_job(const std::string& id) {
    sql_.query("UPDATE relevo.job SET state = 2, run_at = now(), error = 'no route' WHERE id = $1",
               {id});
  }
};

TEST_F(CliJobsTest, EnqueueStoresWhatIsGivenAndPrintsTheId) {
  const auto id = enqueue({"mail.send",         R"({"to": 42})",
                           "--queue",           "mail",
                           "--priority",        "3",
                           "--unique-key",      "u",
                           "--concurrency-key", "c",
                           "--rate-key",        "r",
                           "--tenant",          "acme",
                           "--max-attempts",    "4",
                           "--timeout",         "2h",
                           "--run-at",          "2126-03-29T09:00:00+02:00",
                           "--expires-at",      "2126-03-30T00:00:00Z",
                           "--header",          "a=b"});
  const auto job = answer({"jobs", "show", id});
  EXPECT_EQ(job.at("state"), "scheduled");
  EXPECT_EQ(job.at("run_at"), "2126-03-29T07:00:00.000Z");
  EXPECT_EQ(job.at("expires_at"), "2126-03-30T00:00:00.000Z");
  EXPECT_EQ(job.at("payload"), json::parse(R"({"to": 42})"));
  EXPECT_EQ(job.at("headers"), json::parse(R"({"a": "b"})"));
  EXPECT_EQ(job.at("timeout_ms"), 7'200'000);
  EXPECT_EQ(job.at("queue"), "mail");
  EXPECT_EQ(job.at("priority"), 3);
  EXPECT_EQ(job.at("unique_key"), "u");
  EXPECT_EQ(job.at("concurrency_key"), "c");
  EXPECT_EQ(job.at("rate_key"), "r");
  EXPECT_EQ(job.at("tenant"), "acme");
  EXPECT_EQ(job.at("max_attempts"), 4);
  EXPECT_EQ(enqueue({"mail.send", "--unique-key", "u"}), id);
  EXPECT_EQ(answer({"jobs", "enqueue", "k"}).at("job_id"), std::stoll(id) + 2);
}

TEST_F(CliJobsTest, ListFiltersPagesAndShowsNoPayload) {
  const auto a = std::stoll(enqueue({"mail.send", R"({"to": 1, "note": "secret"})"}));
  const auto b = std::stoll(enqueue({"mail.read", R"({"to": 2})", "--queue", "mail"}));
  const auto c = std::stoll(
      enqueue({"report", "--concurrency-key", "c", "--tenant", "acme", "--unique-key", "u"}));
  kill_job(std::to_string(b));
  EXPECT_THAT(listed({}), ElementsAre(a, b, c));
  EXPECT_THAT(listed({"--kind", "mail.*"}), ElementsAre(a, b));
  EXPECT_THAT(listed({"--state", "dead"}), ElementsAre(b));
  EXPECT_THAT(listed({"--queue", "mail"}), ElementsAre(b));
  EXPECT_THAT(listed({"--key", "c"}), ElementsAre(c));
  EXPECT_THAT(listed({"--unique-key", "u"}), ElementsAre(c));
  EXPECT_THAT(listed({"--tenant", "acme"}), ElementsAre(c));
  EXPECT_THAT(listed({"--payload", R"({"to": 1})"}), ElementsAre(a));
  EXPECT_THAT(listed({"--payload-path", "$.to > 1"}), ElementsAre(b));
  EXPECT_THAT(listed({"--before", "2000-01-01T00:00:00Z"}), ElementsAre());
  EXPECT_THAT(listed({"--after-time", "2000-01-01T00:00:00Z"}), ElementsAre(a, b, c));
  EXPECT_THAT(listed({"--after", std::to_string(a)}), ElementsAre(b, c));
  const auto first = call({"jobs", "list", "--limit", "1"});
  EXPECT_THAT(first.out, AllOf(HasSubstr("mail.send"), Not(HasSubstr("secret"))));
  EXPECT_THAT(first.err, HasSubstr("add --after " + std::to_string(a)));
  EXPECT_THAT(call({"jobs", "list", "--json"}).out, Not(HasSubstr("secret")));
  EXPECT_THAT(done({"jobs", "show", std::to_string(a)}), HasSubstr("secret"));
  EXPECT_EQ(done({"jobs", "list", "--kind", "other"}), "no jobs\n");
}

TEST_F(CliJobsTest, ShowTellsTheAttemptsThatFailed) {
  const auto id = enqueue({"k"});
  sql_.query(
      "INSERT INTO relevo.job_attempt (job_id, attempt, outcome, worker, ran, error) VALUES "
      "($1, 1, 'retry', 'host-a', '2 s', 'no route'), ($1, 2, 'dead', NULL, NULL, 'gone')",
      {id});
  EXPECT_THAT(done({"jobs", "show", id}),
              AllOf(HasSubstr("host-a"), HasSubstr("2.0 s"), HasSubstr("gone")));
  EXPECT_EQ(answer({"jobs", "show", id}).at("failures").size(), 2U);
}

TEST_F(CliJobsTest, MistakesAreOneLineThatTellsWhatToDo) {
  expect_refused({"jobs", "show", "4711"}, 1, "jobs list");
  expect_refused({"jobs", "show", "x"}, 2, "ID");
  expect_refused({"jobs", "list", "--state", "asleep"}, 2, "available");
  expect_refused({"jobs", "list", "--payload", "{"}, 2, "--payload: is no valid JSON");
  expect_refused({"jobs", "list", "--before", "yesterday"}, 2, "--before: ");
  expect_refused({"jobs", "list", "--payload-path", "$$$"}, 1, "payload_path: ");
  expect_refused({"jobs", "enqueue", ""}, 1, "kind: is empty");
  expect_refused({"jobs", "enqueue", "k", "{"}, 2, "payload: is no valid JSON");
  expect_refused({"jobs", "enqueue", "k", "--run-at", "soon"}, 2, "--run-at: ");
  expect_refused({"jobs", "enqueue", "k", "--timeout", "soon"}, 2, "--timeout: ");
  expect_refused({"jobs", "enqueue", "k", "--timeout", "25h"}, 1, "timeout: ");
  expect_refused({"jobs", "retry"}, 2, "which jobs?");
  expect_refused({"jobs", "retry", "--kind", "k"}, 2, "add --all");
  expect_refused({"jobs", "retry", "--unique-key", "u"}, 2, "add --all");
  expect_refused({"jobs", "cancel", "1", "--all"}, 2, "not both");
  expect_refused({"jobs", "cancel", "1", "--no-wait"}, 2, "--no-wait");
  expect_refused({"jobs", "cancel", "--unique-key", "u"}, 1, "no job with it");
  expect_refused({"jobs", "cancel", "4711"}, 1, "job 4711: ");
  expect_refused({"jobs", "discard", "4711"}, 1, "job 4711: ");
  expect_refused({"jobs", "discard", "--state", "completed", "--all"}, 2, "quarantined");
  expect_refused({"jobs", "edit", "4711"}, 2, "nothing to change");
  expect_refused({"jobs", "edit", "4711", "--priority", "1"}, 1, "job 4711: ");
  expect_refused({"jobs", "edit", "4711", "--payload", "{"}, 2, "payload: is no valid JSON");
  expect_refused({"jobs", "assert-enqueued"}, 2, "--kind");
  expect_refused({"jobs", "lsit"}, 2, "did you mean `list`?");
  expect_refused({"queues", "concurrency", "q", "0"}, 2, "N: is \"0\"");
  expect_refused({"queues", "rate", "k", "fast"}, 2, "PER_SECOND: is \"fast\"");
  expect_refused({"queues", "weight", "acme", "-1"}, 2, "N");
  expect_refused({"queues", "pause", ""}, 1, "queue: is empty");
  done({"queues", "pause", "mail"});
  expect_refused({"queues", "resume", "mial"}, 1, "did you mean \"mail\"?");
  expect_refused({"queues", "resume", "mail", "--kind", "k"}, 1, "is not paused");
  EXPECT_EQ(sql_.number("SELECT count(*) FROM relevo.job"), 0);
}

TEST_F(CliJobsTest, JobsWithoutAHolderInTheWayChangeAtOnce) {
  const auto unique = enqueue({"k", "--unique-key", "u"});
  EXPECT_EQ(done({"jobs", "edit", unique, "--payload", R"({"n": 1})", "--priority", "7"}),
            "job " + unique + ": edited\n");
  EXPECT_EQ(answer({"jobs", "show", unique}).at("payload"), json::parse(R"({"n": 1})"));
  EXPECT_EQ(done({"jobs", "cancel", "--unique-key", "u"}), "cancelled\n");
  EXPECT_EQ(answer({"jobs", "show", unique}).at("state"), "cancelled");

  const auto dead = enqueue({"k"});
  kill_job(dead);
  expect_refused({"jobs", "cancel", dead}, 1, "discard");
  expect_refused({"jobs", "edit", dead, "--priority", "1"}, 1, "is dead");
  EXPECT_THAT(done({"jobs", "retry", dead}), HasSubstr("waits again"));
  kill_job(dead);
  const auto both = call({"jobs", "discard", dead, "4711"});
  EXPECT_EQ(both.code, 1);
  EXPECT_EQ(both.out, "job " + dead + ": discarded\n");
  EXPECT_THAT(both.err, HasSubstr("job 4711: is not dead"));
  EXPECT_EQ(answer({"jobs", "show", dead}).at("state"), "discarded");
}

TEST_F(CliJobsTest, WithoutAWorkerOperationsStayAskedFor) {
  enqueue({"k"});
  const auto id = done({"jobs", "cancel", "--kind", "k", "--all", "--no-wait"});
  const auto operations = answer({"jobs", "operations"});
  ASSERT_EQ(operations.size(), 1U);
  EXPECT_EQ(std::to_string(operations[0].at("id").get<std::int64_t>()) + "\n", id);
  EXPECT_EQ(operations[0].at("filter"), json::parse(R"({"kind": "k"})"));
  EXPECT_TRUE(operations[0].at("finished_at").is_null());

  Process waiting({required_environment("RELEVO_BIN"), "jobs", "cancel", "--all"}, environment());
  EXPECT_TRUE(waiting.wait_line("16 lanes without a worker", 30s));
  waiting.signal(SIGINT);
  const auto exit = waiting.wait(30s);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->code, 1);
  EXPECT_TRUE(waiting.find_line("goes on in the background as operation"));
}

TEST_F(CliJobsTest, AssertEnqueuedCountsWhatWaitsOrRuns) {
  enqueue({"mail.send", R"({"to": 1})"});
  enqueue({"mail.send", R"({"to": 2})", "--queue", "mail"});
  kill_job(enqueue({"mail.send", R"({"to": 3})"}));
  EXPECT_EQ(done({"jobs", "assert-enqueued", "--kind", "mail.send"}), "");
  done({"jobs", "assert-enqueued", "--kind", "mail.*", "--count", "2"});
  done({"jobs", "assert-enqueued", "--kind", "mail.send", "--payload", R"({"to": 2})", "--queue",
        "mail", "--count", "1"});
  done({"jobs", "assert-enqueued", "--kind", "report", "--count", "0"});
  expect_refused({"jobs", "assert-enqueued", "--kind", "report"}, 1, "wanted a job, found none");
  expect_refused({"jobs", "assert-enqueued", "--kind", "mail.send", "--payload", R"({"to": 3})"}, 1,
                 "of kind mail.send there are 2");
  expect_refused({"jobs", "assert-enqueued", "--kind", "mail.send", "--count", "3"}, 1,
                 "wanted 3 jobs, found 2");
}

TEST_F(CliJobsTest, QueuesShowsJobsLimitsAndPauses) {
  EXPECT_EQ(done({"queues"}), "no jobs\n");
  enqueue({"k", "--queue", "mail"});
  enqueue({"k", "--queue", "mail", "--run-at", "2126-03-29T09:00:00Z"});
  kill_job(enqueue({"k", "--queue", "mail"}));
  done({"queues", "pause", "reports"});
  done({"queues", "pause", "*", "--kind", "mail.*"});
  done({"queues", "concurrency", "mail", "20"});
  done({"queues", "rate", "smtp", "0.5", "--burst", "10"});
  done({"queues", "weight", "acme", "3"});
  const auto all = answer({"queues"});
  EXPECT_EQ(all.at("rates"), answer({"queues", "list"}).at("rates"));
  ASSERT_EQ(all.at("queues").size(), 2U);
  const auto& mail = all.at("queues")[0];
  EXPECT_EQ(mail.at("queue"), "mail");
  EXPECT_EQ(mail.at("ready"), 1);
  EXPECT_EQ(mail.at("dead"), 1);
  EXPECT_EQ(mail.at("running"), 0);
  EXPECT_EQ(mail.at("concurrency"), 20);
  EXPECT_EQ(mail.at("paused"), false);
  EXPECT_EQ(all.at("queues")[1].at("paused"), true);
  EXPECT_EQ(all.at("pauses"), json::parse(R"([{"queue": "*", "kind": "mail.*"}])"));
  EXPECT_EQ(all.at("rates"), json::parse(R"([{"key": "smtp", "per_second": 0.5, "burst": 10}])"));
  EXPECT_EQ(all.at("tenant_weights"), json::parse(R"([{"tenant": "acme", "weight": 3}])"));
  EXPECT_THAT(done({"queues"}), AllOf(HasSubstr("smtp"), HasSubstr("0.5"), HasSubstr("acme"),
                                      HasSubstr("paused: kind mail.*")));
  done({"queues", "resume", "reports"});
  done({"queues", "resume", "*", "--kind", "mail.*"});
  done({"queues", "concurrency", "mail", "none"});
  done({"queues", "rate", "smtp", "none"});
  done({"queues", "weight", "acme", "none"});
  EXPECT_EQ(sql_.number("SELECT (SELECT count(*) FROM relevo.queue_state) + (SELECT count(*) FROM "
                        "relevo.bucket) + (SELECT count(*) FROM relevo.tenant_weight)"),
            0);
}

TEST_F(CliJobsTest, YearsBeyondFourDigitsCannotBeMistaken) {
  const auto id = sql_.value("SELECT relevo.enqueue('k', run_at => '99999-12-31 Z')");
  EXPECT_THAT(done({"jobs", "list"}), HasSubstr("+99999-12-31T00:00:00.000Z"));
  EXPECT_EQ(answer({"jobs", "show", id}).at("run_at"), "+99999-12-31T00:00:00.000Z");
}

TEST_F(CliJobsTest, StatusTellsOfJobsToWhomMaySeeThem) {
  enqueue({"k", "--queue", "mail"});
  sql_.exec("SELECT relevo.schedule_put('nightly', 'k', cron => '0 3 * * *')");
  const auto status = answer({"status"});
  EXPECT_EQ(status.at("queues")[0].at("queue"), "mail");
  EXPECT_EQ(status.at("lanes"), json::parse("[" + status.at("lanes")[0].dump() + "]"));
  EXPECT_EQ(status.at("lanes")[0].at("lanes"), 16);
  EXPECT_EQ(status.at("schedules").at("schedules"), 1);
  EXPECT_EQ(status.at("parked_messages"), json::array());
  EXPECT_THAT(done({"status"}),
              AllOf(HasSubstr("mail"), HasSubstr("(free)"), HasSubstr("schedules:   1")));

  const auto relay = call_as("relevo_relay", {"status"});
  EXPECT_EQ(relay.code, 0) << relay.err;
  EXPECT_THAT(relay.out, AllOf(HasSubstr("backlog:"), HasSubstr("no member of relevo_worker")));
}

TEST_F(CliJobsTest, AWorkersOwnRoleSeesAllButEvents) {
  enqueue({"k", "--queue", "mail"});
  const auto text = call_as("relevo_worker", {"status"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, AllOf(StartsWith("events: this user may not see them (it is no member of "
                                         "relevo_relay)\n"),
                              HasSubstr("no replica is running"), HasSubstr("mail"),
                              HasSubstr("(free)"), Not(HasSubstr("backlog"))));
  const auto status = json::parse(call_as("relevo_worker", {"status", "--json"}).out);
  for (const auto* member :
       {"backlog", "published_per_second", "shards", "dead_events", "waiting_aggregates"}) {
    EXPECT_TRUE(status.at(member).is_null()) << member;
  }
  EXPECT_EQ(status.at("queues")[0].at("queue"), "mail");
  EXPECT_EQ(status.at("replicas"), json::array());

  const auto check = call_as("relevo_worker", {"check"});
  EXPECT_THAT(check.out,
              AllOf(HasSubstr("ok       schema: "),
                    HasSubstr("note     events: this user may not see them (it is no member of "
                              "relevo_relay)"),
                    Not(HasSubstr("permission denied")), Not(HasSubstr("no events yet"))));
  const auto list = call_as("relevo_relay", {"jobs", "list"});
  EXPECT_EQ(list.code, 3);
  EXPECT_THAT(list.err, AllOf(HasSubstr("42501"), HasSubstr("relevo_worker for jobs")));
}

TEST_F(CliJobsTest, DrainRunsWhatIsDueAndWhatFollowsFromIt) {
  enqueue({"sample.welcome", R"({"customer": "c-7", "name": "Ada"})"});
  enqueue({"sample.points", R"({"points": 5})"});
  enqueue({"sample.points", R"({"points": 5})", "--run-at", "2126-03-29T09:00:00Z"});
  EXPECT_EQ(done({"jobs", "drain", "--until-empty"}),
            "completed 3, retryable 0, dead 0, quarantined 0, cancelled 0\nfor later: 1 job\n");
  EXPECT_EQ(sql_.number("SELECT count(*) FROM relevo.outbox WHERE aggregate_type = 'customer'"), 1);
  const auto again = answer({"jobs", "drain", "--until-empty"});
  EXPECT_TRUE(again.at("empty"));
  EXPECT_EQ(again.at("completed"), 0);
  EXPECT_EQ(again.at("scheduled"), 1);
  EXPECT_EQ(sql_.number("SELECT count(*) FROM relevo.lane WHERE holder IS NOT NULL"), 0);
}

TEST_F(CliJobsTest, DrainSaysWhatDiedAndWhatWillBeTriedAgain) {
  const auto dead = enqueue({"sample.welcome", R"({"customer": "c-7", "name": ""})"});
  const auto failed = enqueue({"nobody.knows"});
  enqueue({"sample.points", R"({"points": 5})", "--expires-at", "2000-01-01T00:00:00Z"});
  const auto outcome = call({"jobs", "drain", "--until-empty"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("job " + dead + " (sample.welcome) is dead: name: is empty\n"),
                    HasSubstr("job " + failed + " (nobody.knows) is retryable: no handler")));
  EXPECT_THAT(outcome.out,
              AllOf(StartsWith("completed 0, retryable 1, dead 1, quarantined 0, cancelled 1\n"),
                    HasSubstr("next retry: ")));
  // Those of before are not held against it.
  sql_.query("UPDATE relevo.job SET run_at = now() + '1 day' WHERE id = $1", {failed});
  const auto later = answer({"jobs", "drain", "--until-empty"});
  EXPECT_EQ(later.at("dead"), 0);
  EXPECT_EQ(later.at("retryable"), 1);
  EXPECT_EQ(later.at("failed"), json::array());
}

TEST_F(CliJobsTest, DrainLeavesWhatAPauseHoldsUpAndOtherQueues) {
  const char* points = R"({"points": 5})";
  done({"queues", "pause", "still"});
  enqueue({"sample.points", points, "--queue", "still"});
  enqueue({"sample.points", points, "--queue", "a", "--concurrency-key", "c"});
  enqueue({"sample.points", points, "--queue", "b", "--concurrency-key", "c"});
  const auto first = answer({"jobs", "drain", "--until-empty", "--queue", "b"});
  EXPECT_EQ(first.at("completed"), 1);
  EXPECT_EQ(first.at("paused"), 0);
  EXPECT_EQ(sql_.number("SELECT count(*) FROM relevo.job WHERE queue = 'b'"), 0);
  EXPECT_EQ(done({"jobs", "drain", "--until-empty"}),
            "completed 1, retryable 0, dead 0, quarantined 0, cancelled 0\n"
            "held up by a pause: 1 job\n");
  EXPECT_EQ(sql_.number("SELECT count(*) FROM relevo.job"), 1);
}

TEST_F(CliJobsTest, DrainGivesUpWhenItsTimeIsOver) {
  done({"queues", "rate", "slow", "0.001", "--burst", "1"});
  for (int i = 0; i < 3; ++i) enqueue({"sample.points", R"({"points": 5})", "--rate-key", "slow"});
  const auto outcome = call({"jobs", "drain", "--until-empty", "--timeout", "5s", "--json"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("the time is over (--timeout 5s)"),
                                 HasSubstr("2 jobs left that are due")));
  const auto summary = json::parse(outcome.out);
  EXPECT_EQ(summary.at("empty"), false);
  EXPECT_EQ(summary.at("completed"), 1);
  EXPECT_EQ(summary.at("due"), 2);
  expect_refused({"jobs", "drain"}, 2, "add --until-empty");
  expect_refused({"jobs", "drain", "--until-empty", "--timeout", "soon"}, 2, "--timeout: ");
}

// A worker that was killed holds its lanes until they lapse, and its jobs run again then.
TEST_F(CliJobsTest, DrainRunsTheJobsOfAWorkerThatDied) {
  const auto id = enqueue({"sample.points", R"({"points": 5})"});
  sql_.query(
      "UPDATE relevo.lane SET holder = 'gone', expires = clock_timestamp() + '4 s', "
      "open = CASE WHEN lane = relevo.lane_of($1, NULL) THEN ARRAY[$1::bigint] ELSE open END, "
      "open_token = CASE WHEN lane = relevo.lane_of($1, NULL) THEN ARRAY[0] ELSE open_token END",
      {id});
  const auto outcome = call({"jobs", "drain", "--until-empty"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("waits for gone, which holds 16 lanes"));
  EXPECT_EQ(sql_.number("SELECT count(*) FROM relevo.job"), 0);
  EXPECT_EQ(sql_.number("SELECT count(*) FROM relevo.outbox"), 1);
}

TEST_F(CliJobsTest, DrainOfAnEmptyDatabaseWaitsForNothing) {
  const auto begun = std::chrono::steady_clock::now();
  const auto summary = answer({"jobs", "drain", "--until-empty"});
  const auto took = std::chrono::steady_clock::now() - begun;
  EXPECT_TRUE(summary.at("empty"));
  EXPECT_LT(took, 5s) << "half the time of a lease that nobody gives back: "
                      << std::chrono::duration<double>(took).count() << " s";
}

TEST_F(CliJobsTest, DrainRunsHandlersBehindHttp) {
  ScriptedServer server(
      answering([](const ReceivedRequest&) { return http_response(200, R"({"ok": true})"); }));
  const TemporaryDirectory directory("relevo-drain-");
  const auto file = (directory.path() / "relevo.yaml").string();
  const auto secret = (directory.path() / "secret").string();
  std::ofstream(secret) << "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";
  std::ofstream(file) << "handlers:\n  - kind: mail.*\n    http: {url: \"" << server.url("/mail")
                      << "\", allow_private: true, secret_file: " << secret << "}\n";
  const auto id = enqueue({"mail.send"});
  EXPECT_THAT(done({"-c", file, "jobs", "drain", "--until-empty"}), StartsWith("completed 1, "));
  EXPECT_EQ(answer({"jobs", "show", id}).at("result"), json::parse(R"({"ok": true})"));
}

class NoMetrics final : public worker::Metrics {
 public:
  void jobs_started(std::span<const worker::StartedJob>) override {}
  void jobs_ended(std::span<const worker::EndedJob>) override {}
  void jobs_running(std::size_t) override {}
  void crash_attempts(std::size_t) override {}
  void results_fenced(std::size_t) override {}
  void lanes_held(std::size_t) override {}
  void lanes_lost(std::size_t) override {}
};

class NoLog final : public core::Log {
 public:
  void write(core::Level, std::string_view, std::span<const core::Field>) override {}
};

// What ran, by the ids of the jobs: with which payload, and how often.
class Ran {
 public:
  void note(worker::JobId id, std::string_view payload) {
    std::lock_guard lock(mutex_);
    payloads_[id].emplace_back(payload);
  }
  std::vector<std::string> payloads(std::int64_t id) const {
    std::lock_guard lock(mutex_);
    const auto found = payloads_.find(id);
    return found == payloads_.end() ? std::vector<std::string>{} : found->second;
  }
  std::size_t jobs() const {
    std::lock_guard lock(mutex_);
    return payloads_.size();
  }

 private:
  mutable std::mutex mutex_;
  std::map<worker::JobId, std::vector<std::string>> payloads_;
};

class Note final : public worker::JobHandler {
 public:
  explicit Note(Ran& ran) : ran_(ran) {}
  worker::Outcome run(const worker::Job& job, worker::Context&) override {
    ran_.note(job.id, job.payload);
    return worker::done();
  }

 private:
  Ran& ran_;
};

// Runs until it is asked to stop.
class UntilStopped final : public worker::JobHandler {
 public:
  explicit UntilStopped(Ran& ran) : ran_(ran) {}
  worker::Outcome run(const worker::Job& job, worker::Context& context) override {
    ran_.note(job.id, job.payload);
    (void)eventually(60s, [&] { return context.stop().stop_requested(); });
    return worker::retry("stopped");
  }

 private:
  Ran& ran_;
};

// Shut at first; runs wait at it until it is opened.
class Gate {
 public:
  void open() {
    {
      std::lock_guard lock(mutex_);
      open_ = true;
    }
    opened_.notify_all();
  }
  void pass() {
    std::unique_lock lock(mutex_);
    opened_.wait_for(lock, 60s, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
};

class NoteBehindAGate final : public worker::JobHandler {
 public:
  NoteBehindAGate(Ran& ran, Gate& gate) : ran_(ran), gate_(gate) {}
  worker::Outcome run(const worker::Job& job, worker::Context&) override {
    ran_.note(job.id, job.payload);
    gate_.pass();
    return worker::done();
  }

 private:
  Ran& ran_;
  Gate& gate_;
};

class CliJobsWithAWorkerTest : public CliJobsTest {
 protected:
  CliJobsWithAWorkerTest() {
    registry_.add("note", std::make_unique<Note>(ran_));
    registry_.add("long", std::make_unique<UntilStopped>(ran_));
    registry_.add("gate", std::make_unique<NoteBehindAGate>(ran_, gate_));
    postgres::ConnectOptions database;
    database.url = database_.url();
    worker_ = std::make_unique<JobWorker>(
        worker::Options{}, "worker-1", 10s, database,
        postgres::ReplicaInfo{"test", "test", "worker"},
        JobWorker::Ports{nullptr, registry_, metrics_, log_, core::system_clock(), {}});
  }
  ~CliJobsWithAWorkerTest() override {
    gate_.open();
    worker_->stop();
  }

  bool has_run(const std::string& id) {
    return eventually(20s, [&] { return !ran_.payloads(std::stoll(id)).empty(); });
  }
  bool has_state(const std::string& id, const std::string& state) {
    return eventually(20s, [&] {
      const auto rows = sql_.query(
          "SELECT state FROM relevo.jobs WHERE id = $1 ORDER BY finished NULLS LAST", {id});
      return !rows.empty() && rows.back()[0] == state;
    });
  }

  Ran ran_;
  Gate gate_;
  NoMetrics metrics_;
  NoLog log_;
  worker::Registry registry_;
  std::unique_ptr<JobWorker> worker_;
};

TEST_F(CliJobsWithAWorkerTest, AScheduledJobIsEditedAndBroughtForward) {
  worker_->start();
  const auto id = enqueue({"note", R"({"n": 1})", "--run-at", "2126-03-29T09:00:00Z"});
  EXPECT_EQ(done({"jobs", "edit", id, "--payload", R"({"n": 2})", "--queue", "other"}),
            "job " + id + ": edited\n");
  const auto job = answer({"jobs", "show", id});
  EXPECT_EQ(job.at("queue"), "other");
  EXPECT_EQ(job.at("state"), "scheduled");
  EXPECT_EQ(job.at("run_at"), "2126-03-29T09:00:00.000Z");
  EXPECT_EQ(done({"jobs", "edit", id, "--run-at", "2000-01-01T00:00:00Z"}),
            "job " + id + ": edited\n");
  ASSERT_TRUE(has_run(id));
  EXPECT_THAT(ran_.payloads(std::stoll(id)), ElementsAre(R"({"n": 2})"));
  ASSERT_TRUE(has_state(id, "completed"));
  expect_refused({"jobs", "edit", id, "--priority", "1"}, 1, "neither waits");
}

TEST_F(CliJobsWithAWorkerTest, AJobInTheMemoryOfItsWorkerRunsAsEdited) {
  // Before the worker starts: a running one hears of a pause within a second.
  done({"queues", "pause", "default"});
  worker_->start();
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(enqueue({"note", R"({"n": 1})"}));
  // A job of another queue, enqueued later, has run: those of the paused one have been read.
  ASSERT_TRUE(has_run(enqueue({"note", "--queue", "open"})));
  EXPECT_EQ(done({"jobs", "edit", ids[0], "--payload", R"({"n": 2})"}),
            "job " + ids[0] + ": edited\n");
  EXPECT_EQ(done({"jobs", "edit", ids[1], "--payload", R"({"n": 2})", "--priority", "9"}),
            "job " + ids[1] + ": edited\n");
  done({"queues", "resume", "default"});
  for (const auto& id : ids) ASSERT_TRUE(has_run(id));
  EXPECT_THAT(ran_.payloads(std::stoll(ids[0])), ElementsAre(R"({"n": 2})"));
  EXPECT_THAT(ran_.payloads(std::stoll(ids[1])), ElementsAre(R"({"n": 2})"));
  EXPECT_THAT(ran_.payloads(std::stoll(ids[2])), ElementsAre(R"({"n": 1})"));
}

TEST_F(CliJobsWithAWorkerTest, AJobThatRunsIsNotEditedButStopsWhenCancelled) {
  worker_->start();
  const auto id = enqueue({"long", R"({"n": 1})"});
  ASSERT_TRUE(has_run(id));
  expect_refused({"jobs", "edit", id, "--payload", "{}"}, 1, "runs; edit it when it waits");
  EXPECT_THAT(done({"jobs", "list", "--state", "running"}), HasSubstr("worker-1"));
  EXPECT_EQ(answer({"queues"}).at("queues")[0].at("running"), 1);
  const auto status = answer({"status"});
  EXPECT_EQ(status.at("lanes").back().at("holder"), "worker-1");
  EXPECT_EQ(status.at("lanes").back().at("running"), 1);
  EXPECT_THAT(done({"jobs", "cancel", id}), HasSubstr("asks it to stop"));
  EXPECT_TRUE(has_state(id, "cancelled"));
  EXPECT_EQ(ran_.payloads(std::stoll(id)).size(), 1U);
}

// A worker whose buffer is full reads nothing, so it hears of a change by the wish alone.
TEST_F(CliJobsWithAWorkerTest, AJobInAFullBufferRunsOnceAndAsEdited) {
  worker_->start();
  constexpr int kJobs = 4000;
  sql_.exec("SELECT relevo.enqueue('gate', '{\"n\": 1}') FROM generate_series(1, " +
            std::to_string(kJobs) + ")");
  ASSERT_TRUE(eventually(20s, [&] { return ran_.jobs() >= 8; }));
  const auto edited = sql_.query(
      "SELECT j.id, e.operation FROM (SELECT id FROM relevo.job ORDER BY id OFFSET 1000 LIMIT 20) "
      "j "
      "CROSS JOIN LATERAL relevo.edit_job(j.id, '{\"payload\": {\"n\": 2}}') e");
  ASSERT_TRUE(eventually(20s, [&] {
    return sql_.number("SELECT count(*) FROM relevo.job_operation WHERE changed = 1") == 20;
  }));
  gate_.open();
  ASSERT_TRUE(eventually(60s, [&] { return sql_.number("SELECT count(*) FROM relevo.job") == 0; }));
  ASSERT_EQ(edited.size(), 20U);
  for (const auto& row : edited) {
    EXPECT_THAT(ran_.payloads(std::stoll(row[0].value())), ElementsAre(R"({"n": 2})"));
  }
}

// Whatever the moment: a job runs once, as edited if the answer was that it was edited, else as it
// was.
TEST_F(CliJobsWithAWorkerTest, EditsThatRaceWithStartsAreToldTruly) {
  worker_->start();
  constexpr int kJobs = 300;
  sql_.exec(
      "SELECT relevo.enqueue('note', '{\"n\": 1}', run_at => clock_timestamp() + interval '1 s' + "
      "i * "
      "interval '20 ms', unique_key => CASE WHEN i % 5 = 0 THEN 'u' || i END) "
      "FROM generate_series(1, " +
      std::to_string(kJobs) + ") i");
  std::map<std::int64_t, std::pair<std::string, std::optional<std::string>>> answers;
  for (const auto& row : sql_.query("SELECT id FROM relevo.job ORDER BY run_at")) {
    const auto& id = row[0].value();
    // Waits until its time has come, or nearly: then the edit meets its start.
    (void)eventually(
        10s,
        [&] {
          return sql_.value(
                     "SELECT coalesce((SELECT run_at < clock_timestamp() + '15 ms' FROM "
                     "relevo.job WHERE id = $1), true)",
                     {id}) == "t";
        },
        1ms);
    const auto asked = sql_.query(
        "SELECT answer, operation FROM relevo.edit_job($1, '{\"payload\": {\"n\": 2}}')", {id});
    answers[std::stoll(id)] = {asked[0][0].value(), asked[0][1]};
  }
  ASSERT_TRUE(eventually(30s, [&] { return ran_.jobs() == kJobs; })) << ran_.jobs();
  ASSERT_TRUE(eventually(30s, [&] {
    return sql_.number("SELECT count(*) FROM relevo.job_operation WHERE finished_at IS NULL") == 0;
  }));
  std::map<std::string, int> seen;
  for (const auto& [id, answer] : answers) {
    auto what = answer.first;
    if (what == "requested") {
      what = sql_.value("SELECT changed FROM relevo.job_operation WHERE id = $1",
                        {answer.second}) == "1"
                 ? "edited"
                 : "left";
    }
    ++seen[what];
    EXPECT_THAT(ran_.payloads(id), ElementsAre(what == "edited" ? R"({"n": 2})" : R"({"n": 1})"))
        << "job " << id << ": " << answer.first << ", " << what;
  }
  EXPECT_GT(seen["edited"], 0) << testing::PrintToString(seen);
  EXPECT_LT(seen["edited"], kJobs) << testing::PrintToString(seen);
}

// The row is locked whenever the worker wants to start it, and has changed when it may.
TEST_F(CliJobsWithAWorkerTest, AUniqueJobIsEditedWhileItsWorkerTriesToStartIt) {
  // Before the worker starts: a running one hears of a pause within a second.
  done({"queues", "pause", "default"});
  worker_->start();
  const auto id = enqueue({"note", R"({"n": 1})", "--unique-key", "u"});
  ASSERT_TRUE(has_run(enqueue({"note", "--queue", "open"})));
  sql_.exec("BEGIN");
  EXPECT_EQ(sql_.value("SELECT answer FROM relevo.edit_job($1, '{\"payload\": {\"n\": 2}}')", {id}),
            "edited");
  done({"queues", "resume", "default"});
  // Jobs that came later run meanwhile, so it has been tried.
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(has_run(enqueue({"note"})));
  sql_.exec("COMMIT");
  ASSERT_TRUE(has_run(id));
  EXPECT_THAT(ran_.payloads(std::stoll(id)), ElementsAre(R"({"n": 2})"));
}

TEST_F(CliJobsWithAWorkerTest, AllThatMatchAreCancelledRetriedAndDiscarded) {
  worker_->start();
  sql_.exec(
      "SELECT relevo.enqueue('note', jsonb_build_object('n', i), 'later', now() + '1 day') "
      "FROM generate_series(1, 5000) i");
  EXPECT_EQ(
      call({"jobs", "cancel", "--queue", "later", "--payload-path", "$.n > 100", "--all"}).out,
      "cancelled 4900 jobs\n");
  const auto retried = answer({"jobs", "retry", "--payload", R"({"n": 1})", "--all"});
  EXPECT_EQ(retried.at("changed"), 1);
  EXPECT_EQ(retried.at("lanes_left"), 0);
  // Its end is committed as well: what runs would be dead below.
  ASSERT_TRUE(
      eventually(20s, [&] { return sql_.number("SELECT count(*) FROM relevo.job") == 99; }));
  EXPECT_EQ(ran_.jobs(), 1U);
  sql_.exec("UPDATE relevo.job SET state = 2, run_at = now() WHERE (payload ->> 'n')::int <= 10");
  EXPECT_EQ(call({"jobs", "discard", "--all"}).out, "discarded 9 jobs\n");
  EXPECT_EQ(call({"jobs", "cancel", "--kind", "other", "--all"}).out, "cancelled 0 jobs\n");
  EXPECT_EQ(sql_.number("SELECT count(*) FROM relevo.job"), 90);
}

TEST_F(CliJobsWithAWorkerTest, DrainWaitsForWhatRunsElsewhere) {
  worker_->start();
  const auto id = enqueue({"gate"});
  ASSERT_TRUE(has_run(id));
  Process drain({required_environment("RELEVO_BIN"), "jobs", "drain", "--until-empty"},
                environment());
  EXPECT_TRUE(drain.wait_line("waits for worker-1, which holds ", 30s));
  EXPECT_FALSE(drain.wait(0s));
  gate_.open();
  const auto exit = drain.wait(30s);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->code, 0) << drain.standard_error();
  EXPECT_EQ(sql_.number("SELECT count(*) FROM relevo.job"), 0);
}

TEST_F(CliJobsWithAWorkerTest, ARetryRunsAScheduledAndADeadJobNow) {
  worker_->start();
  const auto scheduled = enqueue({"note", "--run-at", "2126-03-29T09:00:00Z"});
  const auto dead = enqueue({"note", "--run-at", "2126-03-29T09:00:00Z"});
  kill_job(dead);
  done({"jobs", "retry", scheduled, dead});
  EXPECT_TRUE(has_run(scheduled));
  EXPECT_TRUE(has_run(dead));
}

}  // namespace
}  // namespace relevo::test
