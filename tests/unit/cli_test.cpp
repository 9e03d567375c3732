// The pure parts of the command line: what it prints, how it reads its arguments, how it judges.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdlib.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/command.hpp"
#include "cli/dead_commands.hpp"
#include "cli/event_arguments.hpp"
#include "cli/explain.hpp"
#include "cli/findings.hpp"
#include "cli/printable.hpp"
#include "cli/record_text.hpp"
#include "cli/status_report.hpp"
#include "cli/table.hpp"
#include "daemon.hpp"
#include "relevo/core/nearest.hpp"
#include "support/environment.hpp"

namespace relevo::cli {
namespace {

using namespace std::chrono_literals;
using core::ErrorKind;
using core::IntegrationError;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(CliTable, AlignsByCharactersAndPutsNumbersToTheRight) {
  Table table({"name", ">events", "note"});
  table.add({"grün", "7", "x"});
  table.add({"b", "1000", "y\nz"});
  EXPECT_EQ(table.text(),
            "name  events  note\n"
            "grün       7  x\n"
            "b       1000  y\\nz\n");
}

TEST(CliPrintable, NothingCanControlATerminal) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"plain ü €", "plain ü €"},        {"a\nb\tc", "a\\nb\\tc"},
      {"\x1b[2J", "\\u001b[2J"},         {"\x7f", "\\u007f"},
      {"\xc2\x9b", "\\u009b"},           {"\xc2\xa0", "\xc2\xa0"},
      {std::string(1, '\0'), "\\u0000"}, {"\xc2", "\xc2"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(printable(text), expected);
}

TEST(CliTexts, DurationsSizesAndCounts) {
  EXPECT_EQ(duration_text(0us), "0 ms");
  EXPECT_EQ(duration_text(999ms), "999 ms");
  EXPECT_EQ(duration_text(1'250ms), "1.2 s");
  EXPECT_EQ(duration_text(59'999ms), "59.9 s");
  EXPECT_EQ(duration_text(60s), "1 min");
  EXPECT_EQ(duration_text(250s), "4 min 10 s");
  EXPECT_EQ(duration_text(2h + 5min + 9s), "2 h 5 min");
  EXPECT_EQ(duration_text(76h), "3 d 4 h");
  EXPECT_EQ(size_text(0), "0 B");
  EXPECT_EQ(size_text(1'023), "1023 B");
  EXPECT_EQ(size_text(12'288), "12.0 KiB");
  EXPECT_EQ(size_text(8 << 20), "8.0 MiB");
  EXPECT_EQ(count_text(1, "event"), "1 event");
  EXPECT_EQ(count_text(0, "event"), "0 events");
}

TEST(CliTexts, TimesAreIsoInUtc) {
  using namespace std::chrono;
  EXPECT_EQ(iso_time(sys_days{2026y / 1 / 31} + 12h + 1s + 23ms + 999us),
            "2026-01-31T12:00:01.023Z");
  EXPECT_EQ(iso_time(sys_days{1969y / 12 / 31} + 23h), "1969-12-31T23:00:00.000Z");
}

TEST(CliNearest, FindsWhatWasMeant) {
  const std::vector<std::string> commands{"run", "migrate", "check", "status", "outbox", "version"};
  const std::vector<std::pair<std::string, std::optional<std::string>>> cases{
      {"stauts", "status"},
      {"statu", "status"},
      {"chekc", "check"},
      {"migrat", "migrate"},
      {"rnu", "run"},
      {"frobnicate", {}},
      {"", {}},
      {std::string(100'000, 'x'), {}},
  };
  for (const auto& [word, expected] : cases)
    EXPECT_EQ(core::nearest(word, commands), expected) << word.substr(0, 20);
}

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

TEST(CliEventArguments, HeadersBecomeOneObject) {
  const auto json = [](std::vector<std::string> given) { return headers_json(given); };
  EXPECT_EQ(json({}), "{}");
  EXPECT_EQ(json({"b=1", "a=x=y", "empty="}), R"({"b":"1","a":"x=y","empty":""})");
  EXPECT_EQ(json({"q=\"\\\n"}), R"({"q":"\"\\\n"})");
  EXPECT_THAT(usage_error([&] { json({"a"}); }), HasSubstr("NAME=VALUE"));
  EXPECT_THAT(usage_error([&] { json({"=a"}); }), HasSubstr("NAME=VALUE"));
  EXPECT_THAT(usage_error([&] { json({"a=1", "a=2"}); }), HasSubstr("a is given twice"));
  EXPECT_THAT(usage_error([&] { json({"a=\xff"}); }), HasSubstr("UTF-8"));
}

TEST(CliEventArguments, ThePayloadComesFromTheArgumentStandardInputOrAFile) {
  const test::TemporaryDirectory directory("relevo-cli-");
  const auto file = (directory.path() / "payload.json").string();
  std::ofstream(file) << "{\"from\": \"file\"}\n";
  std::istringstream input(R"({"from": "input"})");
  EXPECT_EQ(read_payload("{}", input), "{}");
  EXPECT_EQ(read_payload("", input), "");
  EXPECT_EQ(read_payload("-", input), R"({"from": "input"})");
  EXPECT_EQ(read_payload("@" + file, input), "{\"from\": \"file\"}\n");
  EXPECT_THAT(usage_error([&] { read_payload("@" + file + "x", input); }),
              HasSubstr("No such file"));
  EXPECT_THAT(usage_error([&] { read_payload("@" + directory.path().string(), input); }),
              HasSubstr("directory"));
  std::istringstream nul(std::string("{}\0{}", 5));
  EXPECT_THAT(usage_error([&] { read_payload("-", nul); }), HasSubstr("NUL"));
  std::istringstream endless(std::string((32U << 20U) + 1, ' '));
  EXPECT_THAT(usage_error([&] { read_payload("-", endless); }), HasSubstr("32 MiB"));
}

TEST(CliEventArguments, AnAggregateIsDividedAtTheFirstSlash) {
  using Pair = std::pair<std::string, std::string>;
  EXPECT_EQ(parse_aggregate("order/42"), Pair("order", "42"));
  EXPECT_EQ(parse_aggregate("order/4/2"), Pair("order", "4/2"));
  for (const auto* wrong : {"order", "/42", "order/", ""}) {
    EXPECT_THAT(usage_error([&] { parse_aggregate(wrong); }), HasSubstr("TYPE/ID")) << wrong;
  }
}

TEST(CliExplain, ARefusedArgumentNeedsNoNamesOfFunctions) {
  const IntegrationError refused(ErrorKind::kRejected, "job_pause",
                                 "22023 relevo.pause: queue: is empty; give 1 to 255 bytes");
  EXPECT_EQ(explain(refused), "queue: is empty; give 1 to 255 bytes");
  const IntegrationError other(ErrorKind::kRejected, "job_pause", "22023 invalid value");
  EXPECT_EQ(explain(other), "job_pause: 22023 invalid value");
}

TEST(CliExplain, SaysWhatToDoAndWithWhichCodeToEnd) {
  struct Case {
    ErrorKind kind;
    std::string detail;
    std::string advice;
    int code;
  };
  const std::vector<Case> cases{
      {ErrorKind::kMisconfigured, "FATAL:  28P01: password authentication failed",
       "database.password_file", 3},
      {ErrorKind::kMisconfigured, "FATAL:  3D000: database \"x\" does not exist",
       "create the database", 3},
      {ErrorKind::kMisconfigured, "42501 permission denied for table outbox", "relevo_relay", 3},
      {ErrorKind::kMisconfigured, "42501 permission denied for view jobs", "relevo_worker", 3},
      {ErrorKind::kRejected, "42P01 relation \"relevo.outbox\" does not exist", "relevo migrate",
       3},
      {ErrorKind::kRejected, "3F000 schema \"relevo\" does not exist", "relevo migrate", 3},
      {ErrorKind::kRejected, "22P02 invalid input syntax for type json", "valid JSON", 1},
      {ErrorKind::kDisconnected, "Connection refused", "start PostgreSQL", 4},
      {ErrorKind::kDisconnected, "no answer within database.connect_timeout", "firewall", 4},
      {ErrorKind::kOverloaded, "53300 too many connections", "", 4},
      {ErrorKind::kConflict, "55P03 lock timeout", "", 1},
  };
  for (const auto& test : cases) {
    const IntegrationError error(test.kind, "connect", test.detail);
    EXPECT_THAT(explain(error), HasSubstr("connect: " + test.detail));
    EXPECT_THAT(explain(error), HasSubstr(test.advice));
    EXPECT_EQ(exit_code_of(error), test.code) << test.detail;
  }
}

TEST(CliFindings, OneLineEach) {
  EXPECT_EQ(finding_line({Level::kOk, "shards", "8", "", 0}), "ok       shards: 8\n");
  EXPECT_EQ(finding_line({Level::kWarning, "clock", "is\n3 s", "set it", 0}),
            "warning  clock: is\\n3 s; set it\n");
}

TEST(CliFindings, TheConfigurationWinsOverTheNetwork) {
  const Finding fine{Level::kWarning, "", "", "", 0};
  const Finding away{Level::kError, "", "", "", exit_code::kUnavailable};
  const Finding wrong{Level::kError, "", "", "", exit_code::kMisconfigured};
  EXPECT_EQ(exit_code_of(std::array{fine}), 0);
  EXPECT_EQ(exit_code_of(std::array{fine, away}), 4);
  EXPECT_EQ(exit_code_of(std::array{away, wrong, away}), 3);
}

std::vector<Level> levels(const std::vector<Finding>& findings) {
  std::vector<Level> all;
  for (const auto& finding : findings) all.push_back(finding.level);
  return all;
}

TEST(CliFindings, CountsWhatIsConfigured) {
  config::Config config;
  EXPECT_TRUE(count_lists(config).empty());
  config.handlers.resize(2);
  config.subscriptions.resize(1);
  const auto findings = count_lists(config);
  ASSERT_EQ(findings.size(), 2U);
  EXPECT_EQ(finding_line(findings[0]), "ok       handlers: 2 configured\n");
  EXPECT_EQ(finding_line(findings[1]), "ok       subscriptions: 1 configured\n");
}

TEST(CliFindings, LooksIntoEachSecretFileOnce) {
  std::string name = (std::filesystem::temp_directory_path() / "relevo-check-XXXXXX").string();
  const std::filesystem::path folder = mkdtemp(name.data());
  const auto good = (folder / "good").string();
  const auto empty = (folder / "empty").string();
  const auto missing = (folder / "missing").string();
  std::ofstream(good) << "whsec_hunter2\n";
  std::ofstream(empty) << "\n";

  config::Config config;
  EXPECT_TRUE(look_at_secret_files(config).empty());
  config.handlers.resize(3);
  config.handlers[0].http.secret_file = good;
  config.handlers[1].http.secret_file = good;
  config.subscriptions.resize(2);
  EXPECT_THAT(levels(look_at_secret_files(config)), ElementsAre(Level::kOk));
  config.handlers[2].http.secret_file = empty;
  config.subscriptions[1].http.emplace().secret_file = missing;
  std::string lines;
  for (const auto& finding : look_at_secret_files(config)) lines += finding_line(finding);
  EXPECT_THAT(lines, HasSubstr("error    secret file: " + empty + " is empty; "));
  EXPECT_THAT(lines, HasSubstr("error    secret file: " + missing +
                               " cannot be read: No such file or directory; let this user read "
                               "it, or correct subscriptions[1].http.secret_file\n"));
  EXPECT_THAT(lines, HasSubstr("ok       secret files: 1 can be read\n"));
  EXPECT_THAT(lines, Not(HasSubstr("hunter2")));
  std::filesystem::remove_all(folder);
}

TEST(CliFindings, JudgesTheServer) {
  const postgres::Server good{150'018, false, "7", {}};
  EXPECT_THAT(levels(judge_server(good, 1s)), ElementsAre(Level::kOk, Level::kOk, Level::kOk));
  const auto skewed = judge_server(good, -1'001ms);
  EXPECT_EQ(skewed.back().level, Level::kWarning);
  EXPECT_THAT(skewed.back().finding, HasSubstr("1.0 s behind"));
  EXPECT_THAT(levels(judge_server({130'022, true, "", {}}, 0s)),
              ElementsAre(Level::kError, Level::kError, Level::kNote, Level::kOk));
}

TEST(CliFindings, JudgesTheSchema) {
  const int known = postgres::Migrator::program_version();
  using postgres::Fit;
  EXPECT_EQ(judge_schema({Fit::kFits, known, known}).level, Level::kOk);
  EXPECT_EQ(judge_schema({Fit::kFits, known + 1, known}).level, Level::kNote);
  EXPECT_THAT(finding_line(judge_schema({Fit::kNotMigrated, 0, 0})),
              HasSubstr("is not there; run `relevo migrate`"));
  EXPECT_THAT(finding_line(judge_schema({Fit::kNotMigrated, 1, 1})),
              HasSubstr("version 1 is older"));
  EXPECT_THAT(finding_line(judge_schema({Fit::kProgramTooOld, 99, 99})),
              HasSubstr("install a newer relevo"));
}

TEST(CliFindings, JudgesTheSurroundings) {
  EXPECT_THAT(levels(judge_surroundings({1, 8, 8, 20, false}, 8)),
              ElementsAre(Level::kOk, Level::kOk, Level::kOk));
  EXPECT_THAT(levels(judge_surroundings({1, 8, 7, 20, false}, 8)),
              ElementsAre(Level::kOk, Level::kOk, Level::kError, Level::kOk));
  EXPECT_THAT(levels(judge_surroundings({20, 8, 8, 0, true}, 16)),
              ElementsAre(Level::kError, Level::kError, Level::kWarning, Level::kWarning));
}

TEST(CliFindings, JudgesTopicsByWhatTheyTake) {
  const auto level = [](std::optional<std::size_t> limit) {
    return judge_topic({"t", true, 3, limit, ""}, false).level;
  };
  EXPECT_EQ(level(std::nullopt), Level::kOk);
  EXPECT_EQ(level(65'535), Level::kWarning);
  EXPECT_EQ(level(65'536), Level::kNote);
  EXPECT_EQ(level(1'048'588), Level::kNote);
  EXPECT_EQ(level(10'000'000), Level::kOk);
  const kafka::TopicDescription missing{"t", false, 0, std::nullopt, "Unknown topic"};
  EXPECT_EQ(judge_topic(missing, false).level, Level::kWarning);
  EXPECT_EQ(judge_topic(missing, true).level, Level::kNote);
}

TEST(CliFindings, MissingTopicsOfASubscriptionAreWarnings) {
  const kafka::TopicDescription missing{"t", false, 0, std::nullopt, "Unknown topic"};
  const kafka::TopicDescription there{"t", true, 3, std::nullopt, ""};
  EXPECT_EQ(judge_source_topic(there, "s").level, Level::kOk);
  EXPECT_EQ(judge_source_topic(missing, "s").level, Level::kWarning);
  EXPECT_EQ(judge_dead_letter_topic(there, "s", false).level, Level::kOk);
  EXPECT_EQ(judge_dead_letter_topic(missing, "s", true).level, Level::kNote);
  EXPECT_EQ(finding_line(judge_dead_letter_topic(missing, "s", false)),
            "warning  dead letter topic t of subscription s: Unknown topic; the key of a dead "
            "message waits until it is there; create it, or set kafka.topics.create\n");
}

TEST(CliFindings, TopicsAreThoseThatEventsGoTo) {
  const std::vector<postgres::TopicNames> names{{std::nullopt, "order", "Paid", "acme"},
                                                {"named", "order", "Paid", std::nullopt},
                                                {std::nullopt, "order", "Sent", "acme"},
                                                {std::nullopt, "stock", "Sent", std::nullopt}};
  EXPECT_THAT(topics_of(names, "x.{aggregate_type}"), ElementsAre("named", "x.order", "x.stock"));
  EXPECT_THAT(topics_of({}, "events"), ElementsAre("events"));
  EXPECT_THAT(topics_of({}, "x.{tenant}"), ElementsAre());
}

postgres::DeadEventChoice dead(std::int64_t id, const char* state, const char* reason,
                               std::int64_t first) {
  return {id, state, reason, "order", "42", first};
}

TEST(CliDeadChoice, RetriesWhatCanGo) {
  const std::array found{dead(1, "parked", "too_large", 1), dead(2, "parked", "queued_behind", 1),
                         dead(3, "retry", "too_large", 3), dead(4, "skipped", "too_large", 0),
                         dead(5, "parked", "queued_behind", 5)};
  const std::array<std::int64_t, 6> asked{5, 1, 2, 3, 4, 9};
  const auto choice = choose_to_retry(asked, found);
  EXPECT_THAT(choice.ids, ElementsAre(5, 1, 4));
  ASSERT_EQ(choice.declined.size(), 3U);
  EXPECT_THAT(choice.declined[0].why, HasSubstr("queues behind event 1 of order/42"));
  EXPECT_THAT(choice.declined[1].why, HasSubstr("released already"));
  EXPECT_THAT(choice.declined[2].why, HasSubstr("is no dead event"));
}

TEST(CliDeadChoice, SkipsOnlyWhatIsParked) {
  const std::array found{dead(1, "parked", "too_large", 1), dead(2, "parked", "queued_behind", 1),
                         dead(3, "retry", "too_large", 3), dead(4, "skipped", "too_large", 0)};
  const std::array<std::int64_t, 4> asked{1, 2, 3, 4};
  const auto choice = choose_to_skip(asked, found);
  EXPECT_THAT(choice.ids, ElementsAre(1, 2));
  EXPECT_EQ(choice.declined.size(), 2U);
}

TEST(CliRecords, TextAndJson) {
  using namespace std::chrono;
  kafka::ReadRecord record;
  record.topic = "t";
  record.partition = 2;
  record.offset = 7;
  record.key = "a\nb";
  record.value = R"({"x": 1})";
  record.headers = {{"ce_type", "Paid"}, {"ce_id", "id-1"}};
  record.timestamp = sys_days{2026y / 1 / 31};
  EXPECT_EQ(record_line(record, false),
            "2026-01-31T00:00:00.000Z  t/2@7  a\\nb  Paid  id-1  8 B\n");
  EXPECT_THAT(record_line(record, true), HasSubstr("8 B  {\"x\": 1}\n"));
  auto json = nlohmann::json::parse(record_json(record, true));
  EXPECT_EQ(json.at("key"), "a\nb");
  EXPECT_EQ(json.at("payload"), R"({"x": 1})");
  EXPECT_FALSE(nlohmann::json::parse(record_json(record, false)).contains("payload"));

  const std::vector<std::pair<std::string, std::string>> binary{
      {"\xff", "/w=="}, {"\xff\xfe", "//4="}, {"\xff\xfe\xfd", "//79"}};
  for (const auto& [bytes, text] : binary) {
    record.value = bytes;
    EXPECT_EQ(nlohmann::json::parse(record_json(record, true)).at("payload_base64"), text);
  }
  record.value.reset();
  record.key.reset();
  record.headers.clear();
  EXPECT_EQ(record_line(record, true), "2026-01-31T00:00:00.000Z  t/2@7  -  -  -  tombstone\n");
  EXPECT_TRUE(nlohmann::json::parse(record_json(record, true)).at("payload").is_null());
}

TEST(CliRecords, ThePatternOfATemplate) {
  EXPECT_EQ(topic_pattern("outbox.event.{aggregate_type}"), "outbox.event.*");
  EXPECT_EQ(topic_pattern("{tenant}.x.{event_type}.y"), "*.x.*.y");
  EXPECT_EQ(topic_pattern("{tenant}{event_type}"), "*");
  EXPECT_EQ(topic_pattern("plain"), "plain");
}

TEST(CliStatus, TheRateIsWhatCameInLessWhatStayed) {
  const auto at = [](std::int64_t id, core::WallTime time, std::int64_t backlog) {
    EventLook look;
    look.newest = {id, time};
    look.backlog.events = backlog;
    return std::optional(look);
  };
  const core::WallTime start{};
  EXPECT_DOUBLE_EQ(*published_per_second(at(100, start, 50), at(300, start + 2s, 10)), 120);
  EXPECT_DOUBLE_EQ(*published_per_second(at(100, start, 0), at(100, start + 1s, 5)), 0);
  EXPECT_FALSE(published_per_second(at(1, start, 0), at(2, start, 0)));
  EXPECT_FALSE(published_per_second(std::nullopt, at(2, start, 0)));
}

TEST(CliStatus, AnEstimateIsMarked) {
  Look look;
  auto& events = look.events.emplace();
  events.backlog = {20'000, false, events.newest.asked_at - 3s};
  events.shards.push_back({.shard = 0,
                           .holder = std::nullopt,
                           .epoch = 1,
                           .tick_a = 2,
                           .tick_b = 3,
                           .last_id = -1,
                           .behind = 5s});
  events.dead.push_back({"parked", "too_large", 4});
  events.waiting_aggregates = 2;
  const auto text = status_text(look, std::nullopt);
  EXPECT_THAT(text, HasSubstr("≈ 20000 events, the oldest stored 3.0 s ago"));
  EXPECT_THAT(text, HasSubstr("(free)"));
  EXPECT_THAT(text, HasSubstr("2 aggregates waiting"));
  EXPECT_THAT(text, HasSubstr("no replica is running"));
  const auto json = nlohmann::json::parse(status_json(look, 12.5));
  EXPECT_EQ(json.at("backlog").at("exact"), false);
  EXPECT_EQ(json.at("published_per_second"), 12.5);
  EXPECT_TRUE(json.at("shards").at(0).at("holder").is_null());
}

}  // namespace
}  // namespace relevo::cli
