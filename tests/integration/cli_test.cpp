// The program as it is called: exit codes, what it prints and where, and what it does to a running
// relay.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "support/daemon.hpp"
#include "support/database.hpp"
#include "support/environment.hpp"
#include "support/eventually.hpp"
#include "support/kafka_admin.hpp"
#include "support/kafka_publishing.hpp"
#include "support/postgres_server.hpp"
#include "support/process.hpp"
#include "support/program.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr auto kSecret = "pass-wort-4711";

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Of a log in JSON.
std::vector<std::string> error_lines(const std::string& log) {
  auto lines = lines_of(log);
  std::erase_if(
      lines, [](const auto& line) { return line.find(R"("level":"error")") == std::string::npos; });
  return lines;
}

// A port of this machine where nobody answers, although connections are taken.
class SilentPort {
 public:
  SilentPort() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(socket_, generic, size) != 0 || ::listen(socket_, 100) != 0 ||
        ::getsockname(socket_, generic, &size) != 0) {
      throw std::runtime_error("no port to listen on");
    }
    address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  ~SilentPort() { ::close(socket_); }
  SilentPort(const SilentPort&) = delete;
  SilentPort& operator=(const SilentPort&) = delete;

  const std::string& address() const { return address_; }

 private:
  int socket_;
  std::string address_;
};

std::string with_password(std::string url, const std::string& password) {
  return url.insert(url.find('@'), ":" + password);
}

class CliTest : public testing::Test {
 protected:
  Process::Environment environment(const Process::Environment& added = {}) const {
    Process::Environment all{{"RELEVO_DATABASE_URL", with_password(database_.url(), kSecret)},
                             {"RELEVO_KAFKA_BOOTSTRAP_SERVERS", kafka_},
                             {"RELEVO_HTTP_LISTEN", "127.0.0.1:0"},
                             {"RELEVO_LOG_FORMAT", "json"},
                             {"RELEVO_RELAY_TOPIC", prefix_ + ".{aggregate_type}"}};
    for (const auto& [name, value] : added) all[name] = value;
    return all;
  }

  Outcome relevo(std::vector<std::string> arguments, const Process::Environment& added = {}) const {
    auto outcome = call(std::move(arguments), environment(added));
    EXPECT_THAT(outcome.out + outcome.err, Not(HasSubstr(kSecret)));
    return outcome;
  }

  json relevo_json(std::vector<std::string> arguments) const {
    const auto outcome = relevo(std::move(arguments));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return json::parse(outcome.out);
  }

  // `run`, and that it ended within two seconds with exit code 3 and one error about this.
  void expect_refused_to_run(const std::string& about, const Process::Environment& added) const {
    const auto outcome = relevo({"run"}, added);
    EXPECT_EQ(outcome.code, 3);
    EXPECT_LT(outcome.took, 10s);
    EXPECT_THAT(error_lines(outcome.err), ElementsAre(HasSubstr(about))) << outcome.err;
  }

  const std::string kafka_ = required_environment("RELEVO_TEST_KAFKA");
  const std::string prefix_ = unique_name("cli-");
  Database database_{required_environment("RELEVO_TEST_POSTGRES")};
};

// ---- migrate

TEST_F(CliTest, MigrateSaysWhatItDidAndIsSilentAfterwards) {
  const auto first = relevo({"migrate"});
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_THAT(first.out,
              AllOf(StartsWith("applied migration 1 "), HasSubstr("applied migration 2 ")));
  const auto second = relevo({"migrate"});
  EXPECT_EQ(second.code, 0);
  EXPECT_EQ(second.out + second.err, "");
  EXPECT_EQ(relevo_json({"migrate", "--json"}), json::parse(R"({"applied":[]})"));
}

TEST_F(CliTest, TenMigrationsAtOnceApplyEachOnce) {
  std::vector<std::unique_ptr<Process>> processes;
  for (int i = 0; i < 10; ++i) {
    processes.push_back(std::make_unique<Process>(
        std::vector<std::string>{required_environment("RELEVO_BIN"), "migrate"}, environment()));
  }
  std::size_t applied = 0;
  for (const auto& process : processes) {
    const auto exit = process->wait(60s);
    ASSERT_TRUE(exit);
    EXPECT_EQ(exit->code, 0) << process->standard_error();
    applied += lines_of(process->standard_output()).size();
  }
  const auto status = relevo_json({"migrate", "--status", "--json"});
  EXPECT_EQ(applied, status.size());
  for (const auto& migration : status) EXPECT_EQ(migration.at("state"), "applied");
}

TEST_F(CliTest, ThePrintedMigrationsMakeTheSameSchema) {
  EXPECT_THAT(relevo({"migrate", "--status"}).out,
              AllOf(HasSubstr("pending"), Not(HasSubstr("applied\n"))));
  // Nothing but the program is needed to print.
  const auto printed =
      relevo({"migrate", "--print"}, {{"RELEVO_DATABASE_URL", "postgresql://127.0.0.1:1/none"}});
  EXPECT_EQ(printed.code, 0);
  auto connection = database_.connect();
  connection.exec(printed.out);
  for (const auto& migration : relevo_json({"migrate", "--status", "--json"})) {
    EXPECT_EQ(migration.at("state"), "applied");
  }
  EXPECT_EQ(relevo({"migrate"}).out, "");
}

TEST_F(CliTest, ASchemaThatNeedsANewerProgramIsRefused) {
  migrate(database_.url());
  database_.connect().exec("UPDATE relevo.schema SET version = 999, oldest_program_version = 999");
  const auto migrating = relevo({"migrate"});
  EXPECT_EQ(migrating.code, 3);
  EXPECT_THAT(lines_of(migrating.err),
              ElementsAre(AllOf(HasSubstr("999"), HasSubstr("install a newer relevo"))));
  expect_refused_to_run("install a newer relevo", {});
  const auto checking = relevo({"check"});
  EXPECT_EQ(checking.code, 3);
  EXPECT_THAT(checking.out, HasSubstr("error    schema: version 999 needs"));
}

TEST_F(CliTest, AnotherNumberOfShardsIsRefusedOnceARelayHasTakenOne) {
  migrate(database_.url());
  database_.connect().exec("UPDATE relevo.position SET epoch = 1");
  const Process::Environment sixteen{{"RELEVO_RELAY_SHARDS", "16"}};
  EXPECT_EQ(relevo({"migrate"}, sixteen).code, 3);
  expect_refused_to_run("set it to 8", sixteen);
  EXPECT_THAT(relevo({"check"}, sixteen).out,
              HasSubstr("error    shards: the database has 8, relay.shards is 16"));
}

// ---- run: what is wrong for good ends it at once, what may come is waited for

TEST_F(CliTest, AllMistakesOfTheConfigurationAreToldAtOnce) {
  const TemporaryDirectory directory("relevo-cli-");
  const auto file = (directory.path() / "relevo.yaml").string();
  std::ofstream(file) << "relay:\n  shards: 7\n  polmin: 1ms\nlog:\n  level: loud\n";
  for (const auto* command : {"run", "status", "migrate"}) {
    const auto outcome = relevo({command, "-c", file}, {{"RELEVO_RELAY_TOPIC", "{nonsense}"}});
    EXPECT_EQ(outcome.code, 3);
    EXPECT_LT(outcome.took, 10s);
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(
        lines_of(outcome.err),
        testing::UnorderedElementsAre(AllOf(HasSubstr("relevo.yaml:2"), HasSubstr("relay.shards")),
                                      AllOf(HasSubstr("relevo.yaml:3"), HasSubstr("polmin")),
                                      AllOf(HasSubstr("relevo.yaml:5"), HasSubstr("log.level")),
                                      HasSubstr("RELEVO_RELAY_TOPIC")));
  }
}

TEST_F(CliTest, BrokenYamlIsOneLine) {
  const TemporaryDirectory directory("relevo-cli-");
  const auto file = (directory.path() / "relevo.yaml").string();
  std::ofstream(file) << "relay: [\n";
  const auto outcome = relevo({"run", "-c", file});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(lines_of(outcome.err), ElementsAre(HasSubstr("relevo.yaml")));
}

TEST_F(CliTest, RunEndsWhenTheDatabaseDoesNotExist) {
  expect_refused_to_run(
      "does not exist",
      {{"RELEVO_DATABASE_URL", with_password(with_database(database_.url(), "none"), kSecret)}});
}

TEST_F(CliTest, RunEndsWhenTheDatabaseUrlCannotBeRead) {
  expect_refused_to_run("database.url", {{"RELEVO_DATABASE_URL",
                                          std::string("host=127.0.0.1 password='") + kSecret}});
}

TEST_F(CliTest, RunEndsWhenItsPortIsTaken) {
  const SilentPort taken;
  expect_refused_to_run(taken.address(), {{"RELEVO_HTTP_LISTEN", taken.address()}});
}

TEST_F(CliTest, RunEndsWhenTheFileOfThePasswordIsMissing) {
  expect_refused_to_run("/nonexistent/password",
                        {{"RELEVO_DATABASE_PASSWORD_FILE", "/nonexistent/password"}});
}

TEST_F(CliTest, RunWaitsForTheSchemaAndSaysSoOnce) {
  Daemon daemon({database_.url(), kafka_, prefix_, "", {}});
  ASSERT_TRUE(daemon.process().wait_line("waiting for the schema", 10s));
  ASSERT_TRUE(eventually(10s, [&] { return daemon.get("/readyz").has_value(); }));
  EXPECT_EQ(daemon.get("/readyz")->status, 503);
  migrate(database_.url());
  EXPECT_TRUE(daemon.wait_ready());
  const auto lines = lines_of(daemon.process().standard_error());
  EXPECT_EQ(std::ranges::count_if(
                lines, [](const auto& l) { return l.find("waiting for") != std::string::npos; }),
            1);
}

TEST(CliServerTest, RunWaitsForTheServerAndRefusesAWrongPassword) {
  OwnPostgres server;
  auto admin = Connection(server.url());
  admin.exec(std::string("CREATE ROLE relevo_test SUPERUSER LOGIN PASSWORD '") + kSecret + "'");
  const auto rules = server.data_directory() + "/pg_hba.conf";
  std::stringstream trusting;
  trusting << std::ifstream(rules).rdbuf();
  std::ofstream(rules, std::ios::trunc) << "host all relevo_test 127.0.0.1/32 scram-sha-256\n"
                                        << trusting.str();
  admin.exec("SELECT pg_reload_conf()");
  const auto user = with_user(server.url(), "relevo_test");
  const auto kafka = required_environment("RELEVO_TEST_KAFKA");
  const Process::Environment wrong{
      {"RELEVO_DATABASE_URL", with_password(user, "wrong-" + std::string(kSecret))},
      {"RELEVO_KAFKA_BOOTSTRAP_SERVERS", kafka},
      {"RELEVO_HTTP_LISTEN", "127.0.0.1:0"},
      {"RELEVO_LOG_FORMAT", "json"}};
  ASSERT_TRUE(eventually(10s, [&] { return call({"migrate"}, wrong).code == 3; }));
  const auto refused = call({"run"}, wrong);
  EXPECT_EQ(refused.code, 3);
  EXPECT_LT(refused.took, 10s);
  EXPECT_THAT(error_lines(refused.err), ElementsAre(HasSubstr("password authentication failed")));
  const auto asking = call({"status"}, wrong);
  EXPECT_EQ(asking.code, 3);
  EXPECT_THAT(lines_of(asking.err), ElementsAre(HasSubstr("database.password_file")));
  const auto checking = call({"check"}, wrong);
  EXPECT_EQ(checking.code, 3);
  EXPECT_THAT(refused.err + asking.err + checking.out + checking.err, Not(HasSubstr(kSecret)));

  const auto right = with_password(user, kSecret);
  migrate(right);
  server.stop();
  EXPECT_EQ(call({"status"}, {{"RELEVO_DATABASE_URL", right}}).code, 4);
  Daemon daemon({right, kafka, unique_name("cli-"), "", {}});
  ASSERT_TRUE(daemon.process().wait_line("outage", 10s));
  EXPECT_FALSE(daemon.ready());
  server.start();
  EXPECT_TRUE(daemon.wait_ready(40s));
  const auto log = daemon.process().standard_error();
  EXPECT_THAT(log, Not(HasSubstr(kSecret)));
  const auto lines = lines_of(log);
  EXPECT_EQ(std::ranges::count_if(lines,
                                  [](const auto& line) {
                                    return line.find(R"("outage","of":"postgres")") !=
                                           std::string::npos;
                                  }),
            1)
      << log;
}

// ---- mistakes on the command line

struct Mistake {
  std::vector<std::string> arguments;
  std::string hint;
};

class CliUsageTest : public testing::TestWithParam<Mistake> {};

TEST_P(CliUsageTest, EndsWithTwoAndOneLine) {
  const auto outcome = call(GetParam().arguments);
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(lines_of(outcome.err),
              ElementsAre(AllOf(StartsWith("relevo: "), HasSubstr(GetParam().hint))));
}

INSTANTIATE_TEST_SUITE_P(
    , CliUsageTest,
    testing::Values(
        Mistake{{}, "relevo --help"}, Mistake{{"stauts"}, "did you mean `status`"},
        Mistake{{"migrate", "--statsu"}, "did you mean `--status`"},
        Mistake{{"outbox", "tial"}, "did you mean `tail`"},
        Mistake{{"run", "--confg", "x"}, "did you mean `--config`"},
        Mistake{{"outbox", "dead", "retry"}, "--aggregate"},
        Mistake{{"outbox", "dead", "retry", "x1"}, "x1"},
        Mistake{{"outbox", "dead", "retry", "--all", "1"}, "--all"},
        Mistake{{"outbox", "dead", "retry", "--reason", "queued_behind"}, "earlier one"},
        Mistake{{"outbox", "dead", "skip", "--aggregate", "order"}, "TYPE/ID"},
        Mistake{{"outbox", "dead", "list", "--state", "lost"}, "parked"},
        Mistake{{"outbox", "dead", "list", "--limit", "0"}, "--limit"},
        Mistake{{"outbox", "publish", "order", "1", "Paid"}, "--tombstone"},
        Mistake{{"outbox", "publish", "order", "1", "Paid", "{}", "--header", "x"}, "NAME=VALUE"},
        Mistake{{"outbox", "publish", "order", "1", "Paid", "@/none"}, "/none"},
        Mistake{{"outbox", "publish", "order", "1", "Paid", "{}", "--tombstone"}, "excludes"}));

TEST_F(CliTest, HelpAndVersionsNeedNothing) {
  for (const auto& command :
       std::vector<std::vector<std::string>>{{"--help"},
                                             {"run", "--help"},
                                             {"outbox", "dead", "retry", "-h"},
                                             {"--version"},
                                             {"version"}}) {
    const auto outcome = call(command);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.err, "");
    EXPECT_NE(outcome.out, "");
  }
  EXPECT_THAT(call({"--help"}).out, HasSubstr("Exit codes:"));
  const auto versions = relevo_json({"version", "--json"});
  for (const auto* key : {"version", "schema_version", "librdkafka", "libpq"})
    EXPECT_TRUE(versions.contains(key));
}

TEST_F(CliTest, AReaderThatGoesAwayIsNoFailure) {
  const auto bin = required_environment("RELEVO_BIN");
  EXPECT_EQ(run({"bash", "-c", "set -o pipefail; " + bin + " migrate --print | head -n 1"}),
            "-- Schema of relevo, version " +
                std::to_string(relevo_json({"version", "--json"})["schema_version"].get<int>()) +
                ". Run as the owner; each migration in its own transaction.\n");
}

TEST_F(CliTest, AFullDiskBehindStandardOutputIsAFailure) {
  const auto bin = required_environment("RELEVO_BIN");
  Process process({"bash", "-c", bin + " migrate --print > /dev/full"});
  const auto exit = process.wait(10s);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->code, 1);
  EXPECT_THAT(process.standard_error(), HasSubstr("standard output"));
}

// ---- check, status

TEST_F(CliTest, CheckTellsWhatItFinds) {
  const auto before = relevo({"check"});
  EXPECT_EQ(before.code, 3);
  EXPECT_THAT(before.out, AllOf(HasSubstr(":***@"),
                                HasSubstr("error    schema: is not there; run `relevo migrate`"),
                                HasSubstr("ok       Kafka: ")));
  migrate(database_.url());
  EXPECT_EQ(relevo({"outbox", "publish", "order", "1", "Paid", "{}"}).code, 0);
  EXPECT_EQ(
      relevo({"outbox", "publish", "order", "1", "Paid", "{}", "--topic", prefix_ + ".named"}).code,
      0);
  const auto found = relevo_json({"check", "--json"});
  EXPECT_EQ(found.at("ok"), true);
  EXPECT_EQ(found.at("configuration").at("relay").at("shards"), 8);
  std::map<std::string, std::string> levels;
  for (const auto& finding : found.at("findings")) levels[finding.at("what")] = finding.at("level");
  for (const auto* what : {"PostgreSQL", "system identifier", "clock", "schema", "sequence of ids",
                           "shards", "partitions", "Kafka"}) {
    EXPECT_EQ(levels[what], "ok") << what;
  }
  EXPECT_TRUE(levels.contains("topic " + prefix_ + ".order"));
  EXPECT_TRUE(levels.contains("topic " + prefix_ + ".named"));

  database_.connect().exec("ALTER SEQUENCE relevo.outbox_id_seq CACHE 10");
  const auto cached = relevo({"check"});
  EXPECT_EQ(cached.code, 3);
  EXPECT_THAT(cached.out, HasSubstr("error    sequence of ids: CACHE 10"));
}

TEST_F(CliTest, CheckLooksAtTheTopicsOfSubscriptions) {
  migrate(database_.url());
  const auto there = prefix_ + ".there";
  KafkaAdmin(kafka_).create_topic(there, 3);
  const TemporaryDirectory directory("relevo-cli-");
  const auto file = (directory.path() / "relevo.yaml").string();
  const auto source = prefix_ + ".gone", dead = prefix_ + ".dead";
  std::ofstream(file) << "subscriptions: [{name: s, topics: [" << there << ", " << source
                      << "], enqueue: k, dead_letter_topic: " << dead << "}]\n";
  const auto found = relevo({"check", "-c", file});
  EXPECT_EQ(found.code, 0) << found.err;
  EXPECT_THAT(found.out,
              AllOf(HasSubstr("ok       topic " + there + " of subscription s: 3 partitions\n"),
                    HasSubstr("\nwarning  topic " + source + " of subscription s: "),
                    HasSubstr("\nwarning  dead letter topic " + dead + " of subscription s: ")));
  const auto created = relevo({"check", "-c", file}, {{"RELEVO_KAFKA_TOPICS_CREATE", "true"}});
  EXPECT_THAT(created.out, HasSubstr("\nnote     dead letter topic " + dead));
}

TEST_F(CliTest, CheckTellsAllMistakesOfTheConfiguration) {
  const auto outcome =
      relevo({"check", "--json"}, {{"RELEVO_RELAY_SHARDS", "7"}, {"RELEVO_LOG_LEVEL", "loud"}});
  EXPECT_EQ(outcome.code, 3);
  const auto found = json::parse(outcome.out);
  EXPECT_EQ(found.at("ok"), false);
  EXPECT_EQ(found.at("findings").size(), 2U);
}

TEST_F(CliTest, CheckRefusesHandlersThatTheDaemonWouldRefuse) {
  const TemporaryDirectory directory("relevo-cli-");
  const auto file = (directory.path() / "relevo.yaml").string();
  const auto check = [&](const std::string& yaml) {
    std::ofstream(file) << yaml;
    const auto outcome = relevo({"check", "-c", file});
    EXPECT_EQ(outcome.code, 3);
    return outcome.out;
  };
  EXPECT_THAT(
      check("subscriptions: [{name: s, topics: [t], handler: nope}]\n"),
      HasSubstr("error    handlers: subscription s: handler \"nope\" is not in this program"));
  EXPECT_THAT(check("kinds: [{kind: sample.welcom, max_attempts: 3}]\n"),
              HasSubstr("error    handlers: kinds: no handler does \"sample.welcom\"; correct"));
}

TEST_F(CliTest, CheckDoesNotHangOnServersThatDoNotAnswer) {
  const SilentPort silent;
  const auto outcome =
      relevo({"check"}, {{"RELEVO_DATABASE_URL",
                          "postgresql://u:" + std::string(kSecret) + "@" + silent.address() + "/d"},
                         {"RELEVO_KAFKA_BOOTSTRAP_SERVERS", silent.address()}});
  EXPECT_EQ(outcome.code, 4);
  EXPECT_LT(outcome.took, 12s);
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("error    PostgreSQL: "), HasSubstr("error    Kafka: ")));
}

TEST_F(CliTest, CommandsSayWhatToDoWhenTheSchemaIsMissing) {
  for (const auto& command :
       std::vector<std::vector<std::string>>{{"status"},
                                             {"outbox", "dead", "list"},
                                             {"outbox", "publish", "order", "1", "Paid", "{}"}}) {
    const auto outcome = relevo(command);
    EXPECT_EQ(outcome.code, 3);
    EXPECT_THAT(lines_of(outcome.err), ElementsAre(HasSubstr("run `relevo migrate`")));
  }
}

TEST_F(CliTest, StatusShowsWhoWorksAndWhatIsLeft) {
  migrate(database_.url());
  for (int i = 0; i < 3; ++i) relevo({"outbox", "publish", "order", "1", "Paid", "{}"});
  const auto idle = relevo_json({"status", "--json"});
  EXPECT_EQ(idle.at("backlog").at("events"), 3);
  EXPECT_EQ(idle.at("backlog").at("exact"), true);
  EXPECT_GT(idle.at("backlog").at("oldest_age_seconds"), 0.0);
  EXPECT_EQ(idle.at("shards").size(), 8U);
  EXPECT_TRUE(idle.at("replicas").empty());

  Daemon daemon({database_.url(), kafka_, prefix_, "one", {}});
  ASSERT_TRUE(daemon.wait_ready());
  json busy;
  EXPECT_TRUE(eventually(20s, [&] {
    busy = relevo_json({"status", "--json"});
    return busy.at("backlog").at("events") == 0 && busy.at("shards").at(7).at("holder") == "one";
  })) << busy.dump();
  EXPECT_EQ(busy.at("replicas").at(0).at("id"), "one");
  EXPECT_THAT(relevo({"status"}).out, AllOf(HasSubstr("backlog:     0 events"), HasSubstr("one"),
                                            HasSubstr("dead events: none")));

  Process watching({required_environment("RELEVO_BIN"), "status", "--watch", "--json"},
                   environment());
  ASSERT_TRUE(eventually(20s, [&] { return lines_of(watching.standard_output()).size() >= 2; }));
  watching.signal(SIGINT);
  const auto exit = watching.wait(5s);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->code, 0);
  const auto second = json::parse(lines_of(watching.standard_output()).at(1));
  EXPECT_TRUE(second.at("published_per_second").is_number());
}

// ---- publish, tail

TEST_F(CliTest, WhatIsPublishedIsSeenByTail) {
  migrate(database_.url());
  Daemon daemon({database_.url(), kafka_, prefix_, "", {}});
  const auto id = relevo_json({"outbox", "publish", "order", "4 2", "Paid", R"({"total": 1})",
                               "--header", "a=b=c", "--tenant", "acme", "--json"})
                      .at("event_id");
  EXPECT_EQ(relevo({"outbox", "publish", "order", "4 2", "Forgotten", "--tombstone"}).code, 0);
  const auto seen =
      relevo({"outbox", "tail", "--from-beginning", "--limit", "2", "--json", "--payload"});
  ASSERT_EQ(seen.code, 0) << seen.err;
  const auto lines = lines_of(seen.out);
  ASSERT_EQ(lines.size(), 2U);
  const auto first = json::parse(lines[0]);
  EXPECT_EQ(first.at("topic"), prefix_ + ".order");
  EXPECT_EQ(first.at("key"), "4 2");
  EXPECT_EQ(first.at("type"), "Paid");
  EXPECT_EQ(first.at("id"), id);
  EXPECT_EQ(first.at("payload"), R"({"total": 1})");
  EXPECT_EQ(first.at("headers").at("a"), "b=c");
  EXPECT_EQ(first.at("headers").at("ce_tenant"), "acme");
  EXPECT_TRUE(json::parse(lines[1]).at("payload").is_null());
  const auto text =
      relevo({"outbox", "tail", "--from-beginning", "--limit", "1", "--topic", prefix_ + ".*"});
  EXPECT_THAT(text.out, AllOf(HasSubstr(prefix_ + ".order/"),
                              HasSubstr("@0  4 2  Paid  " + id.get<std::string>()),
                              HasSubstr("12 B"), Not(HasSubstr("total"))));
}

TEST_F(CliTest, TailEndsWithCtrlC) {
  migrate(database_.url());
  Daemon daemon({database_.url(), kafka_, prefix_, "", {}});
  relevo({"outbox", "publish", "order", "1", "Paid", "{}"});
  Process tail({required_environment("RELEVO_BIN"), "outbox", "tail", "--from-beginning"},
               environment());
  ASSERT_TRUE(eventually(20s, [&] { return !tail.standard_output().empty(); }));
  tail.signal(SIGINT);
  const auto exit = tail.wait(5s);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->code, 0);
}

TEST_F(CliTest, TailSaysWhenNoBrokerAnswers) {
  const SilentPort silent;
  const auto outcome =
      relevo({"outbox", "tail"}, {{"RELEVO_KAFKA_BOOTSTRAP_SERVERS", silent.address()}});
  EXPECT_EQ(outcome.code, 4);
  EXPECT_THAT(lines_of(outcome.err), ElementsAre(HasSubstr("kafka.bootstrap_servers")));
}

// ---- dead events

class CliDeadTest : public CliTest {
 protected:
  void SetUp() override {
    if (environment_kind() != "kafka")
      GTEST_SKIP() << "the mock cluster creates any topic and knows no limits";
    migrate(database_.url());
    admin_.emplace(kafka_);
  }

  static std::string environment_kind() {
    return test::environment("RELEVO_TEST_KAFKA_KIND").value_or("kafka");
  }

  DaemonOptions daemon_options() const {
    return {database_.url(), kafka_, prefix_, "", {{"RELEVO_KAFKA_TOPICS_CREATE", "false"}}};
  }

  void publish(const std::string& type, const std::string& id, const std::string& payload,
               const std::string& topic = "") {
    std::vector<std::string> arguments{"outbox", "publish", type, id, "Changed", payload};
    if (!topic.empty()) arguments.insert(arguments.end(), {"--topic", topic});
    const auto outcome = relevo(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
  }

  json dead(std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), {"outbox", "dead", "list", "--json"});
    return relevo_json(arguments);
  }

  // Waits until so many are listed.
  json wait_dead(std::size_t count, const std::vector<std::string>& arguments = {}) {
    json found;
    EXPECT_TRUE(eventually(30s, [&] {
      found = dead(arguments);
      return found.size() == count;
    })) << found.dump(2);
    return found;
  }

  std::vector<std::string> payloads(const std::string& topic, std::size_t count) {
    std::vector<std::string> values;
    for (const auto& record : read_topic(kafka_, topic, count, 30s))
      values.push_back(record.value.value_or(""));
    return values;
  }

  std::optional<KafkaAdmin> admin_;
};

TEST_F(CliDeadTest, AMissingTopicHoldsUpItsAggregatesOnlyAndGoesOnWhenItIsThere) {
  admin_->create_topic(prefix_ + ".good", 2);
  Daemon daemon(daemon_options());
  ASSERT_TRUE(daemon.wait_ready());
  for (const auto* payload : {"1", "2", "3"}) publish("late", "a", payload);
  publish("good", "b", "4");
  EXPECT_THAT(payloads(prefix_ + ".good", 1), ElementsAre("4"));

  const auto parked = wait_dead(3);
  EXPECT_EQ(parked[0].at("reason"), "unknown_topic");
  EXPECT_EQ(parked[0].at("topic"), prefix_ + ".late");
  EXPECT_EQ(parked[1].at("reason"), "queued_behind");
  const auto text = relevo({"outbox", "dead", "list", "--limit", "1"});
  EXPECT_THAT(text.out, AllOf(HasSubstr("unknown_topic"), HasSubstr("late/a"),
                              Not(HasSubstr("queued_behind"))));
  EXPECT_THAT(text.err, HasSubstr("--after " + parked[0].at("id").dump()));

  const auto pointless = relevo({"outbox", "dead", "retry", parked[1].at("id").dump(), "999999"});
  EXPECT_EQ(pointless.code, 1);
  EXPECT_THAT(lines_of(pointless.err),
              ElementsAre(HasSubstr("queues behind event " + parked[0].at("id").dump()),
                          HasSubstr("999999: is no dead event")));
  EXPECT_EQ(relevo_json({"status", "--json"}).at("waiting_aggregates"), 1);

  admin_->create_topic(prefix_ + ".late", 1);
  EXPECT_THAT(payloads(prefix_ + ".late", 3), ElementsAre("1", "2", "3"));
  wait_dead(0);
}

TEST_F(CliDeadTest, ASkippedEventIsLeftOutAndThoseBehindItFollowInOrder) {
  admin_->create_topic(prefix_ + ".good", 2);
  Daemon daemon(daemon_options());
  ASSERT_TRUE(daemon.wait_ready());
  publish("good", "a", "1", prefix_ + ".nowhere");
  for (const auto* payload : {"2", "3", "4"}) publish("good", "a", payload);
  const auto parked = wait_dead(4);

  const auto careless = relevo({"outbox", "dead", "skip", "--aggregate", "good/a"});
  EXPECT_EQ(careless.code, 2);
  EXPECT_THAT(lines_of(careless.err),
              ElementsAre(AllOf(HasSubstr("4 events"), HasSubstr("--yes"))));
  EXPECT_EQ(dead({"--state", "skipped"}).size(), 0U);

  const auto first = parked[0].at("id");
  EXPECT_EQ(relevo_json({"outbox", "dead", "skip", first.dump(), "--json"}).at("skipped"),
            json::array({first}));
  EXPECT_THAT(payloads(prefix_ + ".good", 3), ElementsAre("2", "3", "4"));
  EXPECT_EQ(wait_dead(1)[0].at("state"), "skipped");
  EXPECT_EQ(relevo({"outbox", "dead", "skip", first.dump()}).code, 1);
}

TEST_F(CliDeadTest, SeveralEventsAreSkippedWhenThatIsMeant) {
  Daemon daemon(daemon_options());
  ASSERT_TRUE(daemon.wait_ready());
  for (const auto* payload : {"1", "2"}) publish("late", "a", payload);
  wait_dead(2);
  const auto skipped = relevo({"outbox", "dead", "skip", "--aggregate", "late/a", "--yes"});
  EXPECT_EQ(skipped.code, 0) << skipped.err;
  EXPECT_THAT(skipped.out, HasSubstr("skipped 2 events"));
  EXPECT_EQ(relevo({"outbox", "dead", "skip", "--aggregate", "late/a", "--yes"}).out,
            "no parked events match\n");
}

TEST_F(CliDeadTest, AnEventTooLargeForItsTopicIsPublishedAfterTheLimitWasRaised) {
  const auto topic = prefix_ + ".good";
  admin_->create_topic(topic, 1, {{"max.message.bytes", "20000"}});
  EXPECT_THAT(relevo({"check"}, {{"RELEVO_RELAY_TOPIC", topic}}).out,
              HasSubstr("warning  topic " + topic));
  Daemon daemon(daemon_options());
  ASSERT_TRUE(daemon.wait_ready());
  const auto large = "\"" + std::string(100'000, 'x') + "\"";
  publish("good", "a", large);
  publish("good", "a", "2");
  const auto parked = wait_dead(2);
  EXPECT_EQ(parked[0].at("reason"), "too_large");

  admin_->set(topic, "max.message.bytes", "1000000");
  // The relay learns of the new limit some time later, and parks what comes before.
  EXPECT_TRUE(eventually(
      90s,
      [&] {
        const auto outcome = relevo({"outbox", "dead", "retry", "--reason", "too_large"});
        EXPECT_EQ(outcome.code, 0) << outcome.err;
        return dead().empty();
      },
      1s));
  EXPECT_THAT(payloads(topic, 2), ElementsAre(large, "2"));
}

TEST_F(CliDeadTest, RetryAllReleasesWhatStandsInTheWayOfEveryAggregate) {
  Daemon daemon(daemon_options());
  ASSERT_TRUE(daemon.wait_ready());
  for (const auto* id : {"a", "b"}) {
    publish("late", id, "1");
    publish("late", id, "2");
  }
  const auto parked = wait_dead(4);
  ASSERT_TRUE(daemon.terminate());
  EXPECT_THAT(relevo({"outbox", "dead", "retry", "--aggregate", "late/b"}).out,
              HasSubstr("released 1 event;"));
  EXPECT_THAT(relevo({"outbox", "dead", "retry", "--all"}).out, HasSubstr("released 1 event;"));
  EXPECT_EQ(relevo({"outbox", "dead", "retry", "--all"}).out, "no parked events match\n");
  EXPECT_EQ(dead({"--state", "retry"}).size(), 2U);
  admin_->create_topic(prefix_ + ".late", 1);
  Daemon again(daemon_options());
  EXPECT_EQ(payloads(prefix_ + ".late", 4).size(), 4U);
  wait_dead(0);
}

TEST_F(CliDeadTest, ASkippedEventCanBePublishedAfterAll) {
  Daemon daemon(daemon_options());
  ASSERT_TRUE(daemon.wait_ready());
  publish("late", "a", "1");
  const auto id = wait_dead(1)[0].at("id").dump();
  EXPECT_EQ(relevo({"outbox", "dead", "skip", id}).code, 0);
  admin_->create_topic(prefix_ + ".late", 1);
  publish("late", "a", "2");
  EXPECT_THAT(payloads(prefix_ + ".late", 1), ElementsAre("2"));
  EXPECT_EQ(relevo({"outbox", "dead", "retry", id}).code, 0);
  EXPECT_THAT(payloads(prefix_ + ".late", 2), ElementsAre("2", "1"));
  wait_dead(0);
}

}  // namespace
}  // namespace relevo::test
