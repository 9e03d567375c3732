// Schedules on a real database: several runners at once, failures of theirs and of the server, and
// the commands that people use.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "relevo/postgres/schedules.hpp"
#include "relevo/worker/schedule_runner.hpp"
#include "support/eventually.hpp"
#include "support/program.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using worker::ScheduleDefinition;
using worker::ScheduleRunner;

// Told from the runners' threads.
class Told final : public worker::ScheduleMetrics, public core::Log {
 public:
  void schedule_fired(std::string_view name, core::WallTime) override {
    std::lock_guard lock(mutex_);
    ++fired_[std::string(name)];
  }
  void schedule_missed(std::string_view name, std::int64_t ticks) override {
    std::lock_guard lock(mutex_);
    missed_[std::string(name)] += ticks;
  }
  void schedules_broken(std::size_t schedules) override {
    std::lock_guard lock(mutex_);
    broken_ = schedules;
  }
  void write(core::Level level, std::string_view message,
             std::span<const core::Field> fields) override {
    if (level == core::Level::kDebug) return;
    std::lock_guard lock(mutex_);
    std::string line(message);
    for (const auto& field : fields) {
      if (const auto* text = std::get_if<std::string_view>(&field.value)) {
        line += " " + std::string(field.key) + "=" + std::string(*text);
      }
    }
    lines_.push_back(line);
  }

  std::int64_t fired(const std::string& name) const { return count(fired_, name); }
  std::int64_t missed(const std::string& name) const { return count(missed_, name); }
  std::size_t broken() const {
    std::lock_guard lock(mutex_);
    return broken_;
  }
  std::vector<std::string> lines() const {
    std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  std::int64_t count(const std::map<std::string, std::int64_t>& of, const std::string& name) const {
    std::lock_guard lock(mutex_);
    const auto found = of.find(name);
    return found == of.end() ? 0 : found->second;
  }

  mutable std::mutex mutex_;
  std::map<std::string, std::int64_t> fired_;
  std::map<std::string, std::int64_t> missed_;
  std::size_t broken_ = 0;
  std::vector<std::string> lines_;
};

ScheduleDefinition every(const std::string& name, std::chrono::milliseconds interval) {
  ScheduleDefinition schedule;
  schedule.name = name;
  schedule.kind = name;
  schedule.timing.every = interval;
  return schedule;
}

ScheduleDefinition cron(const std::string& name, const std::string& expression) {
  ScheduleDefinition schedule;
  schedule.name = name;
  schedule.kind = name;
  schedule.timing.cron = expression;
  return schedule;
}

class SchedulesTest : public ProgramTest {
 protected:
  SchedulesTest() : ProgramTest({"schedules"}) {}

  std::unique_ptr<ScheduleRunner> started(std::vector<ScheduleDefinition> configured = {}) {
    postgres::ConnectOptions options;
    options.url = database_.url();
    auto runner = std::make_unique<ScheduleRunner>(
        [options] { return std::make_unique<postgres::Schedules>(options); }, std::move(configured),
        told_, told_, core::system_clock());
    runner->start();
    return runner;
  }

  postgres::Schedules schedules() const {
    postgres::ConnectOptions options;
    options.url = database_.url();
    return postgres::Schedules(options);
  }

  std::int64_t jobs(const std::string& kind) {
    return sql_.number("SELECT count(*) FROM relevo.job WHERE kind = $1", {kind});
  }
  bool has_jobs(const std::string& kind, std::int64_t at_least) {
    return eventually(20s, [&] { return jobs(kind) >= at_least; });
  }
  std::vector<std::string> ticks(const std::string& kind) {
    std::vector<std::string> all;
    for (const auto& row : sql_.query(
             "SELECT headers ->> 'tick' FROM relevo.job WHERE kind = $1 ORDER BY id", {kind})) {
      all.push_back(row[0].value());
    }
    return all;
  }
  // One job a second without a gap, each at or after its tick.
  void expect_each_second_once(const std::string& kind) {
    EXPECT_EQ(
        sql_.value("SELECT count(*) = count(DISTINCT headers ->> 'tick') AND "
                   "count(*) = 1 + extract(epoch FROM max((headers ->> 'tick')::timestamptz) "
                   "- min((headers ->> 'tick')::timestamptz)) FROM relevo.job WHERE kind = $1",
                   {kind}),
        "t")
        << testing::PrintToString(ticks(kind));
    EXPECT_EQ(sql_.number("SELECT count(*) FROM relevo.job WHERE kind = $1 AND created_at < "
                          "(headers ->> 'tick')::timestamptz",
                          {kind}),
              0);
  }

  Told told_;
};

TEST_F(SchedulesTest, TwoRunnersFireEachTickOnceAndInTime) {
  schedules().put(every("pulse", 1s));
  schedules().put(cron("cron", "* * * * * *"));
  const auto first = started();
  const auto second = started();
  ASSERT_TRUE(has_jobs("pulse", 5));
  ASSERT_TRUE(has_jobs("cron", 5));
  first->stop();
  second->stop();
  expect_each_second_once("pulse");
  expect_each_second_once("cron");
  EXPECT_EQ(told_.fired("pulse"), jobs("pulse"));
  EXPECT_EQ(told_.missed("pulse"), 0);
  EXPECT_EQ(sql_.value("SELECT last_job = (SELECT max(id) FROM relevo.job WHERE kind = 'pulse') "
                       "FROM relevo.schedule WHERE name = 'pulse'"),
            "t");
}

TEST_F(SchedulesTest, ASuccessorGoesOnWithoutAGapOrARepetition) {
  schedules().put(every("pulse", 1s));
  auto runner = started();
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(has_jobs("pulse", 2 * i));
    runner->stop();
    runner = started();
  }
  ASSERT_TRUE(has_jobs("pulse", 8));
  runner->stop();
  expect_each_second_once("pulse");
}

TEST_F(SchedulesTest, LostConnectionsAreAnOutageThatPasses) {
  schedules().put(every("pulse", 1s));
  const auto runner = started();
  ASSERT_TRUE(has_jobs("pulse", 1));
  sql_.exec(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
      "WHERE datname = current_database() AND pid <> pg_backend_pid()");
  ASSERT_TRUE(has_jobs("pulse", jobs("pulse") + 3));
  runner->stop();
  expect_each_second_once("pulse");
  EXPECT_THAT(told_.lines(), ElementsAre(AllOf(HasSubstr("outage"), HasSubstr("of=schedules")),
                                         HasSubstr("outage over")));
}

TEST_F(SchedulesTest, ASingleTimeFiresOnceSoonAfterItAndNeverBefore) {
  schedules().put(every("pulse", 1s));
  const auto runner = started();
  ASSERT_TRUE(has_jobs("pulse", 1));
  sql_.exec("SELECT relevo.schedule_put('launch', 'launch', at => clock_timestamp() + '1300 ms')");
  ASSERT_TRUE(has_jobs("launch", 1));
  ASSERT_TRUE(has_jobs("pulse", jobs("pulse") + 2));
  runner->stop();
  EXPECT_EQ(jobs("launch"), 1);
  EXPECT_EQ(sql_.value("SELECT j.created_at >= s.at AND j.created_at < s.at + '10 s' "
                       "AND s.last_tick = s.at AND s.next_tick IS NULL "
                       "FROM relevo.job j JOIN relevo.schedule s ON s.name = j.kind "
                       "WHERE j.kind = 'launch'"),
            "t");
}

TEST_F(SchedulesTest, APausedScheduleFiresNothingAndMakesNothingUp) {
  schedules().put(every("pulse", 1s));
  schedules().put(every("paused", 1s));
  ASSERT_TRUE(schedules().pause("paused"));
  const auto runner = started();
  ASSERT_TRUE(has_jobs("pulse", 4));
  EXPECT_EQ(jobs("paused"), 0);
  const auto resumed = sql_.value("SELECT clock_timestamp()");
  ASSERT_TRUE(schedules().resume("paused"));
  ASSERT_TRUE(has_jobs("paused", 2));
  runner->stop();
  EXPECT_EQ(sql_.number("SELECT count(*) FROM relevo.job WHERE kind = 'paused' AND "
                        "(headers ->> 'tick')::timestamptz < $1::timestamptz",
                        {resumed}),
            0);
  expect_each_second_once("paused");
}

struct Downtime {
  const char* missed;
  int most;
  int jobs;
  int not_made_up;
};
void PrintTo(const Downtime& d, std::ostream* out) { *out << d.missed; }

class SchedulesAfterADowntime : public SchedulesTest,
                                public testing::WithParamInterface<Downtime> {};

// Five ticks of an hourly schedule were missed, whose next one is half an hour away.
TEST_P(SchedulesAfterADowntime, AreMadeUpAsTheirPolicySays) {
  const auto& [missed, most, expected, not_made_up] = GetParam();
  auto hourly =
      cron("hourly", sql_.value("SELECT (extract(minute FROM now()) + 30)::int % 60") + " * * * *");
  hourly.missed = missed;
  hourly.missed_max = most;
  schedules().put(hourly);
  sql_.exec(
      "UPDATE relevo.schedule SET last_tick = t - interval '5 hours', next_tick = t - '4 "
      "hours'::interval "
      "FROM (SELECT date_trunc('minute', now()) - interval '30 min' AS t) x");
  const auto first = started();
  const auto second = started();
  EXPECT_TRUE(eventually(20s, [&] {
    return sql_.value("SELECT next_tick > clock_timestamp() FROM relevo.schedule") == "t";
  }));
  // Whatever may follow wrongly would follow within two looks of both.
  schedules().put(every("pulse", 1s));
  ASSERT_TRUE(has_jobs("pulse", 3));
  first->stop();
  second->stop();
  EXPECT_EQ(jobs("hourly"), expected);
  EXPECT_EQ(told_.missed("hourly"), not_made_up);
  EXPECT_EQ(
      sql_.value("SELECT coalesce(string_agg(extract(epoch FROM s.next_tick - "
                 "(j.headers ->> 'tick')::timestamptz)::int / 3600 || '', ' ' ORDER BY j.id), '') "
                 "FROM relevo.job j JOIN relevo.schedule s ON s.name = j.kind "
                 "WHERE j.kind = 'hourly'"),
      expected == 0   ? ""
      : expected == 1 ? "1"
                      : "3 2 1");
}

INSTANTIATE_TEST_SUITE_P(, SchedulesAfterADowntime,
                         testing::Values(Downtime{"skip", 100, 0, 5}, Downtime{"once", 100, 1, 4},
                                         Downtime{"all", 3, 3, 2}));

TEST_F(SchedulesTest, ABadScheduleIsToldOnceAndStopsNoOther) {
  schedules().put(every("a pulse", 1s));
  schedules().put(every("pulse", 1s));
  sql_.exec(
      "INSERT INTO relevo.schedule (name, kind, cron) VALUES ('b no cron', 'k', 'at noon');"
      "INSERT INTO relevo.schedule (name, kind, cron, time_zone) VALUES ('b zone', 'k', '0 3 * * "
      "*', 'EST+3');"
      "INSERT INTO relevo.schedule (name, kind, every, headers) VALUES ('b refused', 'k', '1 s', "
      "'[1]');"
      "INSERT INTO relevo.schedule (name, kind, at) VALUES ('b never', 'k', '9999-01-01Z');"
      "INSERT INTO relevo.schedule (name, kind, cron) VALUES ('b mended', 'mended', 'x')");
  const auto runner = started();
  ASSERT_TRUE(has_jobs("pulse", 4));
  ASSERT_TRUE(has_jobs("a pulse", 4));
  EXPECT_TRUE(eventually(10s, [&] { return told_.broken() == 5; }));
  sql_.exec("UPDATE relevo.schedule SET cron = '* * * * * *' WHERE name = 'b mended'");
  ASSERT_TRUE(has_jobs("mended", 2));
  EXPECT_TRUE(eventually(10s, [&] { return told_.broken() == 4; }));
  runner->stop();
  expect_each_second_once("pulse");
  expect_each_second_once("a pulse");
  EXPECT_EQ(jobs("k"), 0);
  EXPECT_THAT(told_.lines(),
              UnorderedElementsAre(
                  AllOf(HasSubstr("cannot be fired schedule=b no cron"), HasSubstr("has 2 fields")),
                  AllOf(HasSubstr("cannot be fired schedule=b zone"), HasSubstr("time zone")),
                  HasSubstr("cannot be fired schedule=b refused"),
                  AllOf(HasSubstr("cannot be fired schedule=b never"), HasSubstr("year 2199")),
                  HasSubstr("cannot be fired schedule=b mended")));
}

TEST_F(SchedulesTest, TheConfigurationIsPutAtTheStart) {
  schedules().put(every("by hand", 1h));
  {
    const auto runner = started({every("stays", 1s), every("goes", 1h), cron("bad", "x")});
    ASSERT_TRUE(has_jobs("stays", 2));
    runner->stop();
  }
  EXPECT_THAT(told_.lines(), Contains(AllOf(HasSubstr("schedule=bad"), HasSubstr("has 1 field"))));
  schedules().pause("stays");
  const auto before = sql_.query("SELECT * FROM relevo.schedule WHERE name = 'stays'");
  const auto runner = started({every("stays", 1s), every("comes", 1s)});
  ASSERT_TRUE(has_jobs("comes", 2));
  runner->stop();
  EXPECT_EQ(sql_.value("SELECT string_agg(name || ' ' || origin, ', ' ORDER BY name) "
                       "FROM relevo.schedule"),
            "by hand sql, comes config, stays config");
  EXPECT_EQ(sql_.query("SELECT * FROM relevo.schedule WHERE name = 'stays'"), before);
}

using SchedulesCommandsTest = SchedulesTest;

TEST_F(SchedulesCommandsTest, AddListPauseResumeRunRemove) {
  EXPECT_EQ(call({}).out, "no schedules\n");
  done({"add",
        "nightly",
        "report.build",
        R"({"days": 1})",
        "--cron",
        "0 3 * * *",
        "--zone",
        "Europe/Madrid",
        "--queue",
        "reports",
        "--priority",
        "-1",
        "--header",
        "team=ops",
        "--missed",
        "all",
        "--missed-max",
        "7",
        "--unique-key",
        "nightly",
        "--concurrency-key",
        "report",
        "--rate-key",
        "disk",
        "--tenant",
        "acme"});
  done({"add", "launch", "mail.send", "--at", "2126-03-29T09:00:00+02:00"});
  done({"pause", "nightly"});
  const auto list = json::parse(call({"list", "--json"}).out);
  EXPECT_EQ(json::parse(call({"--json"}).out), list);
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0]["at"], "2126-03-29T07:00:00.000Z");
  const auto& nightly = list[1];
  EXPECT_EQ(nightly["cron"], "0 3 * * *");
  EXPECT_EQ(nightly["time_zone"], "Europe/Madrid");
  EXPECT_EQ(nightly["queue"], "reports");
  EXPECT_EQ(nightly["payload"], json::parse(R"({"days": 1})"));
  EXPECT_EQ(nightly["headers"], json::parse(R"({"team": "ops"})"));
  EXPECT_EQ(nightly["missed_max"], 7);
  EXPECT_EQ(nightly["unique_key"], "nightly");
  EXPECT_EQ(nightly["concurrency_key"], "report");
  EXPECT_EQ(nightly["rate_key"], "disk");
  EXPECT_EQ(nightly["tenant"], "acme");
  EXPECT_EQ(nightly["paused"], true);
  EXPECT_EQ(nightly["problem"], nullptr);

  const auto run = call({"run", "nightly"});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(sql_.value("SELECT kind || ' ' || queue || ' ' || priority || ' ' || (headers ->> "
                       "'schedule') || ' ' || (headers ->> 'team') FROM relevo.job WHERE id = $1",
                       {run.out.substr(0, run.out.size() - 1)}),
            "report.build reports -1 nightly ops");
  EXPECT_EQ(sql_.value("SELECT concat_ws(' ', unique_key, concurrency_key, rate_key, tenant) FROM "
                       "relevo.job WHERE kind = 'report.build'"),
            "nightly report disk acme");
  done({"resume", "nightly"});
  done({"remove", "nightly"});
  EXPECT_THAT(call({"list"}).out, testing::Not(HasSubstr("nightly")));
}

TEST_F(SchedulesCommandsTest, MistakesAreOneLineThatTellsWhatToDo) {
  done({"add", "nightly", "k", "--every", "2h"});
  expect_refused({"remove", "nigthly"}, 1, "did you mean \"nightly\"?");
  expect_refused({"run", "other"}, 1, "relevo schedules");
  expect_refused({"add", "x", "k", "--cron", "0 25 * * *"}, 2, "hour \"25\": is out of range");
  expect_refused({"add", "x", "k", "--cron", "0 0 30 2 *"}, 2, "February has no day 30");
  expect_refused({"add", "x", "k", "--cron", "0 3 * * *", "--zone", "Madrid"}, 2, "Europe/Madrid");
  expect_refused({"add", "x", "k", "--every", "2h", "--zone", "Madrid"}, 2, "Europe/Madrid");
  expect_refused({"add", "x", "k", "--every", "soon"}, 2, "15m");
  expect_refused({"add", "x", "k", "--at", "2026-03-29"}, 2, "with its offset");
  expect_refused({"add", "x", "k", "--at", "9999-01-01T00:00:00Z"}, 2, "beyond the year 2199");
  expect_refused({"add", "x", "k"}, 2, "--cron,--every,--at");
  expect_refused({"add", "x", "k", "--every", "2h", "--missed", "never"}, 2, "skip");
  expect_refused({"add", "", "k", "--every", "2h"}, 1, "name: is empty");
  expect_refused({"next", "* * *"}, 2, "has 3 fields");
  EXPECT_EQ(schedules().list().size(), 1U);
}

TEST_F(SchedulesCommandsTest, ABrokenScheduleIsListedWithItsProblem) {
  sql_.exec("INSERT INTO relevo.schedule (name, kind, cron) VALUES ('odd', 'k', 'at noon')");
  const auto list = call({"list"});
  EXPECT_EQ(list.code, 0);
  EXPECT_THAT(list.out, HasSubstr("broken"));
  EXPECT_THAT(list.err, AllOf(HasSubstr("schedule odd:"), HasSubstr("has 2 fields")));
}

TEST_F(SchedulesCommandsTest, NextShowsTheTimesOfTheZoneWithoutADatabase) {
  const auto next = call({"next", "30 2 * * *", "--zone", "Europe/Madrid", "--from",
                          "2026-03-28T00:00:00Z", "-n", "2"});
  EXPECT_EQ(next.code, 0);
  EXPECT_EQ(next.out,
            "in Europe/Madrid            UTC\n"
            "2026-03-28 02:30:00 +01:00  2026-03-28T01:30:00.000Z\n"
            "2026-03-29 03:00:00 +02:00  2026-03-29T01:00:00.000Z\n");
  const auto last = call({"next", "0 0 1 1 *", "--from", "2198-06-01T00:00:00Z", "--json"});
  EXPECT_EQ(last.out, "[\"2199-01-01T00:00:00.000Z\"]\n");
  EXPECT_THAT(last.err, HasSubstr("2200"));
}

}  // namespace
}  // namespace relevo::test
