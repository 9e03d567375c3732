// What people get wrong about jobs and schedules, in SQL, on the command line and in what was
// stored: a clear error that says what, where and what to do, or a dead job with its reason.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/program.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class BadJobInputTest : public ProgramTest {
 protected:
  // SQLSTATE and message.
  std::string refusal(const std::string& sql) {
    try {
      sql_.query(sql);
    } catch (const SqlError& error) {
      return error.what();
    }
    return "taken";
  }
  std::string state_of(const std::string& id) {
    return sql_.value(
        "SELECT state || ': ' || coalesce(error, '') FROM relevo.jobs WHERE id = $1 "
        "ORDER BY finished NULLS FIRST LIMIT 1",
        {id});
  }
};

struct Refused {
  const char* call;  // behind SELECT relevo.
  const char* message;
};

constexpr Refused kRefused[] = {
    // Names and keys
    {"enqueue('')", "relevo.enqueue: kind: is empty; give 1 to 255 bytes"},
    {"enqueue(NULL)", "relevo.enqueue: kind: is NULL; give 1 to 255 bytes"},
    {"enqueue(repeat('k', 256))", "kind: has 256 bytes; give at most 255"},
    {"enqueue(E'a\\nb')", "kind: holds a control character; remove"},
    {"enqueue('k', queue => '')", "queue: is empty; give 1 to 255 bytes"},
    {"enqueue('k', queue => repeat('q', 256))", "queue: has 256 bytes; give at most 255"},
    {"enqueue('k', tenant => '')", "tenant: is empty; give 1 to 255 bytes, or NULL"},
    {"enqueue('k', unique_key => '')", "unique_key: is empty; give 1 to 1024 bytes, or NULL"},
    {"enqueue('k', concurrency_key => repeat('c', 1025))", "concurrency_key: has 1025 bytes"},
    {"enqueue('k', rate_key => E'\\u007f')", "rate_key: holds a control character"},
    // Payload and headers
    {"enqueue('k', '{')", "22P02"},
    {"enqueue('k', '{\"a\": \"\\u0000\"}')", "22P05"},
    {"enqueue('k', NULL)", "payload: is NULL; give a JSON value, {} for none"},
    {"enqueue('k', to_jsonb(repeat('x', 10000000)))",
     "payload: has 10000002 bytes as text; give at most 8388608 (8 MiB), or store it elsewhere"},
    {"enqueue('k', headers => NULL)", "headers: is NULL; give an object"},
    {"enqueue('k', headers => '[]')", "headers: is a JSON array; give an object"},
    {"enqueue('k', headers => '5')", "headers: is a JSON number; give an object"},
    {"enqueue('k', headers => '{\"a\": 1}')", "headers: the value of \"a\" is a JSON number"},
    {"enqueue('k', headers => '{\"\": \"1\"}')", "headers: has an empty name"},
    {"enqueue('k', headers => jsonb_build_object('h', repeat('x', 40000)))",
     "headers: has 40009 bytes as text; give at most 32768"},
    // Times and numbers
    {"enqueue('k', run_at => 'infinity')", "run_at: is infinity; give a time, or NULL for now"},
    {"enqueue('k', run_at => 'soon')", "22007"},
    {"enqueue('k', timeout => '0')", "timeout: must be above 0 and at most 24 hours"},
    {"enqueue('k', timeout => '-1 s')", "timeout: must be above 0 and at most 24 hours"},
    {"enqueue('k', timeout => '25 hours')", "timeout: must be above 0 and at most 24 hours"},
    {"enqueue('k', priority => NULL)", "priority: is NULL; give a number"},
    {"enqueue('k', max_attempts => 0)", "max_attempts: is 0; give 1 to 10000, or NULL"},
    {"enqueue('k', max_attempts => 10001)", "max_attempts: is 10001; give 1 to 10000"},
    {"enqueue('k', unique_key => 'u', on_conflict => 'explode')",
     "on_conflict: is 'explode'; give keep, replace or after_running"},
    {"enqueue('k', on_conflict => NULL)", "on_conflict: is NULL; give keep"},
    // Many at once
    {"enqueue_many(NULL)", "relevo.enqueue_many: jobs: is NULL; give an array of objects"},
    {"enqueue_many('{}')", "jobs: is a JSON object; give an array of objects"},
    {"enqueue_many('[1]')", "element 1: is a JSON number; give an object"},
    {"enqueue_many('[{\"kind\": \"k\"}, {\"kind\": \"\"}]')", "element 2: kind: is empty"},
    {"enqueue_many('[{\"kind\": \"k\", \"run_at\": \"soon\"}]')", "element 1: run_at: "},
    {"enqueue_many('[{\"kind\": \"k\", \"run_at\": \"infinity\"}]')", "element 1: run_at: is inf"},
    {"enqueue_many('[{\"kind\": \"k\", \"timeout\": \"long\"}]')", "element 1: timeout: "},
    {"enqueue_many('[{\"kind\": \"k\", \"priority\": 99999999999}]')",
     "priority: value \"99999999999\" is out of range for type integer; give a whole number"},
    {"enqueue_many('[{\"kind\": \"k\", \"prio\": 1}]')", "\"prio\": is no parameter of relevo.enq"},
    {"enqueue_batch('[{\"kind\": \"k\"}]', '{}')",
     "relevo.enqueue_batch: follow_up: kind: is NULL"},
    // Schedules
    {"schedule_put('', 'k', cron => '* * * * *')", "relevo.schedule_put: name: is empty"},
    {"schedule_put('n', '', cron => '* * * * *')", "kind: is empty"},
    {"schedule_put('n', 'k')", "cron, every, at: give one of them"},
    {"schedule_put('n', 'k', cron => '* * * * *', every => '1 h')", "give one of them"},
    {"schedule_put('n', 'k', cron => '* * * * *', time_zone => 'Mars/Olympus')",
     "time_zone: the server does not know 'Mars/Olympus'; give a name such as Europe/Madrid"},
    {"schedule_put('n', 'k', every => '0')", "every: is below 1 second; give more"},
    {"schedule_put('n', 'k', every => '200 years')", "every: is above 36525 days; give less"},
    {"schedule_put('n', 'k', at => 'infinity')", "at: is infinity; give a time"},
    {"schedule_put('n', 'k', at => '-infinity')", "at: is -infinity; give a time"},
    {"schedule_put('n', 'k', cron => '* * * * *', missed => 'x')",
     "missed: is 'x'; give skip, once"},
    {"schedule_put('n', 'k', cron => '* * * * *', missed_max => 0)", "missed_max: is 0; give 1 to"},
    // Changes and limits
    {"edit_job(1, '{}')", "relevo.edit_job: is empty; give an object with some of"},
    {"edit_job(1, '{\"colour\": 1}')", "\"colour\": cannot be changed; give some of"},
    {"edit_job(1, '{\"run_at\": \"infinity\"}')", "run_at: is infinity; give a time"},
    {"edit_job(1, '{\"priority\": \"x\"}')", "priority: is a JSON string; give a number"},
    {"start_operation('explode', '{}')", "what: is 'explode'; give cancel, retry or discard"},
    {"start_operation('cancel', '{\"colour\": 1}')", "\"colour\": is no condition; give some of"},
    {"set_rate('k', 'NaN', 1)", "per_second: is NaN; give a number above 0, or NULL"},
    {"set_rate('k', 1, 0)", "burst: is 0; give a number from 1 on"},
    {"set_queue_concurrency('q', 0)", "n: is 0; give at least 1, or NULL for no limit"},
    {"pause('q', 'a*b')", "relevo.pause: kind: is 'a*b'; a * stands at the end only, as in mail.*"},
    {"initialise_lanes(8)", "relevo.initialise_lanes: n: is 8; give 16: the workers of this"},
    {"initialise_lanes(NULL)", "relevo.initialise_lanes: n: is NULL; give 16"},
};

TEST_F(BadJobInputTest, SqlRefusesWithWhatAndWhere) {
  ASSERT_EQ(sql_.value("SELECT relevo.enqueue('to.edit')"), "1");
  for (const auto& [call, message] : kRefused) {
    EXPECT_THAT(refusal(std::string("SELECT relevo.") + call), HasSubstr(message)) << call;
  }
  EXPECT_EQ(sql_.number("SELECT (SELECT count(*) FROM relevo.job) + (SELECT count(*) FROM "
                        "relevo.schedule) + (SELECT count(*) FROM relevo.queue_state)"),
            1);
}

struct Taken {
  const char* arguments;  // of relevo.enqueue()
  const char* state;      // after a worker has had all that is due: state and error
};

// Nothing of this may end a worker, and nobody else's job waits for it.
constexpr Taken kTaken[] = {
    {"'sample.points', '{\"points\": 1}', run_at => '-infinity'", ""},
    {"'sample.points', '{\"points\": 1}', run_at => '0001-01-01Z'", ""},
    {"'sample.points', '{\"points\": 1}', run_at => '4713-01-01Z BC'", ""},
    {"'sample.points', '{\"points\": 1}', run_at => '9999-12-31Z'", "scheduled: "},
    {"'sample.points', '{\"points\": 1}', run_at => '294276-12-31Z'", "scheduled: "},
    {"'sample.points', '{\"points\": 1}', expires_at => 'infinity'", ""},
    {"'sample.points', '{\"points\": 1}', expires_at => '294276-12-31Z'", ""},
    {"'sample.points', '{\"points\": 1}', expires_at => '-infinity'", "cancelled: expired"},
    {"'sample.points', '{\"points\": 1}', expires_at => '0001-01-01Z'", "cancelled: expired"},
    {"'sample.points', '{\"points\": 1}', timeout => '24 hours', priority => 2147483647", ""},
    {"'sample.points', '{\"points\": 1}', priority => -2147483648", ""},
    {"'no.such.kind'", "retryable: no handler for kind \"no.such.kind\""},
    {"'no.such.kind', max_attempts => 1", "dead: no handler for kind \"no.such.kind\""},
    {"'sample.welcome', '[]'", "dead: "},
    {"'sample.welcome', 'null'", "dead: "},
    {"'sample.welcome', '{\"customer\": 7, \"name\": \"Ada\"}'", "dead: "},
    {"'sample.points', '{\"points\": \"many\"}'", "dead: points: is not a whole number"},
    {"'sample.points', '{}'", "dead: points: is not a whole number"},
};

TEST_F(BadJobInputTest, WhatIsTakenRunsOrDiesWithItsReason) {
  std::vector<std::string> ids;
  for (const auto& one : kTaken) {
    ids.push_back(sql_.value("SELECT relevo.enqueue(" + std::string(one.arguments) + ")"));
  }
  const auto drained = call({"jobs", "drain", "--until-empty", "--json"});
  EXPECT_EQ(drained.code, 1) << drained.err;
  const auto summary = json::parse(drained.out);
  EXPECT_EQ(summary.at("empty"), true);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto& [arguments, state] = kTaken[i];
    const bool gone = std::string_view(state).empty();  // its kind leaves no trace
    const auto known = sql_.number("SELECT count(*) FROM relevo.jobs WHERE id = $1", {ids[i]}) > 0;
    EXPECT_EQ(known, !gone) << arguments;
    if (!known) continue;
    EXPECT_THAT(state_of(ids[i]), StartsWith(state)) << arguments;
    EXPECT_EQ(call({"jobs", "show", ids[i]}).code, 0) << arguments;
  }
  EXPECT_EQ(call({"jobs", "list"}).code, 0);
}

struct Asked {
  std::vector<std::string> arguments;
  int code;
  const char* hint;
};

TEST_F(BadJobInputTest, TheCommandLineRefusesInOneLine) {
  ASSERT_EQ(sql_.value("SELECT relevo.enqueue('to.edit')"), "1");
  const Asked asked[] = {
      {{"jobs", "enqueue", ""}, 1, "kind: is empty"},
      {{"jobs", "enqueue", std::string(256, 'k')}, 1, "kind: has 256 bytes"},
      {{"jobs", "enqueue", "a\nb"}, 1, "kind: holds a control character"},
      {{"jobs", "enqueue", "\xff"}, 1, "22021"},
      {{"jobs", "enqueue", "k", "{"}, 2, "payload: is no valid JSON"},
      {{"jobs", "enqueue", "k", R"({"a": "\u0000"})"}, 1, "take \\u0000 out"},
      {{"jobs", "enqueue", "k", "@/no/such/file"}, 2, "/no/such/file"},
      {{"jobs", "enqueue", "k", "--queue", ""}, 1, "queue: is empty"},
      {{"jobs", "enqueue", "k", "--run-at", "soon"}, 2, "--run-at: \"soon\" is no time; give one"},
      {{"jobs", "enqueue", "k", "--run-at", "infinity"}, 2, "--run-at: \"infinity\" is no time"},
      {{"jobs", "enqueue", "k", "--run-at", "2027-02-30T00:00:00Z"}, 2, "--run-at: "},
      {{"jobs", "enqueue", "k", "--expires-at", "12027-01-01T00:00:00Z"}, 2, "--expires-at: "},
      {{"jobs", "enqueue", "k", "--timeout", "0s"}, 2, "--timeout: \"0s\" is no interval"},
      {{"jobs", "enqueue", "k", "--timeout", "25h"}, 1, "timeout: must be above 0"},
      {{"jobs", "enqueue", "k", "--timeout", "99999999999999999d"}, 2, "--timeout: "},
      {{"jobs", "enqueue", "k", "--priority", "2147483648"},
       2,
       "--priority: is 2147483648; give a whole number from -2147483648 to 2147483647"},
      {{"jobs", "enqueue", "k", "--priority", "99999999999999999999"}, 2, "to 2147483647"},
      {{"jobs", "enqueue", "k", "--priority", "high"}, 2, "--priority: is high; give a whole"},
      {{"jobs", "enqueue", "k", "--max-attempts", "99999999999"}, 2, "from 1 to 10000"},
      {{"jobs", "show", "99999999999999999999"},
       2,
       "ID: is 99999999999999999999; give a whole number from 1 to 9223372036854775807"},
      {{"jobs", "show", "1x"}, 2, "ID: is 1x; give a whole number"},
      {{"jobs", "retry", "1", "99999999999999999999"}, 2, "ID: is 99999999999999999999; give"},
      {{"jobs", "list", "--after", "99999999999999999999"}, 2, "--after: is 99999999999999999999"},
      {{"jobs", "list", "--limit", "99999999999"}, 2, "--limit: is 99999999999; give"},
      {{"jobs", "enqueue", "k", "--max-attempts", "0"}, 2, "--max-attempts"},
      {{"jobs", "enqueue", "k", "--on-conflict", "explode"}, 2, "after_running"},
      {{"jobs", "enqueue", "k", "--header", "novalue"}, 2, "NAME=VALUE"},
      {{"jobs", "enqueue", "k", "--header", "=v"}, 2, "header"},
      {{"jobs", "edit", "1", "--run-at", "soon"}, 2, "--run-at: "},
      {{"jobs", "edit", "1", "--priority", "x"}, 2, "--priority"},
      {{"jobs", "edit", "1", "--queue", ""}, 1, "queue: is empty"},
      {{"schedules", "add", "", "k", "--every", "1h"}, 1, "name: is empty"},
      {{"schedules", "add", "n", "", "--every", "1h"}, 1, "kind: is empty"},
      {{"schedules", "add", "n", "k"}, 2, "--cron"},
      {{"schedules", "add", "n", "k", "--cron", "0 0 30 2 *"}, 2, "cron \"0 0 30 2 *\": "},
      {{"schedules", "add", "n", "k", "--cron", "* * *"}, 2, "has 3 fields; give minute"},
      {{"schedules", "add", "n", "k", "--cron", "* * * * *", "--zone", "Mars/Olympus"},
       2,
       "time zone \"Mars/Olympus\": "},
      {{"schedules", "add", "n", "k", "--every", "10ms"}, 2, "every: is 10 ms; give 1 s to 36525"},
      {{"schedules", "add", "n", "k", "--every", "40000d"}, 2, "give 1 s to 36525 days"},
      {{"schedules", "add", "n", "k", "--at", "infinity"}, 2, "at: \"infinity\" is no time"},
      {{"schedules", "add", "n", "k", "--every", "1h", "--missed", "x"}, 2, "once"},
      {{"schedules", "add", "n", "k", "--every", "1h", "--missed-max", "0"}, 2, "--missed-max"},
      {{"schedules", "next", "0 0 31 4 *"}, 2, "cron \"0 0 31 4 *\": "},
      {{"schedules", "remove", "n"}, 1, "n"},
      {{"schedules", "run", "n"}, 1, "n"},
      {{"queues", "pause", "q", "--kind", "a*b"}, 1, "relevo: kind: is 'a*b'; a * stands at the"},
      {{"queues", "pause", "mail*"},
       1,
       "relevo: queue: is 'mail*'; give the whole name of a queue"},
  };
  for (const auto& [arguments, code, hint] : asked) expect_refused(arguments, code, hint);
  EXPECT_EQ(sql_.number("SELECT (SELECT count(*) FROM relevo.job) + (SELECT count(*) FROM "
                        "relevo.schedule) + (SELECT count(*) FROM relevo.queue_state)"),
            1);
}

// SQL cannot read a cron expression: such a schedule is stored, never fires, and says why.
TEST_F(BadJobInputTest, ASchedulePutBySqlThatCannotFireIsBrokenWithItsReason) {
  sql_.exec(
      "SELECT relevo.schedule_put('never', 'k', cron => '0 0 30 2 *'); "
      "SELECT relevo.schedule_put('nonsense', 'k', cron => 'now and then'); "
      "SELECT relevo.schedule_put('far', 'k', at => '9999-01-01Z'); "
      "SELECT relevo.schedule_put('farther', 'k', at => '99999-01-01Z'); "
      "SELECT relevo.schedule_put('past', 'k', at => '0001-01-01Z')");
  const auto listed = call({"schedules", "list"});
  EXPECT_EQ(listed.code, 0);
  EXPECT_THAT(listed.err,
              AllOf(HasSubstr("schedule never: cron \"0 0 30 2 *\": "),
                    HasSubstr("schedule far: at: 9999-01-01T00:00:00.000Z never fires: "),
                    HasSubstr("schedule farther: at: +99999-01-01T00:00:00.000Z never fires: "),
                    HasSubstr("schedule nonsense: cron \"now and then\": has 3 fields")));
  EXPECT_THAT(listed.err, Not(HasSubstr("past")));
}

}  // namespace
}  // namespace relevo::test
