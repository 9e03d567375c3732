#include "child_process.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <system_error>
#include <thread>

namespace relevo {
namespace {

std::vector<std::string> shell(const char* script) { return {"/bin/sh", "-c", script}; }

TEST(ChildProcess, AnswersLineAfterLine) {
  ChildProcess child(shell("while read -r line; do echo \"got $line\"; done"));
  EXPECT_EQ(child.ask("one", {}).line, "got one");
  EXPECT_EQ(child.ask("two", {}).line, "got two");
}

TEST(ChildProcess, IsKnownToHaveEnded) {
  ChildProcess child(shell("read -r line; echo yes; kill -KILL $$"));
  EXPECT_FALSE(child.ended());
  EXPECT_EQ(child.ask("one", {}).line, "yes");
  while (!child.ended()) std::this_thread::yield();
  EXPECT_EQ(child.how_it_ended(), "its process was ended by signal 9 (Killed)");
}

TEST(ChildProcess, TakesALineLongerThanAPipeHolds) {
  ChildProcess child(shell("while read -r line; do echo \"${#line}\"; done"));
  EXPECT_EQ(child.ask(std::string(300'000, 'x'), {}).line, "300000");
}

TEST(ChildProcess, TellsHowItEnded) {
  ChildProcess killed(shell("read -r line; kill -ABRT $$"));
  EXPECT_FALSE(killed.ask("job", {}).line);
  EXPECT_EQ(killed.how_it_ended(), "its process was ended by signal 6 (Aborted)");
  ChildProcess left(shell("read -r line; exit 3"));
  EXPECT_FALSE(left.ask("job", {}).line);
  EXPECT_EQ(left.how_it_ended(), "its process ended with exit code 3 and no answer");
}

TEST(ChildProcess, ThatHasEndedBeforeItIsAskedGivesNoAnswer) {
  std::signal(SIGPIPE, SIG_IGN);
  ChildProcess child(shell("exec 0<&-; exit 0"));
  EXPECT_FALSE(child.ask(std::string(300'000, 'x'), {}).line);
  EXPECT_EQ(child.how_it_ended(), "its process ended with exit code 0 and no answer");
}

TEST(ChildProcess, IsToldToStopAndMayStillAnswer) {
  ChildProcess child(shell("trap 'echo stopped; exit 0' TERM; while :; do sleep 0.01; done"));
  std::stop_source stop;
  stop.request_stop();
  // The signal may come before the shell knows its trap; then it just ends.
  const auto reply = child.ask("job", stop.get_token());
  EXPECT_TRUE(reply.told_to_stop);
  if (reply.line) {
    EXPECT_EQ(reply.line, "stopped");
  }
}

TEST(ChildProcess, ThatSaysTooMuchIsEnded) {
  ChildProcess child(shell("read -r line; head -c 3000000 /dev/zero; sleep 60"));
  EXPECT_FALSE(child.ask("job", {}).line);
  EXPECT_EQ(child.how_it_ended(), "its process was ended by signal 9 (Killed)");
}

TEST(ChildProcess, OfAProgramThatIsNotThereIsAnError) {
  EXPECT_THROW(ChildProcess({"/nonexistent/program"}), std::system_error);
}

}  // namespace
}  // namespace relevo
