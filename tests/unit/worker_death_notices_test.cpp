// What the log says of jobs that die, few or many at a time.
#include "death_notices.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>
#include <vector>

#include "relevo/core/overloaded.hpp"
#include "support/relay_fakes.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// Lines with their fields, as text.
class FullLog final : public core::Log {
 public:
  void write(core::Level, std::string_view message, std::span<const core::Field> fields) override {
    std::string line(message);
    for (const auto& field : fields) {
      line += " " + std::string(field.key) + "=";
      line += std::visit(core::Overloaded{[](std::string_view text) { return std::string(text); },
                                          [](auto number) { return std::to_string(number); }},
                         field.value);
    }
    lines.push_back(std::move(line));
  }
  std::vector<std::string> take() { return std::exchange(lines, {}); }

  std::vector<std::string> lines;
};

struct Notices {
  void tell(JobId id) {
    JobRow row;
    row.at.id = id;
    row.kind = "mail.send";
    row.queue = "mail";
    notices.tell(row, "dead", "no");
  }
  void tell_many(int jobs) {
    for (int i = 0; i < jobs; ++i) tell(i);
  }

  FullLog log;
  test::FakeClock clock;
  DeathNotices notices{log, clock};
};

TEST(WorkerDeathNotices, SayWhichJobDiedAndWhy) {
  Notices n;
  n.tell(7);
  EXPECT_THAT(n.log.take(),
              ElementsAre("job died job=7 kind=mail.send queue=mail state=dead reason=no"));
}

TEST(WorkerDeathNotices, AreNoMoreThanTenASecond) {
  Notices n;
  n.tell_many(1'000);
  EXPECT_THAT(n.log.take(), SizeIs(10));
  n.clock.advance(999ms);
  n.tell(1);
  EXPECT_THAT(n.log.take(), IsEmpty());
}

TEST(WorkerDeathNotices, CountTheOthersOnceTheSecondIsOver) {
  Notices n;
  n.tell_many(35);
  n.log.take();
  n.clock.advance(1s);
  n.tell_many(2);
  auto lines = n.log.take();
  ASSERT_THAT(lines, SizeIs(3));
  EXPECT_EQ(lines.front(), "more jobs died jobs=25");
  n.clock.advance(1s);
  n.tell(1);
  EXPECT_THAT(n.log.take(), SizeIs(1)) << "nothing was left unsaid";
}

}  // namespace
}  // namespace relevo::worker
