#include "support/program.hpp"

#include <algorithm>
#include <utility>

#include "support/daemon.hpp"
#include "support/environment.hpp"

namespace relevo::test {

using namespace std::chrono_literals;

Outcome call(std::vector<std::string> arguments, const Process::Environment& environment) {
  arguments.insert(arguments.begin(), required_environment("RELEVO_BIN"));
  const auto start = std::chrono::steady_clock::now();
  Process process(std::move(arguments), environment);
  const auto exit = process.wait(60s);
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - start);
  return {exit ? exit->code : -1, process.standard_output(), process.standard_error(), took};
}

ProgramTest::ProgramTest(std::vector<std::string> command)
    : database_(required_environment("RELEVO_TEST_POSTGRES")),
      sql_(database_.connect()),
      command_(std::move(command)) {
  migrate(database_.url());
}

Process::Environment ProgramTest::environment() const {
  return {{"RELEVO_DATABASE_URL", database_.url()},
          {"RELEVO_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"}};
}

std::vector<std::string> ProgramTest::under(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), command_.begin(), command_.end());
  return arguments;
}

Outcome ProgramTest::call(std::vector<std::string> arguments) const {
  return test::call(under(std::move(arguments)), environment());
}

Outcome ProgramTest::call_as(const std::string& role, std::vector<std::string> arguments) {
  const auto user = unique_name("user_");
  sql_.exec("CREATE ROLE " + user + " LOGIN IN ROLE " + role);
  auto limited = environment();
  limited["RELEVO_DATABASE_URL"] = with_user(database_.url(), user);
  auto outcome = test::call(under(std::move(arguments)), limited);
  sql_.exec("DROP ROLE " + user);
  return outcome;
}

std::string ProgramTest::done(std::vector<std::string> arguments) const {
  const auto outcome = call(std::move(arguments));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  return outcome.out;
}

nlohmann::json ProgramTest::answer(std::vector<std::string> arguments) const {
  arguments.emplace_back("--json");
  return nlohmann::json::parse(done(std::move(arguments)));
}

void ProgramTest::expect_refused(std::vector<std::string> arguments, int code,
                                 const std::string& hint) const {
  const auto asked = testing::PrintToString(arguments);
  const auto outcome = call(std::move(arguments));
  EXPECT_EQ(outcome.code, code) << asked << outcome.err;
  EXPECT_EQ(outcome.out, "") << asked;
  EXPECT_TRUE(outcome.err.starts_with("relevo: ")) << asked << outcome.err;
  EXPECT_NE(outcome.err.find(hint), std::string::npos) << asked << outcome.err;
  EXPECT_EQ(outcome.err.find("this is a bug"), std::string::npos) << asked << outcome.err;
  EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << asked << outcome.err;
}

}  // namespace relevo::test
