// Results on their way to a table in memory, which loses answers, has rows locked and refuses some.
#include "finisher.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "relevo/core/error.hpp"
#include "support/relay_fakes.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class CountingMetrics final : public Metrics {
 public:
  void jobs_started(std::span<const StartedJob>) override {}
  void jobs_ended(std::span<const EndedJob>) override {}
  void jobs_running(std::size_t) override {}
  void crash_attempts(std::size_t jobs) override { crashes += jobs; }
  void results_fenced(std::size_t jobs) override { fenced += jobs; }
  void lanes_held(std::size_t) override {}
  void lanes_lost(std::size_t) override {}

  std::size_t crashes = 0;
  std::size_t fenced = 0;
};

struct Table {
  std::map<JobId, Token> rows;
  std::set<JobId> locked;
  std::set<JobId> poison;         // whatever is said of it is refused …
  std::set<JobId> poison_result;  // … or only what it has done …
  std::set<JobId> poison_failed;  // … or only that it comes again
  std::map<JobId, AfterFailure> failed;
  int lose_answers = 0;  // of writes that were done
  int conflicts = 0;     // a plain batch meets a lock
  int away = 0;          // attempts to connect that fail
  std::vector<std::size_t> batches;

  bool change(const JobKey& key) {
    const auto row = rows.find(key.id);
    if (row == rows.end() || row->second != key.token || locked.contains(key.id)) return false;
    return true;
  }
};

class Writer final : public ResultWriter {
 public:
  explicit Writer(Table& table) : table_(table) {}

  void send_plain(std::span<const JobKey> jobs) override {
    if (table_.conflicts > 0) {
      --table_.conflicts;
      error_ = core::ErrorKind::kConflict;
      return;
    }
    write(jobs, [](const JobKey& key) { return key; }, true, {});
  }
  void send_finish(std::span<const Finish> jobs) override {
    write(jobs, [](const Finish& one) { return one.key; }, true, {});
  }
  void send_failures(std::span<const Failure> jobs) override {
    write(
        jobs, [](const Failure& one) { return one.key; }, false,
        [](const Failure& one) { return one.then; });
  }
  void send_crashes(std::span<const Failure> jobs, int) override {
    write(jobs, [](const Failure& one) { return one.key; }, false, {});
  }
  int socket() const override { return 7; }
  bool answered() override { return true; }
  std::vector<JobId> receive() override {
    if (error_) throw core::IntegrationError(*error_, "results", "of the test");
    return changed_;
  }

 private:
  template <class Jobs, class Key>
  void write(const Jobs& jobs, Key key_of, bool ends,
             const std::function<AfterFailure(const Failure&)>& then) {
    changed_.clear();
    error_.reset();
    table_.batches.push_back(jobs.size());
    for (const auto& one : jobs) {
      const auto id = key_of(one).id;
      if (table_.poison.contains(id) || (ends && table_.poison_result.contains(id))) {
        error_ = core::ErrorKind::kRejected;
        return;
      }
      if constexpr (std::is_same_v<std::decay_t<decltype(one)>, Failure>) {
        if (one.then == AfterFailure::kWaiting && table_.poison_failed.contains(id)) {
          error_ = core::ErrorKind::kRejected;
          return;
        }
      }
    }
    for (const auto& one : jobs) {
      const JobKey key = key_of(one);
      if (!table_.change(key)) continue;
      changed_.push_back(key.id);
      if (ends) {
        table_.rows.erase(key.id);
      } else {
        ++table_.rows[key.id];
      }
      if constexpr (std::is_same_v<std::decay_t<decltype(one)>, Failure>) {
        if (then) table_.failed[key.id] = then(one);
      }
    }
    if (table_.lose_answers > 0) {
      --table_.lose_answers;
      error_ = core::ErrorKind::kDisconnected;
    }
  }

  Table& table_;
  std::vector<JobId> changed_;
  std::optional<core::ErrorKind> error_;
};

class World {
 public:
  explicit World(std::chrono::milliseconds gather_for = 0ms) : gather(gather_for) {}

  const std::chrono::milliseconds gather;
  Table table;
  CountingMetrics metrics;
  test::QuietLog log;
  test::FakeClock clock;
  std::vector<JobKey> over;
  Finisher finisher{[this]() -> std::unique_ptr<ResultWriter> {
                      if (table.away > 0) {
                        --table.away;
                        throw core::IntegrationError(core::ErrorKind::kDisconnected, "connect",
                                                     "away");
                      }
                      return std::make_unique<Writer>(table);
                    },
                    3,
                    gather,
                    metrics,
                    log,
                    clock};

  JobKey job(JobId id) {
    table.rows[id] = 1;
    return {id, 1};
  }
  void plain(JobId id) { finisher.add(Verdict(job(id))); }
  void finish(JobId id) { finisher.add(Verdict(Finish{job(id), {}, {}, {}, {}, {}, {}})); }
  void fail(JobId id) {
    finisher.add(Verdict(Failure{job(id), 1, 0ms, AfterFailure::kWaiting, "failed", 0ms}));
  }
  // As the worker does between two looks.
  void turn() {
    finisher.pump(over);
    const auto unsure = finisher.unsure();
    if (!unsure.empty()) {
      std::vector<JobId> still;
      for (const auto& key : unsure) {
        const auto row = table.rows.find(key.id);
        if (row != table.rows.end() && row->second == key.token) still.push_back(key.id);
      }
      finisher.resolve(still, over);
    }
    clock.advance(1ms);
  }
  void turns(int count) {
    for (int i = 0; i < count; ++i) turn();
  }
  std::vector<JobId> ended() const {
    std::vector<JobId> ids;
    for (const auto& key : over) ids.push_back(key.id);
    return ids;
  }
};

TEST(WorkerFinisher, WritesEverySortOfResult) {
  World w;
  w.plain(1);
  w.finish(2);
  w.fail(3);
  w.finisher.add_crash({w.job(4), 1, 0ms, AfterFailure::kWaiting, "died", 0ms});
  EXPECT_EQ(w.finisher.size(), 4U);
  w.turns(10);
  EXPECT_THAT(w.ended(), UnorderedElementsAre(1, 2, 3, 4));
  EXPECT_TRUE(w.finisher.idle());
  EXPECT_EQ(w.finisher.socket(), -1);
  EXPECT_EQ(w.metrics.crashes, 1U);
  EXPECT_EQ(w.metrics.fenced, 0U);
}

TEST(WorkerFinisher, RepeatsABatchWhoseAnswerWasLostAndCountsNoneAsFenced) {
  World w;
  w.table.lose_answers = 1;
  w.plain(1);
  w.plain(2);
  w.turns(3'000);
  EXPECT_THAT(w.ended(), UnorderedElementsAre(1, 2));
  EXPECT_EQ(w.metrics.fenced, 0U);
}

TEST(WorkerFinisher, CountsAsFencedWhatIsSomebodyElses) {
  World w;
  w.plain(1);
  w.fail(2);
  w.table.rows[1] = 5;
  w.table.rows.erase(2);
  w.turns(10);
  EXPECT_THAT(w.ended(), UnorderedElementsAre(1, 2));
  EXPECT_EQ(w.metrics.fenced, 2U);
}

// What was never sent cannot have been written.
TEST(WorkerFinisher, CountsAsFencedAfterAnOutageBeforeTheFirstSend) {
  World w;
  w.table.away = 2;
  w.plain(1);
  w.table.rows[1] = 5;
  w.turns(5'000);
  EXPECT_THAT(w.ended(), ElementsAre(1));
  EXPECT_EQ(w.metrics.fenced, 1U);
}

TEST(WorkerFinisher, PassesByARowThatIsLockedWhenTheBatchMeetsIt) {
  World w;
  w.table.conflicts = 1;
  w.table.locked = {2};
  for (JobId id = 1; id <= 3; ++id) w.plain(id);
  w.turns(200);
  EXPECT_THAT(w.ended(), UnorderedElementsAre(1, 3));
  EXPECT_FALSE(w.finisher.idle());
  w.table.locked.clear();
  w.turns(200);
  EXPECT_THAT(w.ended(), UnorderedElementsAre(1, 3, 2));
  EXPECT_EQ(w.metrics.fenced, 0U);
}

// Two locked rows were tried in turns, and nothing else was ever sent.
TEST(WorkerFinisher, LetsNoResultWaitForRowsThatAreLocked) {
  World w;
  for (JobId id = 1; id <= 100; ++id) {
    w.finish(id);
    w.table.locked.insert(id);
  }
  w.turns(50);
  for (JobId id = 200; id < 210; ++id) {
    w.plain(id);
    w.turns(3);
  }
  EXPECT_EQ(w.over.size(), 10U);
  w.table.locked.clear();
  w.turns(100);
  EXPECT_EQ(w.over.size(), 110U);
  EXPECT_LE(w.table.batches.size(), 40U) << "locked rows are asked for together, and not too often";
}

TEST(WorkerFinisher, TakesABatchApartSoThatOneRefusedResultHoldsUpNoOther) {
  World w;
  for (JobId id = 1; id <= 5; ++id) w.finish(id);
  w.table.poison_result = {3};
  w.turns(2);
  EXPECT_THAT(w.ended(), IsEmpty());
  w.turns(5'000);
  EXPECT_THAT(w.ended(), UnorderedElementsAre(1, 2, 4, 5, 3));
  EXPECT_EQ(w.table.failed.at(3), AfterFailure::kDead);
}

TEST(WorkerFinisher, GivesUpAResultThatIsRefusedWhateverItSays) {
  World w;
  w.table.poison = {1};
  w.fail(1);
  w.finish(2);
  w.turns(10'000);
  EXPECT_THAT(w.ended(), UnorderedElementsAre(1, 2));
  EXPECT_TRUE(w.finisher.idle());
}

// A lost answer before does not make the first refusal the last try.
TEST(WorkerFinisher, BuriesAFailureThatIsRefusedAfterItsAnswerWasLost) {
  World w;
  w.fail(1);
  w.table.lose_answers = 1;
  w.table.locked = {1};  // so that the first time did nothing
  w.turn();
  w.turn();
  w.table.locked.clear();
  w.table.rows[1] = 1;
  w.table.poison_failed = {1};
  w.turns(5'000);
  EXPECT_EQ(w.table.failed.at(1), AfterFailure::kDead);
}

TEST(WorkerFinisher, LetsTheSortsTakeTurns) {
  World w;
  w.plain(1);
  JobId next = 10;
  for (int i = 0; i < 10; ++i) {
    w.fail(++next);
    w.finish(++next);
    w.turn();
  }
  EXPECT_THAT(w.ended(), testing::Contains(1));
}

TEST(WorkerFinisher, LetsFewResultsWaitForOthersAndManyForNone) {
  World w(3ms);
  w.plain(1);
  w.turn();  // the first goes at once
  w.plain(2);
  w.turn();
  EXPECT_EQ(w.finisher.next_time(), w.clock.now() + 1ms);
  w.plain(3);
  w.turns(2);
  EXPECT_THAT(w.table.batches, ElementsAre(1U, 2U));
  w.turn();
  for (JobId id = 10; id < 510; ++id) w.plain(id);
  w.turn();
  EXPECT_THAT(w.table.batches, ElementsAre(1U, 2U, 500U));
  w.turn();
  EXPECT_EQ(w.finisher.next_time(), std::nullopt);
  EXPECT_TRUE(w.finisher.idle());
}

TEST(WorkerFinisher, SplitsWhatIsMoreThanABatch) {
  World w;
  for (JobId id = 1; id <= 4'500; ++id) w.plain(id);
  w.turns(30);
  EXPECT_EQ(w.over.size(), 4'500U);
  EXPECT_THAT(w.table.batches, ElementsAre(2'000U, 2'000U, 500U));
}

}  // namespace
}  // namespace relevo::worker
