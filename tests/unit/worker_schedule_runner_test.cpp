// The loop of the runner against a table in memory, whose clock the test sets.
#include "relevo/worker/schedule_runner.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

#include "relevo/core/error.hpp"
#include "support/eventually.hpp"
#include "support/relay_fakes.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;
using core::WallTime;
using test::eventually;
using testing::ElementsAre;

// What several stores see.
class FakeTable {
 public:
  explicit FakeTable(WallTime now) : now_(now) {}

  void set_now(WallTime now) {
    std::lock_guard lock(mutex_);
    now_ = now;
  }
  void put(ScheduleRow row) {
    std::lock_guard lock(mutex_);
    rows_[row.name] = std::move(row);
  }
  std::vector<WallTime> fired() const {
    std::lock_guard lock(mutex_);
    return fired_;
  }
  // Whether the runner has looked at what there is now.
  bool looked_twice() {
    const int before = looks_;
    return eventually(10s, [&] { return looks_ >= before + 2; });
  }

  std::atomic<bool> away{false};

  class Store final : public ScheduleStore {
   public:
    explicit Store(FakeTable& table) : table_(table) {}

    DueSchedules due() override {
      if (table_.away) throw core::IntegrationError(core::ErrorKind::kDisconnected, "due", "away");
      std::lock_guard lock(table_.mutex_);
      ++table_.looks_;
      DueSchedules due;
      due.now = table_.now_;
      for (const auto& [name, row] : table_.rows_) {
        if (!row.next_tick || *row.next_tick <= table_.now_ + 2s) due.rows.push_back(row);
      }
      return due;
    }
    bool fire(const std::string& name, std::optional<WallTime> expected,
              std::optional<WallTime> next, std::span<const WallTime> ticks) override {
      std::lock_guard lock(table_.mutex_);
      auto& row = table_.rows_.at(name);
      if (row.next_tick != expected) return false;
      row.next_tick = next;
      for (const auto tick : ticks) {
        row.last_tick = tick;
        table_.fired_.push_back(tick);
      }
      return true;
    }
    void put_configured(const ScheduleDefinition& schedule) override {
      table_.put(
          {schedule.name, schedule.timing, schedule.missed, schedule.missed_max, false, {}, {}});
    }
    std::vector<std::string> remove_configured_except(std::span<const std::string>) override {
      return {};
    }

   private:
    FakeTable& table_;
  };

 private:
  mutable std::mutex mutex_;
  WallTime now_;
  std::map<std::string, ScheduleRow> rows_;
  std::vector<WallTime> fired_;
  std::atomic<int> looks_{0};
};

class NoMetrics final : public ScheduleMetrics {
 public:
  void schedule_fired(std::string_view, WallTime) override {}
  void schedule_missed(std::string_view, std::int64_t) override {}
  void schedules_broken(std::size_t) override {}
};

class ScheduleRunnerTest : public testing::Test {
 protected:
  static constexpr WallTime kNoon =
      std::chrono::sys_days{std::chrono::year{2026} / 1 / 15} + std::chrono::hours(12);

  ScheduleDefinition hourly() const {
    ScheduleDefinition schedule;
    schedule.name = "hourly";
    schedule.timing.cron = "0 * * * *";
    return schedule;
  }

  FakeTable table_{kNoon - 1us};
  NoMetrics metrics_;
  test::QuietLog log_;
  ScheduleRunner runner_{[this] { return std::make_unique<FakeTable::Store>(table_); },
                         {hourly()},
                         metrics_,
                         log_,
                         core::system_clock()};
};

TEST_F(ScheduleRunnerTest, FiresByTheClockOfTheDatabaseWhateverThisMachineSays) {
  runner_.start();
  ASSERT_TRUE(table_.looked_twice());
  EXPECT_TRUE(table_.fired().empty());  // a microsecond is missing
  table_.set_now(kNoon);
  EXPECT_TRUE(eventually(5s, [&] { return !table_.fired().empty(); }));
  ASSERT_TRUE(table_.looked_twice());
  EXPECT_THAT(table_.fired(), ElementsAre(kNoon));
}

TEST_F(ScheduleRunnerTest, FiresNothingAgainWhenTheClockIsSetBack) {
  runner_.start();
  ASSERT_TRUE(table_.looked_twice());
  table_.set_now(kNoon);
  EXPECT_TRUE(eventually(5s, [&] { return table_.fired().size() == 1; }));
  table_.set_now(kNoon - 3h);
  ASSERT_TRUE(table_.looked_twice());
  table_.set_now(kNoon + 59min);
  ASSERT_TRUE(table_.looked_twice());
  EXPECT_THAT(table_.fired(), ElementsAre(kNoon));
  table_.set_now(kNoon + 1h);
  EXPECT_TRUE(eventually(5s, [&] { return table_.fired().size() == 2; }));
  EXPECT_THAT(table_.fired(), ElementsAre(kNoon, kNoon + 1h));
}

TEST_F(ScheduleRunnerTest, StopsTwiceBeforeStartAndStartsAgain) {
  runner_.stop();
  for (int i = 0; i < 100; ++i) {
    runner_.start();
    runner_.stop();
    runner_.stop();
  }
  EXPECT_FALSE(runner_.heartbeat().age(core::system_clock().now()));
  runner_.start();
  EXPECT_TRUE(table_.looked_twice());
  EXPECT_TRUE(runner_.heartbeat().age(core::system_clock().now()));
}

TEST_F(ScheduleRunnerTest, TellsOfAnOutageOnceAndStopsInTheMiddleOfIt) {
  table_.away = true;
  runner_.start();
  // Its back-off has grown by now.
  EXPECT_FALSE(eventually(1s, [&] { return !table_.fired().empty(); }));
  const auto start = core::system_clock().now();
  runner_.stop();
  EXPECT_LT(core::system_clock().now() - start, 500ms);
  EXPECT_THAT(log_.lines, ElementsAre("outage"));
}

}  // namespace
}  // namespace relevo::worker
