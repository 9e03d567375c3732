// What `relevo check` and every command say of schedules whose times are none: at which line, what,
// and what to do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "relevo/config/load.hpp"
#include "support/environment.hpp"
#include "wiring.hpp"

namespace relevo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ScheduleProblems : public testing::Test {
 protected:
  std::vector<std::string> lines(const std::string& when) const {
    std::ofstream(file_) << "schedules:\n  - name: nightly\n    kind: report.build\n    " << when
                         << "\n";
    std::vector<std::string> lines;
    for (const auto& problem : config::load({file_, {}, schedule_problems}).errors) {
      lines.push_back(problem.line().substr(directory_.path().string().size() + 1));
    }
    return lines;
  }

  const test::TemporaryDirectory directory_{"relevo-schedules-"};
  const std::string file_ = (directory_.path() / "relevo.yaml").string();
};

struct Wrong {
  const char* when;
  const char* line;  // with its file and line
};

constexpr Wrong kWrong[] = {
    {"cron: '0 0 30 2 *'", "relevo.yaml:4: schedules[0].cron: \"0 0 30 2 *\": "},
    {"cron: '61 * * * *'", "minute \"61\": is out of range; give "},
    {"cron: 'every day'", "has 2 fields; give minute, hour"},
    {"cron: '@often'", "there is no such short form; give @yearly"},
    {"cron: '0 3 * * *'\n    time_zone: Europe/Madrit",
     "relevo.yaml:5: schedules[0].time_zone: \"Europe/Madrit\": "},
    {"every: 1h\n    time_zone: Mars/Olympus", "relevo.yaml:5: schedules[0].time_zone: "},
    {"every: 10ms", "relevo.yaml:4: schedules[0].every: "},
    {"every: 0", "relevo.yaml:4: schedules[0].every: "},
    {"every: soon", "relevo.yaml:4: schedules[0].every: "},
    {"at: '2027-02-30T08:00:00Z'", "relevo.yaml:4: schedules[0].at: "},
    {"at: infinity", "relevo.yaml:4: schedules[0].at: "},
    {"at: '12027-01-01T08:00:00Z'", "relevo.yaml:4: schedules[0].at: "},
    {"cron: '0 3 * * *'\n    every: 1h", "only one of cron, every and at"},
    {"at: '2200-01-01T00:00:00Z'",
     "relevo.yaml:4: schedules[0].at: 2200-01-01T00:00:00.000Z never fires: nothing is computed "
     "beyond the year 2199; give an earlier time"},
    {"at: '9999-12-31T00:00:00Z'", "relevo.yaml:4: schedules[0].at: 9999-12-31T"},
    {"queue: mail", "one of cron, every and at is needed"},
};

TEST_F(ScheduleProblems, AreOneLineWithItsPlace) {
  for (const auto& [when, line] : kWrong) EXPECT_THAT(lines(when), ElementsAre(HasSubstr(line)));
}

TEST_F(ScheduleProblems, OfSeveralAreToldAtOnce) {
  EXPECT_THAT(lines("cron: '0 0 31 4 *'\n    time_zone: Nowhere"),
              ElementsAre(HasSubstr("time_zone"), HasSubstr("cron")));
}

TEST_F(ScheduleProblems, AreNoneOfWhatFires) {
  for (const char* when :
       {"cron: '0 0 29 2 *'", "cron: '@daily'\n    time_zone: Europe/Madrid", "every: 365d",
        "at: '0001-01-01T00:00:00Z'", "at: '2199-12-31T23:59:59Z'"}) {
    EXPECT_THAT(lines(when), IsEmpty()) << when;
  }
}

}  // namespace
}  // namespace relevo
