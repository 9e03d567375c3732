// What users and operators get wrong, against the program itself: one clear line, no harm to other
// aggregates, no hot loop, and a stop in time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <set>

#include "support/daemon.hpp"
#include "support/database.hpp"
#include "support/environment.hpp"
#include "support/eventually.hpp"
#include "support/kafka_publishing.hpp"
#include "support/process.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Not;

constexpr auto kSecret = "geheim-4711";

class BadInputTest : public testing::Test {
 protected:
  BadInputTest() { migrate(database_.url()); }

  DaemonOptions options(const Process::Environment& added = {}) const {
    return {database_.url(), kafka_, prefix_, "", added};
  }

  Process::Environment environment() const {
    return {{"RELEVO_DATABASE_URL", database_.url()},
            {"RELEVO_KAFKA_BOOTSTRAP_SERVERS", kafka_},
            {"RELEVO_HTTP_LISTEN", "127.0.0.1:0"},
            {"RELEVO_LOG_FORMAT", "json"}};
  }

  // Keys of the records in the topic of events of this type.
  std::multiset<std::string> keys(const std::string& type, std::size_t count) const {
    std::multiset<std::string> keys;
    for (const auto& record : read_topic(kafka_, prefix_ + "." + type, count))
      keys.insert(record.key);
    return keys;
  }

  const std::string kafka_ = required_environment("RELEVO_TEST_KAFKA");
  const std::string prefix_ = unique_name("bad-");
  Database database_{required_environment("RELEVO_TEST_POSTGRES")};
};

std::size_t lines_with(const std::string& log, std::string_view text) {
  std::size_t count = 0;
  for (auto at = log.find(text); at != std::string::npos; at = log.find(text, at + 1)) ++count;
  return count;
}

// ---- rows

struct BadRow {
  const char* name;
  const char* aggregate_id;
  const char* values;  // of event_type, payload, headers, topic
  const char* reason;  // why it is parked; nullptr: it can be published all the same
};

// Nobody can write these while the CHECK of the table stands; a DBA may have dropped it.
constexpr BadRow kBadRows[] = {
    {"no aggregate id", "", "'e', '1', NULL, NULL", nullptr},
    {"no event type", "untyped", "'', '1', NULL, NULL", nullptr},
    {"long aggregate id", "repeat('y', 10240)", "'e', '1', NULL, NULL", nullptr},
    {"line breaks", "E'a\\r\\nb'", "'e', '1', NULL, NULL", nullptr},
    {"headers that are no strings", "numbers", R"('e', '1', '{"n": 1, "o": {"a": [null]}}', NULL)",
     nullptr},
    {"headers that are a list", "list", "'e', '1', '[1, 2]', NULL", nullptr},
    {"headers that are a number", "scalar", "'e', '1', '5', NULL", nullptr},
    {"1,000 headers", "headers",
     "'e', '1', (SELECT jsonb_object_agg('h' || i, 'v') FROM generate_series(1, 1000) i), NULL",
     nullptr},
    {"illegal topic", "topic", "'e', '1', NULL, 'a b'", "invalid_topic"},
    {"too large", "large", "'e', decode(repeat('ab', 12000000), 'hex'), NULL, NULL", "too_large"},
    {"headers too large", "wide", "'e', '1', jsonb_build_object('h', repeat('q', 12000000)), NULL",
     "too_large"},
};

TEST_F(BadInputTest, RowsThatBreakEveryRuleHarmNobodyElse) {
  Daemon daemon(options());
  ASSERT_TRUE(daemon.wait_ready());
  auto connection = database_.connect();
  connection.exec("ALTER TABLE relevo.outbox DROP CONSTRAINT outbox_row_is_valid");
  std::size_t parked = 0;
  for (const auto& row : kBadRows) {
    SCOPED_TRACE(row.name);
    const std::string id = row.aggregate_id;
    const bool expression = id.find('(') != std::string::npos || id.find('\'') != std::string::npos;
    const auto literal = expression ? id : "'" + id + "'";
    connection.exec(
        "INSERT INTO relevo.outbox (aggregate_type, aggregate_id, event_type, payload, "
        "headers, topic) VALUES ('bad', " +
        literal + ", " + row.values + ")");
    if (row.reason == nullptr) continue;
    ++parked;
    EXPECT_TRUE(eventually(20s, [&] {
      return connection.number("SELECT count(*) FROM relevo.dead_event WHERE aggregate_id = " +
                               literal + " AND reason = '" + row.reason + "'") == 1;
    })) << daemon.process().standard_error();
  }
  connection.exec("SELECT relevo.publish('bad', 'innocent', 'e', '1')");
  const auto published = std::size(kBadRows) - parked + 1;
  const auto arrived = keys("bad", published);
  EXPECT_EQ(arrived.size(), published);
  EXPECT_THAT(arrived, IsSupersetOf({"innocent", "a\r\nb", "", "headers"}));
  EXPECT_EQ(connection.number("SELECT count(*) FROM relevo.dead_event"),
            static_cast<std::int64_t>(parked));
  const auto log = daemon.process().standard_error();
  EXPECT_EQ(lines_with(log, "event parked"), parked) << log;
  EXPECT_EQ(lines_with(log, "outage"), 0U) << log;
  EXPECT_EQ(daemon.terminate()->code, 0);
}

TEST_F(BadInputTest, TimesBeyondTheCalendarArePublished) {
  Daemon daemon(options());
  database_.connect().exec(
      "INSERT INTO relevo.outbox (aggregate_type, aggregate_id, event_type, created_at) VALUES "
      "('time', 'never', 'e', 'infinity'), ('time', 'ever', 'e', '-infinity'), "
      "('time', 'late', 'e', '294000-01-01'), ('time', 'early', 'e', '4700-01-01 BC')");
  EXPECT_EQ(keys("time", 4), (std::multiset<std::string>{"early", "ever", "late", "never"}));
  EXPECT_EQ(daemon.terminate()->code, 0);
}

// ---- a schema altered by hand

TEST_F(BadInputTest, ADroppedTableIsNoHotLoop) {
  Daemon daemon(options());
  ASSERT_TRUE(daemon.wait_ready());
  auto connection = database_.connect();
  connection.exec("ALTER TABLE relevo.dead_event RENAME TO gone");
  ASSERT_TRUE(daemon.process().wait_line("relevo.dead_event", 20s));
  EXPECT_TRUE(eventually(10s, [&] { return !daemon.ready(); }));
  connection.exec("ALTER TABLE relevo.gone RENAME TO dead_event");
  EXPECT_TRUE(daemon.wait_ready());
  connection.exec("SELECT relevo.publish('after', 'a', 'e', '1')");
  EXPECT_EQ(keys("after", 1).size(), 1U);
  const auto log = daemon.process().standard_error();
  EXPECT_LT(std::ranges::count(log, '\n'), 20) << log;
}

// ---- the environment of the process

struct Streams {
  const char* name;
  const char* redirection;
};

class BadStreamsTest : public BadInputTest, public testing::WithParamInterface<Streams> {};

TEST_P(BadStreamsTest, ItRunsAndStops) {
  Process process({"bash", "-c",
                   "exec " + required_environment("RELEVO_BIN") + " run " + GetParam().redirection},
                  environment());
  auto connection = database_.connect();
  ASSERT_TRUE(eventually(20s, [&] {
    return connection.number("SELECT count(*) FROM relevo.position WHERE expires > now()") > 0;
  }));
  // No connection has taken the place of a stream: log lines would go into it.
  for (const auto* stream : {"0", "1", "2"}) {
    const auto link =
        std::filesystem::read_symlink("/proc/" + std::to_string(process.pid()) + "/fd/" + stream);
    EXPECT_THAT(link.string(), testing::StartsWith("/")) << stream;
  }
  process.signal(SIGTERM);
  const auto exit = process.wait(10s);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->code, 0);
}

INSTANTIATE_TEST_SUITE_P(, BadStreamsTest,
                         testing::Values(Streams{"in", "<&-"}, Streams{"out", ">&-"},
                                         Streams{"err", "2>&-"}, Streams{"all", "<&- >&- 2>&-"},
                                         Streams{"full", "2>/dev/full"}),
                         [](const auto& test) { return test.param.name; });

TEST_F(BadInputTest, ItRunsOnWithoutAReaderOfItsLog) {
  Process process(
      {"bash", "-c",
       "exec " + required_environment("RELEVO_BIN") + " run 2> >(head -n 1 >/dev/null)"},
      environment());
  auto connection = database_.connect();
  const auto held = [&] {
    return connection.number("SELECT count(*) FROM relevo.position WHERE expires > now()") > 0;
  };
  ASSERT_TRUE(eventually(20s, held));
  connection.exec("SELECT relevo.publish('no topic', 'a', 'e', '1')");
  EXPECT_TRUE(eventually(
      20s, [&] { return connection.number("SELECT count(*) FROM relevo.dead_event") == 1; }));
}

struct Locale {
  const char* variable;
  const char* value;
};

TEST_F(BadInputTest, NoLocaleOrTimeZoneChangesWhatItDoes) {
  constexpr Locale kLocales[] = {{"LC_ALL", "tr_TR.UTF-8"}, {"LC_ALL", "de_DE"},
                                 {"LC_ALL", "C"},           {"LC_ALL", "nonsense"},
                                 {"TZ", "Nowhere/At+99"},   {"TZ", ":/etc/passwd"}};
  std::size_t events = 0;
  auto connection = database_.connect();
  for (const auto& [variable, value] : kLocales) {
    SCOPED_TRACE(value);
    Daemon daemon(options({{variable, value}}));
    ASSERT_TRUE(daemon.wait_ready());
    connection.exec("SELECT relevo.publish('place', '" + std::to_string(++events) + "', 'e', '1')");
    EXPECT_EQ(keys("place", events).size(), events);
    EXPECT_EQ(daemon.terminate()->code, 0);
  }
}

TEST_F(BadInputTest, TooFewDescriptorsAreSaidOnceAndEndNothing) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "UBSan's check of virtual tables needs descriptors of its own and reports their "
                  "want as a fault";
#endif
  Process process(
      {"bash", "-c", "ulimit -n 20; exec " + required_environment("RELEVO_BIN") + " run"},
      environment());
  EXPECT_TRUE(process.wait_line("Too many open files", 20s)) << process.standard_error();
  process.signal(SIGTERM);
  const auto exit = process.wait(10s);
  EXPECT_TRUE(exit && exit->code == 0) << process.standard_error();
}

// ---- configuration that only servers can judge

struct Refusal {
  const char* name;
  Process::Environment environment;
  const char* says;
};

class BadConfigurationTest : public BadInputTest, public testing::WithParamInterface<Refusal> {};

TEST_P(BadConfigurationTest, EndsWithThreeAndOneError) {
  auto all = environment();
  for (const auto& [name, value] : GetParam().environment) all[name] = value;
  Process process({required_environment("RELEVO_BIN"), "run"}, all);
  const auto exit = process.wait(10s);
  ASSERT_TRUE(exit) << process.standard_error();
  EXPECT_EQ(exit->code, 3);
  const auto log = process.standard_error();
  EXPECT_THAT(log, HasSubstr(GetParam().says));
  EXPECT_THAT(log, Not(HasSubstr(kSecret)));
}

INSTANTIATE_TEST_SUITE_P(
    , BadConfigurationTest,
    testing::Values(
        Refusal{"no_broker_in_the_list", {{"RELEVO_KAFKA_BOOTSTRAP_SERVERS", ",,,"}}, "host:port"},
        Refusal{"broker_with_password",
                {{"RELEVO_KAFKA_BOOTSTRAP_SERVERS", std::string("u:") + kSecret + "@h:9092"}},
                "host:port"},
        Refusal{"password_with_at",
                {{"RELEVO_DATABASE_URL",
                  std::string("postgresql://u:x@") + kSecret + "@127.0.0.1:1/d"}},
                "percent-encode"},
        Refusal{"password_with_slash",
                {{"RELEVO_DATABASE_URL",
                  std::string("postgresql://u:x/") + kSecret + "@127.0.0.1:1/d"}},
                "percent-encode"},
        Refusal{"bad_percent",
                {{"RELEVO_DATABASE_URL",
                  std::string("postgresql://u:%zz") + kSecret + "@127.0.0.1:1/d"}},
                "database.url"},
        Refusal{"port_beyond_range",
                {{"RELEVO_DATABASE_URL", "postgresql://u@127.0.0.1:99999/d"}},
                "invalid port number"},
        Refusal{"foreign_address", {{"RELEVO_HTTP_LISTEN", "203.0.113.7:9464"}}, "203.0.113.7"}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace relevo::test
