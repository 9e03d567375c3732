// The worker's loop against tables in memory: the connection is lost at each of its calls in turn,
// rows are locked, lanes change hands, and every job must still end, in effect once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <set>

#include "relevo/worker/worker.hpp"
#include "support/eventually.hpp"
#include "support/job_fakes.hpp"
#include "support/relay_fakes.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;
using test::eventually;

constexpr int kLanes = 4;

class MutedLog final : public core::Log {
 public:
  void write(core::Level, std::string_view, std::span<const core::Field>) override {}
};

class CountedMetrics final : public Metrics {
 public:
  void jobs_started(std::span<const StartedJob>) override {}
  void jobs_ended(std::span<const EndedJob> jobs) override {
    std::lock_guard lock(mutex);
    for (const auto& job : jobs) ++ended[std::string(job.kind) + " " + std::string(job.outcome)];
  }
  int of(const std::string& kind_and_outcome) {
    std::lock_guard lock(mutex);
    return ended[kind_and_outcome];
  }
  void jobs_running(std::size_t) override {}
  void crash_attempts(std::size_t jobs) override { crashes += jobs; }
  void results_fenced(std::size_t) override {}
  void lanes_held(std::size_t) override {}
  void lanes_lost(std::size_t) override {}
  std::atomic<std::size_t> crashes{0};
  std::mutex mutex;
  std::map<std::string, int> ended;  // by kind and outcome
};

// Who ran what, and how often.
struct Runs {
  void add(JobId id) {
    std::lock_guard lock(mutex);
    ++count[id];
  }
  int of(JobId id) {
    std::lock_guard lock(mutex);
    return count[id];
  }
  std::mutex mutex;
  std::map<JobId, int> count;
};

using Run = std::function<Outcome(const Job&, Context&)>;

class Handler final : public JobHandler {
 public:
  explicit Handler(Run run) : run_(std::move(run)) {}
  Outcome run(const Job& job, Context& context) override { return run_(job, context); }

 private:
  const Run run_;
};

// Time can be put forward.
class ShiftedClock final : public core::Clock {
 public:
  core::BootTime now() const override { return core::system_clock().now() + shift_.load(); }
  core::WallTime wall() const override { return core::system_clock().wall(); }
  void put_forward(std::chrono::nanoseconds by) { shift_ = shift_.load() + by; }

 private:
  std::atomic<std::chrono::nanoseconds> shift_{0ns};
};

// One worker process.
class Process {
 public:
  Process(test::FakeJobs& jobs, Runs& runs, const test::FakeLeases::Replicas& alive,
          const std::string& name, bool until_empty, std::vector<std::string> queues = {})
      : leases(
            name, 1s, [&alive] { return std::make_unique<test::FakeLeases>(alive); }, log, clock) {
    registry.add("count", std::make_unique<Handler>([&runs](const Job& job, Context&) {
                   runs.add(job.id);
                   return done();
                 }));
    registry.add("unit", std::make_unique<Handler>([&runs](const Job& job, Context& context) {
                   runs.add(job.id);
                   (void)context.unit();
                   return done();
                 }));
    registry.add("again", std::make_unique<Handler>([&runs](const Job& job, Context&) {
                   runs.add(job.id);
                   return job.attempt == 1 ? retry("once more", 1ms) : done();
                 }));
    registry.add("mother", std::make_unique<Handler>([&runs, &jobs](const Job& job, Context&) {
                   runs.add(job.id);
                   (void)jobs.put({});
                   return done();
                 }));
    registry.add("conflict",
                 std::make_unique<Handler>([&runs](const Job& job, Context&) -> Outcome {
                   runs.add(job.id);
                   if (runs.of(job.id) > 1) return done();
                   throw core::IntegrationError(core::ErrorKind::kConflict, "test", "deadlock");
                 }));
    registry.add("a.kind.whose.name.is.longer.than.a.short.string",
                 std::make_unique<Handler>([&runs](const Job& job, Context&) {
                   runs.add(job.id);
                   return retry("no");
                 }));
    registry.add("fails", std::make_unique<Handler>([&runs](const Job& job, Context&) {
                   runs.add(job.id);
                   return retry("later", 1h);
                 }));
    registry.add("stays", std::make_unique<Handler>([&runs](const Job& job, Context& context) {
                   runs.add(job.id);
                   while (!context.stop().stop_requested()) std::this_thread::yield();
                   return retry("stopped");
                 }));
    KindPolicy short_time;
    short_time.timeout = 20ms;
    registry.add("deaf", std::make_unique<Handler>([this, &runs](const Job& job, Context&) {
                   runs.add(job.id);
                   while (!hears) std::this_thread::yield();
                   return retry("at last");
                 }),
                 short_time);
    Options options;
    options.lanes = kLanes;
    options.threads = 2;
    options.until_empty = until_empty;
    options.queues = std::move(queues);
    options.drain = 300ms;
    options.give_up = 200ms;
    options.save_interval = 20ms;
    worker.emplace(options, Worker::Ports{[&jobs] { return jobs.connect(); },
                                          [&jobs] { return jobs.connect_results(); },
                                          [&jobs] { return jobs.units(); },
                                          nullptr,
                                          leases,
                                          registry,
                                          metrics,
                                          log,
                                          clock,
                                          {}});
    leases.start();
    worker->start();
  }
  ~Process() {
    hears = true;
    worker->stop();
    leases.stop();
  }

  std::atomic<bool> hears{false};  // whether "deaf" ends
  ShiftedClock clock;
  MutedLog log;
  CountedMetrics metrics;
  Registry registry;
  feed::LeaseKeeper leases;
  std::optional<Worker> worker;
};

struct World {
  test::FakeJobs jobs{kLanes};
  Runs runs;
  test::FakeLeases::Replicas alive{{"one"}};
  std::vector<JobId> plain;

  void fill() {
    for (int i = 0; i < 6; ++i) {
      test::FakeJobs::Row row;
      row.job_class = i % kClasses;
      plain.push_back(jobs.put(row));
      row.large = true;
      plain.push_back(jobs.put(row));
      row.large = false;
      row.key = "key";
      plain.push_back(jobs.put(row));
      row.key.reset();
      row.rate = "slow";
      plain.push_back(jobs.put(row));
      row.rate.reset();
      row.run_at = core::system_clock().wall() + std::chrono::milliseconds(i * 5 - 10);
      plain.push_back(jobs.put(row));
      row.run_at.reset();
      row.unique = "unique-" + std::to_string(i);
      plain.push_back(jobs.put(row));
      row.unique.reset();
      row.kind = "unit";
      (void)jobs.put(row);
      row.kind = "again";
      (void)jobs.put(row);
    }
  }

  void check_all_done() {
    const auto left = jobs.rows();
    EXPECT_TRUE(left.empty()) << left.size() << " jobs are left, first " << left.front().at.id
                              << " of " << left.front().kind << " state " << left.front().state
                              << " unique " << left.front().unique.value_or("-");
    for (const auto& [id, count] : jobs.completed()) EXPECT_EQ(count, 1) << "job " << id;
  }
};

int run_with_losses(std::set<int> calls, bool after, bool exactly_once) {
  World w;
  w.fill();
  w.jobs.lose_at(std::move(calls), after);
  {
    Process one(w.jobs, w.runs, w.alive, "one", false);
    (void)eventually(
        20s, [&] { return w.jobs.rows().empty(); }, 2ms);
    EXPECT_EQ(one.metrics.crashes, 0U) << "a living process has not crashed";
  }
  w.check_all_done();
  if (exactly_once) {
    for (const auto id : w.plain) EXPECT_EQ(w.runs.of(id), 1) << "job " << id << " ran again";
  }
  return w.jobs.calls();
}

int step_from_environment() {
  const char* text = std::getenv("RELEVO_TEST_EVERY_CALL");
  return text ? 1 : 9;
}

TEST(WorkerLoop, LosesNoJobWhereverTheConnectionIsLost) {
  const int calls = run_with_losses({}, false, true);
  const int step = step_from_environment();
  for (const bool after : {false, true}) {
    for (int at = after ? 1 : 1 + step / 2; at <= calls && !HasFailure(); at += step) {
      SCOPED_TRACE((after ? "after call " : "before call ") + std::to_string(at));
      // The answer that is lost may be that of a result or a commit, but no job starts again.
      run_with_losses({at}, after, true);
    }
  }
}

TEST(WorkerLoop, LosesNoJobWhenTheConnectionIsLostTwice) {
  const int calls = run_with_losses({}, false, true);
  const int step = 3 * step_from_environment();
  for (const bool after : {false, true}) {
    for (int at = 1; at <= calls && !HasFailure(); at += step) {
      const int second = at + 1 + at % 7;
      SCOPED_TRACE((after ? "after calls " : "before calls ") + std::to_string(at) + ", " +
                   std::to_string(second));
      run_with_losses({at, second}, after, false);
    }
  }
}

TEST(WorkerLoop, RunsTheNewVersionOfAUniqueJobThatWasLockedWhenItWasToStart) {
  World w;
  test::FakeJobs::Row row;
  row.unique = "only";
  const auto id = w.jobs.put(row);
  w.jobs.lock(id);
  Process one(w.jobs, w.runs, w.alive, "one", false);
  ASSERT_TRUE(eventually(
      20s, [&] { return one.worker->ready(); }, 2ms));
  // It is tried and put back, until the one who had it locked has replaced it.
  ASSERT_TRUE(eventually(
      20s, [&] { return w.jobs.lanes()[w.jobs.lane_of(w.jobs.rows().front())].version > 4; }, 2ms));
  ASSERT_TRUE(w.jobs.replace(id));
  w.jobs.unlock(id);
  EXPECT_TRUE(eventually(
      20s, [&] { return w.jobs.rows().empty(); }, 2ms));
  EXPECT_EQ(w.runs.of(id), 1);
}

TEST(WorkerLoop, CancelsAJobWhoseRowIsLockedOnceItIsFree) {
  World w;
  Controls controls;
  controls.queues.push_back({"default", "*", true, std::nullopt});
  w.jobs.set_controls(controls);
  const auto id = w.jobs.put({});
  const auto other = w.jobs.put({});
  Process one(w.jobs, w.runs, w.alive, "one", false);
  ASSERT_TRUE(eventually(
      20s, [&] { return one.worker->ready(); }, 2ms));
  w.jobs.lock(id);
  w.jobs.cancel(id);
  w.jobs.cancel(other);
  ASSERT_TRUE(eventually(
      20s, [&] { return w.jobs.rows().size() == 1; }, 2ms));
  w.jobs.unlock(id);
  EXPECT_TRUE(eventually(
      20s, [&] { return w.jobs.rows().empty(); }, 2ms));
  EXPECT_EQ(w.runs.of(id), 0);
}

TEST(WorkerLoop, HandsLanesBackWithAllThatIsNotStarted) {
  World w;
  Controls controls;
  controls.queues.push_back({"still", "*", true, std::nullopt});
  controls.queues.push_back({"narrow", "*", false, 1});
  w.jobs.set_controls(controls);
  Process one(w.jobs, w.runs, w.alive, "one", false);
  const auto tenures = [&] {
    std::int64_t sum = 0;
    for (const auto& lane : w.jobs.lanes()) sum += lane.epoch;
    return sum;
  };
  ASSERT_TRUE(eventually(
      20s, [&] { return tenures() == 4; }, 2ms))
      << "it does not hold all lanes";
  std::vector<JobId> ids;
  for (int i = 0; i < 400; ++i) {
    test::FakeJobs::Row row;
    row.job_class = i % kClasses;
    row.queue = std::array{"default", "still", "narrow"}[static_cast<std::size_t>(i) % 3];
    if (i % 5 == 0) row.key = "key-" + std::to_string(i % 4);
    ids.push_back(w.jobs.put(row));
    if (i == 100) w.alive.set({"one", "two"});
  }
  Process two(w.jobs, w.runs, w.alive, "two", false);
  ASSERT_TRUE(eventually(
      20s, [&] { return tenures() > 5; }, 2ms));
  w.jobs.set_controls({});
  EXPECT_TRUE(eventually(
      20s, [&] { return w.jobs.rows().empty(); }, 5ms))
      << w.jobs.rows().size() << " jobs are left";
  for (const auto id : ids) EXPECT_EQ(w.runs.of(id), 1) << "job " << id;
}

TEST(WorkerLoop, StartsJobsBeforeATickNamesThem) {
  World w;
  Process one(w.jobs, w.runs, w.alive, "one", false);
  const auto empty = [&] { return w.jobs.rows().empty(); };
  (void)w.jobs.put({});
  ASSERT_TRUE(eventually(20s, empty, 2ms)) << "it reads nothing";
  w.jobs.hold_ticks(true);
  std::vector<JobId> ids;
  for (int i = 0; i < 300; ++i) {
    test::FakeJobs::Row row;
    row.job_class = i % kClasses;
    row.kind = std::array{"count", "unit"}[static_cast<std::size_t>(i) % 2];
    if (i % 5 == 0) row.key = "key-" + std::to_string(i % 4);
    ids.push_back(w.jobs.put(row));
  }
  EXPECT_TRUE(eventually(20s, empty, 2ms)) << w.jobs.rows().size() << " jobs are left";
  const auto positions = [&] {
    std::set<feed::TickId> ticks;
    for (const auto& lane : w.jobs.lanes()) {
      for (const auto& position : lane.positions) ticks.insert(position.b);
    }
    return ticks;
  };
  const auto before = positions();
  w.jobs.hold_ticks(false);
  // The windows show nothing that would run again, and positions go on.
  EXPECT_TRUE(eventually(
      20s, [&] { return positions().size() == 1 && *positions().begin() > *before.rbegin(); },
      2ms));
  for (const auto id : ids) EXPECT_EQ(w.runs.of(id), 1) << "job " << id;
}

TEST(WorkerLoop, StopsWithAHandlerThatDoesNotAndGivesItsJobToTheNext) {
  World w;
  test::FakeJobs::Row row;
  row.kind = "stays";
  const auto id = w.jobs.put(row);
  {
    Process one(w.jobs, w.runs, w.alive, "one", false);
    ASSERT_TRUE(eventually(
        20s, [&] { return w.runs.of(id) == 1; }, 2ms));
  }
  // Asked to stop by the end of its process: no attempt is burnt, and it waits.
  const auto left = w.jobs.rows();
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left.front().attempts, 0);
  EXPECT_EQ(left.front().crashes, 0);
  for (const auto& lane : w.jobs.lanes()) EXPECT_TRUE(lane.open.empty());
}

TEST(WorkerLoop, RunsNoCancelledJobAgainWhoseHandlerWasGivenUp) {
  World w;
  test::FakeJobs::Row row;
  row.kind = "deaf";
  Process one(w.jobs, w.runs, w.alive, "one", false);
  const auto cancelled = w.jobs.put(row);
  const auto other = w.jobs.put(row);
  ASSERT_TRUE(eventually(
      20s, [&] { return w.runs.of(cancelled) == 1 && w.runs.of(other) == 1; }, 2ms));
  w.jobs.cancel(cancelled);
  // Both are given up: one is over, the other waits for its next attempt.
  ASSERT_TRUE(eventually(
      20s, [&] { return w.jobs.rows().size() == 1; }, 2ms));
  EXPECT_EQ(w.jobs.rows().front().at.id, other);
  EXPECT_TRUE(eventually(
      20s, [&] { return w.jobs.rows().front().attempts == 1; }, 2ms));
  EXPECT_EQ(one.metrics.of("deaf cancelled"), 1);
  EXPECT_EQ(one.metrics.of("deaf retry"), 1);
  EXPECT_EQ(w.runs.of(cancelled), 1);
}

// ---- until it is empty

bool finishes(const Process& process) {
  return eventually(
      20s, [&] { return process.worker->finished(); }, 1ms);
}

test::FakeJobs::Row of_kind(const char* kind) {
  test::FakeJobs::Row row;
  row.kind = kind;
  return row;
}

TEST(WorkerLoop, EndsWhenNothingIsDueAndHasRunWhatFollows) {
  World w;
  w.fill();
  for (int i = 0; i < 20; ++i) (void)w.jobs.put(of_kind("mother"));
  const auto twice = w.jobs.put(of_kind("conflict"));
  const auto failed = w.jobs.put(of_kind("fails"));
  test::FakeJobs::Row row;
  row.run_at = core::system_clock().wall() + 1h;
  const auto later = w.jobs.put(row);
  const Process one(w.jobs, w.runs, w.alive, "one", true);
  ASSERT_TRUE(finishes(one));
  std::vector<JobId> left;
  for (const auto& job : w.jobs.rows()) {
    // A failed attempt is not waited for, however short its back-off.
    if (job.kind != "again") left.push_back(job.at.id);
  }
  EXPECT_THAT(left, testing::ElementsAre(failed, later));
  EXPECT_EQ(w.runs.of(twice), 2) << "an attempt that did not count comes again at once";
  for (const auto& lane : w.jobs.lanes()) EXPECT_TRUE(lane.holder.empty());
}

TEST(WorkerLoop, EndsAtOnceWhenThereIsNothing) {
  World w;
  const Process one(w.jobs, w.runs, w.alive, "one", true);
  EXPECT_TRUE(eventually(
      1s, [&] { return one.worker->finished(); }, 1ms));
}

TEST(WorkerLoop, LeavesOtherQueuesAloneAndEnds) {
  World w;
  std::vector<JobId> wanted, others;
  for (int i = 0; i < 30; ++i) {
    test::FakeJobs::Row row;
    row.queue = i % 3 == 0 ? "mail" : i % 3 == 1 ? "other" : "default";
    if (i % 2 == 0) row.key = "key";
    (i % 3 == 0 ? wanted : others).push_back(w.jobs.put(row));
  }
  const Process one(w.jobs, w.runs, w.alive, "one", true, {"mail", "report"});
  ASSERT_TRUE(finishes(one));
  for (const auto id : wanted) EXPECT_EQ(w.runs.of(id), 1) << "job " << id;
  EXPECT_EQ(w.jobs.rows().size(), others.size());
}

TEST(WorkerLoop, RunsWhatAWorkerThatDiedHadInItsJournalBeforeItEnds) {
  World w;
  const auto id = w.jobs.put({});
  w.jobs.leave_open(id);
  const Process one(w.jobs, w.runs, w.alive, "one", true);
  ASSERT_TRUE(finishes(one));
  EXPECT_EQ(w.runs.of(id), 1);
  EXPECT_EQ(one.metrics.crashes, 1U);
}

TEST(WorkerLoop, TellsTheMetricsOfEachEndByKindAndOutcome) {
  World w;
  auto last = of_kind("a.kind.whose.name.is.longer.than.a.short.string");
  last.attempts = KindPolicy{}.max_attempts - 1;
  for (int i = 0; i < 3; ++i) w.jobs.put(last);
  for (int i = 0; i < 2; ++i) w.jobs.put(of_kind("again"));
  w.jobs.put(of_kind("unheard of"));
  Process one(w.jobs, w.runs, w.alive, "one", false);
  EXPECT_TRUE(eventually(
      20s, [&] { return one.metrics.of("again completed") == 2; }, 2ms));
  EXPECT_TRUE(eventually(
      20s,
      [&] { return one.metrics.of("a.kind.whose.name.is.longer.than.a.short.string dead") == 3; },
      2ms));
  EXPECT_TRUE(eventually(
      20s, [&] { return one.metrics.of("unknown retry") >= 1; }, 2ms));
  EXPECT_EQ(one.metrics.of("again retry"), 2);
}

// ---- operations, edits, sweeps

struct Paused : World {
  Paused() {
    Controls controls;
    controls.queues.push_back({"still", "*", true, std::nullopt});
    jobs.set_controls(controls);
  }
  JobId put(const char* kind, const char* queue) {
    auto row = of_kind(kind);
    row.queue = queue;
    return jobs.put(row);
  }
};

TEST(WorkerLoop, CancelsAllThatWaitAndAsksWhatRunsToStop) {
  Paused w;
  const auto runs = w.put("stays", "default");
  Process one(w.jobs, w.runs, w.alive, "one", false);
  ASSERT_TRUE(eventually(
      20s, [&] { return w.runs.of(runs) == 1; }, 2ms));
  std::vector<JobId> waiting;
  for (int i = 0; i < 25; ++i) waiting.push_back(w.put("stays", "still"));
  const auto other = w.put("count", "still");
  const auto id = w.jobs.operate(true, "stays");
  ASSERT_TRUE(eventually(
      20s, [&] { return w.jobs.operation(id).lanes_left == 0; }, 2ms));
  EXPECT_EQ(w.jobs.operation(id).changed, 25);
  EXPECT_EQ(w.jobs.operation(id).stopping, 1);
  // The one that ran has ended cancelled; nothing else is left but the other kind.
  ASSERT_TRUE(eventually(
      20s, [&] { return w.jobs.rows().size() == 1; }, 2ms));
  EXPECT_EQ(w.jobs.rows().front().at.id, other);
  w.jobs.set_controls({});
  EXPECT_TRUE(eventually(
      20s, [&] { return w.jobs.rows().empty(); }, 2ms));
  for (const auto job : waiting) EXPECT_EQ(w.runs.of(job), 0) << "job " << job;
  EXPECT_EQ(w.runs.of(other), 1);
}

TEST(WorkerLoop, CancelsWhatSomebodyHadLockedOnceItIsFree) {
  Paused w;
  Process one(w.jobs, w.runs, w.alive, "one", false);
  const auto locked = w.put("count", "still");
  const auto free = w.put("count", "still");
  w.jobs.lock(locked);
  const auto id = w.jobs.operate(true, "count");
  ASSERT_TRUE(eventually(
      20s, [&] { return w.jobs.operation(id).changed == 1; }, 2ms));
  EXPECT_GT(w.jobs.operation(id).lanes_left, 0) << "it is told to be over";
  w.jobs.unlock(locked);
  ASSERT_TRUE(eventually(
      20s, [&] { return w.jobs.operation(id).lanes_left == 0; }, 2ms));
  EXPECT_TRUE(w.jobs.rows().empty());
  for (const auto job : {locked, free}) EXPECT_EQ(w.runs.of(job), 0) << "job " << job;
}

TEST(WorkerLoop, RetriesTheDeadAndWhatWaitsForItsTime) {
  World w;
  auto row = of_kind("count");
  std::vector<JobId> ids;
  for (int i = 0; i < 12; ++i) {
    row.state = i % 2 == 0 ? 2 : 0;
    row.run_at = core::system_clock().wall() + (i % 2 == 0 ? -1h : 1h);
    ids.push_back(w.jobs.put(row));
  }
  Process one(w.jobs, w.runs, w.alive, "one", false);
  const auto id = w.jobs.operate(false, "count");
  EXPECT_TRUE(eventually(
      20s, [&] { return w.jobs.rows().empty(); }, 2ms));
  EXPECT_EQ(w.jobs.operation(id).changed, 12);
  for (const auto job : ids) EXPECT_EQ(w.runs.of(job), 1) << "job " << job;
}

TEST(WorkerLoop, EditsWhatStandsInItsMemoryAndRunsItOnceAsEdited) {
  Paused w;
  const auto running = w.put("stays", "default");
  Process one(w.jobs, w.runs, w.alive, "one", false);
  ASSERT_TRUE(eventually(
      20s, [&] { return w.runs.of(running) == 1; }, 2ms));
  const auto id = w.put("stays", "still");
  const auto locked = w.put("stays", "still");
  w.jobs.lock(locked);
  const auto to_count = [](test::FakeJobs::Row& row) {
    row.kind = "count";
    row.queue = "default";
  };
  for (const auto job : {running, id, locked}) w.jobs.edit(job, to_count);
  ASSERT_TRUE(eventually(
      20s, [&] { return w.jobs.completed()[id] == 1; }, 2ms));
  EXPECT_EQ(w.runs.of(id), 1);
  // Somebody has it locked: the wish waits. What runs is not edited, and its wish is over.
  EXPECT_TRUE(eventually(
      20s, [&] { return w.jobs.signals() == 1; }, 2ms));
  EXPECT_EQ(w.runs.of(locked), 0);
  w.jobs.unlock(locked);
  EXPECT_TRUE(eventually(
      20s, [&] { return w.jobs.completed()[locked] == 1; }, 2ms));
  EXPECT_EQ(w.jobs.signals(), 0U);
  EXPECT_EQ(w.jobs.rows().front().kind, "stays");
}

int change_with_losses(std::set<int> calls, bool after) {
  Paused w;
  std::vector<JobId> cancelled, edited;
  for (int i = 0; i < 8; ++i) {
    cancelled.push_back(w.put("unit", "still"));
    edited.push_back(w.put("count", "still"));
  }
  const auto id = w.jobs.operate(true, "unit");
  for (const auto job : edited) {
    w.jobs.edit(job, [](test::FakeJobs::Row& row) { row.queue = "default"; });
  }
  w.jobs.lose_at(std::move(calls), after);
  Process one(w.jobs, w.runs, w.alive, "one", false);
  EXPECT_TRUE(eventually(
      20s, [&] { return w.jobs.rows().empty() && w.jobs.signals() == 0; }, 2ms))
      << w.jobs.rows().size() << " jobs and " << w.jobs.signals() << " wishes are left";
  EXPECT_EQ(w.jobs.operation(id).lanes_left, 0);
  EXPECT_EQ(w.jobs.operation(id).changed, 8);
  for (const auto job : cancelled) EXPECT_EQ(w.runs.of(job), 0) << "job " << job;
  for (const auto job : edited) EXPECT_EQ(w.runs.of(job), 1) << "job " << job;
  return w.jobs.calls();
}

TEST(WorkerLoop, ChangesAreMadeOnceWhereverTheConnectionIsLost) {
  const int calls = change_with_losses({}, false);
  for (const bool after : {false, true}) {
    for (int at = 1; at <= calls && !HasFailure(); at += step_from_environment()) {
      SCOPED_TRACE((after ? "after call " : "before call ") + std::to_string(at));
      change_with_losses({at}, after);
    }
  }
}

// A mark that no journal names, and one that looks so but stands in the worker's memory.
TEST(WorkerLoop, SetsFreeWhatIsStuckAndNothingThatItKnows) {
  Paused w;
  test::FakeJobs::Row row;
  row.state = 1;
  row.unique = "only";
  const auto stuck = w.jobs.put(row);
  // With a time of its own, so that no place is remembered: what is skipped puts the sweep off.
  auto held_up = of_kind("count");
  held_up.queue = "still";
  held_up.run_at = core::system_clock().wall() - 1h;
  const auto known = w.jobs.put(held_up);
  w.jobs.suspect(known);
  Process one(w.jobs, w.runs, w.alive, "one", false);
  ASSERT_TRUE(eventually(
      20s, [&] { return one.worker->ready(); }, 2ms));
  EXPECT_EQ(w.runs.of(stuck), 0);
  one.clock.put_forward(11min);
  ASSERT_TRUE(eventually(
      20s, [&] { return w.runs.of(stuck) == 1; }, 2ms));
  ASSERT_TRUE(eventually(
      20s, [&] { return w.jobs.sweeps() > 0 && w.jobs.rows().size() == 1; }, 2ms));
  EXPECT_EQ(w.jobs.rows().front().at.id, known);
  EXPECT_EQ(w.jobs.rows().front().token, 0);
  w.jobs.set_controls({});
  EXPECT_TRUE(eventually(
      20s, [&] { return w.runs.of(known) == 1; }, 2ms));
}

}  // namespace
}  // namespace relevo::worker
