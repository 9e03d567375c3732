#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>
#include <chrono>
#include <csignal>
#include <limits>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "relevo/logging/make_log.hpp"

namespace relevo::logging {
namespace {

using namespace std::chrono_literals;
using core::Level;

class Pipe {
 public:
  Pipe() {
    std::signal(SIGPIPE, SIG_IGN);
    EXPECT_EQ(::pipe2(ends_, O_CLOEXEC), 0);
    EXPECT_EQ(::fcntl(ends_[0], F_SETFL, O_NONBLOCK), 0);
  }
  ~Pipe() {
    close_reader();
    ::close(ends_[1]);
  }

  int writer() const { return ends_[1]; }
  void close_reader() {
    if (ends_[0] >= 0) ::close(std::exchange(ends_[0], -1));
  }
  std::string read() {
    std::string text;
    char block[4096];
    for (ssize_t got = 0; (got = ::read(ends_[0], block, sizeof block)) > 0;) {
      text.append(block, static_cast<std::size_t>(got));
    }
    return text;
  }

 private:
  int ends_[2]{-1, -1};
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t begin = 0;
  for (auto end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

TEST(JsonLog, WritesTimeLevelMessageThenFields) {
  Pipe pipe;
  const auto log = make_log({Level::kDebug, Format::kJson, pipe.writer()});
  log->info("shard taken",
            {{"shard", 3}, {"epoch", std::int64_t{9}}, {"lag", 1.5}, {"new", true}, {"by", "a-1"}});
  const std::string line = pipe.read();
  EXPECT_TRUE(std::regex_match(
      line,
      std::regex(
          R"(\{"ts":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z","level":"info","msg":"shard taken",)"
          R"("shard":3,"epoch":9,"lag":1\.5,"new":true,"by":"a-1"\}\n)")))
      << line;
}

TEST(JsonLog, StaysOneValidLineWhateverItContains) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  const std::vector<std::string> contents{"quote \" backslash \\ newline \n return \r tab \t",
                                          bytes,
                                          std::string("\0", 1),
                                          "\xc3\xa9 \xf0\x9f\x98\x80",
                                          "\xc3",
                                          "\xed\xa0\x80",
                                          "\xc0\xaf",
                                          "\xf5\x80\x80\x80",
                                          "\xe2\x80\xa8",
                                          "\x1b[31m",
                                          "\xc2\x9b"
                                          "31m",
                                          std::string(10'000, '"')};
  for (const std::string& content : contents) {
    Pipe pipe;
    make_log({Level::kInfo, Format::kJson, pipe.writer()})
        ->warn(content, {{"value", content}, {content, 1}});
    const std::string text = pipe.read();
    ASSERT_EQ(lines_of(text).size(), 1U) << text;
    const auto json = nlohmann::json::parse(text);
    EXPECT_EQ(json["msg"], json["value"]);
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    EXPECT_EQ(text.find("\xc2\x9b"), std::string::npos);
  }
}

TEST(JsonLog, KeepsValidTextAndReplacesInvalid) {
  Pipe pipe;
  make_log({Level::kInfo, Format::kJson, pipe.writer()})
      ->info("a\nb\"\xc3\xa9", {{"x",
                                 "1\xff"
                                 "2"}});
  const auto json = nlohmann::json::parse(pipe.read());
  EXPECT_EQ(json["msg"], "a\nb\"\xc3\xa9");
  EXPECT_EQ(json["x"],
            "1\xef\xbf\xbd"
            "2");
}

TEST(JsonLog, FieldsCannotReplaceTheLinesOwnKeys) {
  Pipe pipe;
  make_log({Level::kInfo, Format::kJson, pipe.writer()})
      ->info("m", {{"level", "x"}, {"msg", "y"}, {"ts", 1}});
  const auto json = nlohmann::json::parse(pipe.read());
  EXPECT_EQ(json["level"], "info");
  EXPECT_EQ(json["msg"], "m");
  EXPECT_EQ(json["field_level"], "x");
}

TEST(JsonLog, NumbersWithoutAJsonFormAreNull) {
  Pipe pipe;
  make_log({Level::kInfo, Format::kJson, pipe.writer()})
      ->info("m", {{"nan", std::numeric_limits<double>::quiet_NaN()},
                   {"inf", std::numeric_limits<double>::infinity()}});
  const auto json = nlohmann::json::parse(pipe.read());
  EXPECT_TRUE(json["nan"].is_null());
  EXPECT_TRUE(json["inf"].is_null());
}

TEST(TextLog, QuotesWhatNeedsIt) {
  Pipe pipe;
  const auto log = make_log({Level::kInfo, Format::kText, pipe.writer()});
  log->info(
      "started",
      {{"a", "plain"}, {"b", "two words"}, {"c", ""}, {"d", "x=\"1\""}, {"e", "l\n"}, {"f", 0.25}});
  log->error("two\nlines");
  const auto lines = lines_of(pipe.read());
  ASSERT_EQ(lines.size(), 2U);
  const auto rest = [](const std::string& line) { return line.substr(line.find(' ') + 1); };
  EXPECT_EQ(rest(lines[0]),
            R"(INFO  started a=plain b="two words" c="" d="x=\"1\"" e="l\n" f=0.25)");
  EXPECT_EQ(rest(lines[1]), R"(ERROR two\nlines)");
}

TEST(LogOutput, WritesOnlyItsLevelAndAbove) {
  const std::vector<std::pair<Level, std::size_t>> cases{
      {Level::kDebug, 4}, {Level::kInfo, 3}, {Level::kWarn, 2}, {Level::kError, 1}};
  for (const auto& [level, expected] : cases) {
    Pipe pipe;
    const auto log = make_log({level, Format::kAuto, pipe.writer()});
    log->debug("m");
    log->info("m");
    log->warn("m");
    log->error("m");
    const auto lines = lines_of(pipe.read());
    EXPECT_EQ(lines.size(), expected);
    for (const std::string& line : lines)
      EXPECT_TRUE(nlohmann::json::accept(line)) << "a pipe gets JSON: " << line;
  }
}

TEST(LogOutput, SurvivesAClosedReader) {
  Pipe pipe;
  const auto log = make_log({Level::kInfo, Format::kJson, pipe.writer()});
  pipe.close_reader();
  for (int i = 0; i < 1'000; ++i) log->error("nobody listens");
  const auto closed = make_log({Level::kInfo, Format::kJson, -1});
  closed->error("no descriptor");
}

TEST(LogOutput, DropsInsteadOfWaitingForAStalledReaderAndRecovers) {
  Pipe pipe;
  const auto log = make_log({Level::kInfo, Format::kJson, pipe.writer(), 20ms});
  const auto begin = std::chrono::steady_clock::now();
  const std::string long_message(3'000, 'x');
  for (int i = 0; i < 200; ++i) log->info(long_message, {{"i", i}});
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);

  const auto before = lines_of(pipe.read());
  log->info("heard again");
  const std::string after = pipe.read();
  ASSERT_FALSE(before.empty());
  for (const std::string& line : before) EXPECT_TRUE(nlohmann::json::accept(line));
  // A line that was cut off is ended first.
  auto lines = lines_of(after);
  ASSERT_GE(lines.size(), 2U);
  EXPECT_EQ(nlohmann::json::parse(lines[lines.size() - 2])["msg"], "heard again");
  const auto notice = nlohmann::json::parse(lines.back());
  EXPECT_EQ(notice["msg"], "log lines were dropped");
  EXPECT_EQ(notice["lines"].get<std::size_t>(), 200 - before.size());
}

TEST(LogOutput, LinesOfSeveralThreadsDoNotMix) {
  Pipe pipe;
  const auto log = make_log({Level::kInfo, Format::kJson, pipe.writer()});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&log, t] {
      for (int i = 0; i < 50; ++i) log->info("m", {{"thread", t}, {"i", i}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto lines = lines_of(pipe.read());
  EXPECT_EQ(lines.size(), 200U);
  for (const std::string& line : lines) EXPECT_TRUE(nlohmann::json::accept(line)) << line;
}

TEST(LogOutput, KnowsTheNamesOfTheConfiguration) {
  EXPECT_EQ(parse_level("warn"), Level::kWarn);
  EXPECT_EQ(parse_level("WARN"), std::nullopt);
  EXPECT_EQ(parse_format("auto"), Format::kAuto);
  EXPECT_EQ(parse_format(""), std::nullopt);
}

}  // namespace
}  // namespace relevo::logging
