// What the executor makes of handlers as bad as they come. Threads are real; what a test waits for
// is polled with a deadline.
#include "relevo/worker/executor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <map>
#include <random>
#include <semaphore>
#include <stdexcept>

#include "relevo/core/error.hpp"
#include "support/eventually.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;
using test::eventually;

class MutedLog final : public core::Log {
 public:
  void write(core::Level, std::string_view, std::span<const core::Field>) override {}
};

// What units of work of a test did.
struct Ledger {
  std::atomic<int> committed{0};
  std::atomic<int> rolled_back{0};
  std::atomic<bool> refuses{false};  // the row is somebody else's
};

class FakeUnit final : public RunUnit {
 public:
  explicit FakeUnit(Ledger& ledger) : ledger_(ledger) {}
  ~FakeUnit() override {
    if (!over_) ++ledger_.rolled_back;
  }
  using UnitOfWork::query;
  std::vector<Row> query(const Statement&, std::span<const Value>) override { return {}; }
  void publish(const NewEvent&) override {}
  JobId enqueue(const NewJob&) override { return 0; }
  void audit(const AuditEntry&) override {}
  bool used() const override { return true; }
  std::vector<JobId> finish(std::span<const Finish> ended,
                            std::span<const Failure> snoozed) override {
    std::vector<JobId> ids;
    for (const auto& one : ended) ids.push_back(one.key.id);
    for (const auto& one : snoozed) ids.push_back(one.key.id);
    if (ledger_.refuses) ids.pop_back();
    return ids;
  }
  void commit() override {
    over_ = true;
    ++ledger_.committed;
  }
  void rollback() override {
    over_ = true;
    ++ledger_.rolled_back;
  }

 private:
  Ledger& ledger_;
  bool over_ = false;
};

class FakeUnits final : public UnitSource {
 public:
  explicit FakeUnits(Ledger& ledger) : ledger_(ledger) {}
  std::unique_ptr<RunUnit> begin() override { return std::make_unique<FakeUnit>(ledger_); }

 private:
  Ledger& ledger_;
};

using Run = std::function<Outcome(const Job&, Context&)>;

class Handler final : public JobHandler {
 public:
  explicit Handler(Run run) : run_(std::move(run)) {}
  Outcome run(const Job& job, Context& context) override { return run_(job, context); }

 private:
  const Run run_;
};

using RunAll = std::function<std::vector<Outcome>(std::span<const Job>, Context&)>;

class Batch final : public BatchHandler {
 public:
  explicit Batch(RunAll run) : run_(std::move(run)) {}
  std::vector<Outcome> run(std::span<const Job> jobs, Context& context) override {
    return run_(jobs, context);
  }

 private:
  const RunAll run_;
};

// Calls are answered by the test, from its own thread.
class Remote final : public RemoteHandler {
 public:
  std::size_t room() const override { return 100; }
  bool probes() const override { return false; }
  void start(const Job& job, std::chrono::milliseconds, Finished finished) override {
    std::lock_guard lock(mutex_);
    calls_[job.id] = std::move(finished);
  }
  void abandon(const Job& job) override { answer(job.id, retry("given up")); }
  void answer(JobId id, Outcome outcome) {
    Finished finished;
    {
      std::lock_guard lock(mutex_);
      const auto call = calls_.find(id);
      if (call == calls_.end()) return;
      finished = std::move(call->second);
      calls_.erase(call);
    }
    finished(std::move(outcome));
  }

 private:
  std::mutex mutex_;
  std::map<JobId, Finished> calls_;
};

class FakeIsolation final : public Isolation {
 public:
  Ended run(const Claim& claim, std::stop_token) override {
    ++runs;
    Ended ended;
    ended.claim = const_cast<Claim*>(&claim);
    ended.outcome = Retry{"killed", std::nullopt};
    ended.how = Ended::How::kCrashed;
    return ended;
  }
  void tidy(core::BootTime) override {}
  std::atomic<int> runs{0};
};

// The worker's side: owns the claims, collects their ends.
class Bench {
 public:
  explicit Bench(int threads = 2, Isolation* isolation = nullptr) {
    Executor::Options options;
    options.threads = threads;
    options.give_up = 50ms;
    executor.emplace(
        options, [this] { return std::make_unique<FakeUnits>(ledger); }, isolation, log,
        core::system_clock());
  }
  ~Bench() { executor.reset(); }

  void add(const std::string& kind, Run run, KindPolicy policy = {}) {
    registry.add(kind, std::make_unique<Handler>(std::move(run)), policy);
  }
  Claim* claim(const std::string& kind, int crashes = 0) {
    auto& name = names.emplace_back(kind);
    JobRow row;
    row.at = {1, ++last_id};
    row.kind = name;
    row.queue = "default";
    row.headers = "{}";
    row.payload = "{}";
    row.crashes = crashes;
    auto one = std::make_unique<Claim>();
    one->job = std::make_unique<JobRecord>(row);
    one->kind = registry.find(kind);
    auto* const key = one.get();
    claims.emplace(key, std::move(one));
    return key;
  }
  JobId start(const std::string& kind, int crashes = 0) {
    Claim* const one = claim(kind, crashes);
    executor->start(std::span(&one, 1));
    return one->row().at.id;
  }
  std::vector<JobId> start_many(const std::string& kind, int count) {
    std::vector<Claim*> all;
    std::vector<JobId> ids;
    for (int i = 0; i < count; ++i) {
      all.push_back(claim(kind));
      ids.push_back(all.back()->row().at.id);
    }
    executor->start(all);
    return ids;
  }

  void look(core::BootTime now = core::system_clock().now()) {
    std::vector<Ended> ended;
    executor->collect(ended);
    for (auto& one : ended) {
      const auto id = one.claim->row().at.id;
      EXPECT_EQ(claims.erase(one.claim), 1U) << "job " << id << " came back twice";
      results.emplace(id, std::move(one));
    }
    executor->keep_time(now, [this](const Claim& claim) {
      const auto found = claims.find(const_cast<Claim*>(&claim));
      EXPECT_NE(found, claims.end());
      lost.push_back(claim.row().at.id);
      auto kept = std::move(found->second);
      claims.erase(found);
      return kept;
    });
  }
  [[nodiscard]] bool wait(const std::function<bool()>& until) {
    return eventually(
        20s,
        [&] {
          look();
          return until();
        },
        1ms);
  }
  [[nodiscard]] const Ended* result(JobId id) {
    if (!wait([&] { return results.contains(id); })) return nullptr;
    return &results.at(id);
  }

  MutedLog log;
  Ledger ledger;
  Registry registry;
  std::deque<std::string> names;
  JobId last_id = 0;
  std::unordered_map<Claim*, std::unique_ptr<Claim>> claims;
  std::map<JobId, Ended> results;
  std::vector<JobId> lost;
  std::optional<Executor> executor;
};

std::string reason_of(const Ended& ended) {
  const auto* retry = std::get_if<Retry>(&ended.outcome);
  return retry ? retry->reason : "no retry";
}

// Lets a handler stay until the test is over, whatever happens in it.
class Gate {
 public:
  ~Gate() { open(); }
  void open() { open_ = true; }
  void pass() const {
    while (!open_) std::this_thread::yield();
  }

 private:
  std::atomic<bool> open_{false};
};

TEST(WorkerExecutor, TakesWhateverAHandlerThrowsAsAFailedAttempt) {
  Bench b;
  b.add("exception", [](const Job&, Context&) -> Outcome { throw std::runtime_error("broken"); });
  b.add("number", [](const Job&, Context&) -> Outcome { throw 7; });
  b.add("lost", [](const Job&, Context&) -> Outcome {
    throw core::IntegrationError(core::ErrorKind::kDisconnected, "query", "gone");
  });
  b.add("rejected", [](const Job&, Context&) -> Outcome {
    throw core::IntegrationError(core::ErrorKind::kRejected, "query", "bad");
  });
  const auto exception = b.start("exception");
  const auto number = b.start("number");
  const auto lost = b.start("lost");
  const auto rejected = b.start("rejected");
  const auto unknown = b.start("nobody.does.it");
  ASSERT_TRUE(b.wait([&] { return b.results.size() == 5; }));
  EXPECT_EQ(reason_of(b.results.at(exception)), "broken");
  EXPECT_NE(reason_of(b.results.at(number)), "no retry");
  EXPECT_EQ(b.results.at(lost).how, Ended::How::kInDoubt);
  EXPECT_EQ(b.results.at(rejected).how, Ended::How::kJudged);
  EXPECT_THAT(reason_of(b.results.at(unknown)), testing::HasSubstr("nobody.does.it"));
  EXPECT_EQ(b.executor->in_flight(), 0U);
}

TEST(WorkerExecutor, EndsAJobInItsOwnTransaction) {
  Bench b;
  b.add("well", [](const Job&, Context& context) {
    (void)context.unit();
    return done();
  });
  b.add("badly", [](const Job&, Context& context) {
    (void)context.unit();
    return retry("no");
  });
  const auto* well = b.result(b.start("well"));
  ASSERT_TRUE(well);
  EXPECT_EQ(well->how, Ended::How::kCommitted);
  EXPECT_EQ(b.ledger.committed, 1);
  const auto* badly = b.result(b.start("badly"));
  ASSERT_TRUE(badly);
  EXPECT_EQ(badly->how, Ended::How::kJudged);
  EXPECT_EQ(b.ledger.rolled_back, 1);
  b.ledger.refuses = true;
  const auto* refused = b.result(b.start("well"));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->how, Ended::How::kRefused);
  EXPECT_EQ(b.ledger.committed, 1);
}

TEST(WorkerExecutor, SetsTheStopTokenWhenTheTimeIsOver) {
  Bench b;
  KindPolicy policy;
  policy.timeout = 30ms;
  b.add(
      "obedient",
      [](const Job&, Context& context) {
        while (!context.stop().stop_requested()) std::this_thread::yield();
        return retry("stopped");
      },
      policy);
  const auto* ended = b.result(b.start("obedient"));
  ASSERT_TRUE(ended);
  EXPECT_EQ(reason_of(*ended), "stopped");
  EXPECT_EQ(b.executor->given_up(), 0);
}

// The worker may have been held up for longer than a handler is given to stop.
TEST(WorkerExecutor, GivesTimeToStopHoweverLateItAsks) {
  Bench b;
  KindPolicy policy;
  policy.timeout = 30ms;
  std::atomic<bool> runs{false};
  b.add(
      "obedient",
      [&](const Job&, Context& context) {
        runs = true;
        while (!context.stop().stop_requested()) std::this_thread::yield();
        return retry("stopped");
      },
      policy);
  const auto job = b.start("obedient");
  ASSERT_TRUE(eventually(20s, [&] { return runs.load(); }));
  b.look(core::system_clock().now() + 1h);
  EXPECT_THAT(b.lost, testing::IsEmpty());
  const auto* ended = b.result(job);
  ASSERT_TRUE(ended);
  EXPECT_EQ(reason_of(*ended), "stopped");
}

TEST(WorkerExecutor, GivesUpWhatIgnoresItsStopTokenAndWorksOn) {
  Gate gate;
  Bench b(1);
  KindPolicy policy;
  policy.timeout = 20ms;
  b.add(
      "stubborn",
      [&](const Job&, Context&) {
        gate.pass();
        return done();
      },
      policy);
  b.add("good", [](const Job&, Context&) { return done(); });
  const auto stubborn = b.start("stubborn");
  ASSERT_TRUE(b.wait([&] { return b.executor->given_up() == 1; }));
  EXPECT_THAT(b.lost, testing::ElementsAre(stubborn));
  EXPECT_EQ(b.executor->in_flight(), 0U);
  ASSERT_TRUE(b.result(b.start("good")));  // by the thread that replaces it
  gate.open();
  ASSERT_TRUE(b.wait([&] { return b.executor->given_up() == 0; }));
  b.look();
  EXPECT_FALSE(b.results.contains(stubborn));  // its late result is dropped
  ASSERT_TRUE(b.result(b.start("good")));
}

// Short jobs are taken many at a time, and one of them may turn out long.
TEST(WorkerExecutor, LetsNothingWaitForASlowJob) {
  Gate gate;
  Bench b(2);
  std::atomic<JobId> slow{0};
  b.add("mostly.short", [&](const Job& job, Context&) {
    if (job.id == slow) gate.pass();
    return done();
  });
  // The executor learns how short they are.
  for (int i = 0; i < 20; ++i) {
    (void)b.start_many("mostly.short", 100);
    ASSERT_TRUE(b.wait([&] { return b.claims.empty(); }));
  }
  b.results.clear();
  slow = b.last_id + 50;
  const auto ids = b.start_many("mostly.short", 200);
  EXPECT_TRUE(b.wait([&] { return b.results.size() == ids.size() - 1; }));
  gate.open();
  EXPECT_TRUE(b.result(slow));
}

TEST(WorkerExecutor, KeepsTheResultsBeforeAJobThatIsGivenUp) {
  Gate gate;
  Bench b(1);
  KindPolicy policy;
  policy.timeout = 0ms;  // over at once, so that nothing is taken back from the thread before
  std::atomic<JobId> stubborn{0};
  b.add(
      "mostly.short",
      [&](const Job& job, Context&) {
        if (job.id == stubborn) gate.pass();
        return done();
      },
      policy);
  for (int i = 0; i < 20; ++i) {
    (void)b.start_many("mostly.short", 100);
    ASSERT_TRUE(b.wait([&] { return b.claims.empty(); }));
  }
  ASSERT_TRUE(b.wait([&] { return b.executor->given_up() == 0; }));
  b.results.clear();
  b.lost.clear();  // a short job, on a thread that was not run in time
  stubborn = b.last_id + 50;
  const auto ids = b.start_many("mostly.short", 100);
  EXPECT_TRUE(b.wait([&] { return b.results.size() + b.lost.size() == ids.size(); }));
  EXPECT_EQ(b.executor->in_flight(), 0U);
  EXPECT_TRUE(b.claims.empty());
  gate.open();
}

TEST(WorkerExecutor, GivesBackWhatNobodyHasBegun) {
  Gate gate;
  Bench b(1);
  std::atomic<int> begun{0};
  b.add("slow", [&](const Job&, Context&) {
    ++begun;
    gate.pass();
    return done();
  });
  const auto ids = b.start_many("slow", 10);
  ASSERT_TRUE(b.wait([&] { return begun == 1; }));
  const auto recalled = b.executor->recall();
  EXPECT_EQ(recalled.size(), 9U);
  EXPECT_EQ(b.executor->in_flight(), 1U);
  for (auto* claim : recalled) b.claims.erase(claim);
  gate.open();
  ASSERT_TRUE(b.wait([&] { return b.claims.empty(); }));
  EXPECT_EQ(begun, 1);
}

TEST(WorkerExecutor, RunsABatchInOneTransaction) {
  Gate gate;
  Bench b(1);
  std::atomic<std::size_t> largest{0};
  b.add("gate", [&](const Job&, Context&) {
    gate.pass();
    return done();
  });
  KindPolicy policy;
  policy.batch_size = 20;
  b.registry.add("set", std::make_unique<Batch>([&](std::span<const Job> jobs, Context& context) {
                   (void)context.unit();
                   largest = std::max(largest.load(), jobs.size());
                   return std::vector<Outcome>(jobs.size(), Done{});
                 }),
                 policy);
  (void)b.start("gate");
  (void)b.start_many("set", 40);
  gate.open();
  ASSERT_TRUE(b.wait([&] { return b.claims.empty(); }));
  EXPECT_EQ(largest, 20U);
  EXPECT_EQ(b.ledger.committed, 2);
}

TEST(WorkerExecutor, RunsABatchThatFailsSingly) {
  Gate gate;
  Bench b(1);
  b.add("gate", [&](const Job&, Context&) {
    gate.pass();
    return done();
  });
  std::atomic<JobId> bad{0};
  b.registry.add("set", std::make_unique<Batch>([&](std::span<const Job> jobs, Context& context) {
                   (void)context.unit();
                   std::vector<Outcome> outcomes;
                   for (const auto& job : jobs) {
                     if (job.id == bad) throw std::runtime_error("bad one");
                     outcomes.emplace_back(Done{});
                   }
                   return outcomes;
                 }));
  // Too few outcomes are a bug of the handler, not of the jobs.
  b.registry.add("short", std::make_unique<Batch>([&](std::span<const Job> jobs, Context&) {
                   return std::vector<Outcome>(jobs.size() > 1 ? jobs.size() - 1 : 1, Done{});
                 }));
  (void)b.start("gate");
  bad = b.last_id + 5;
  const auto ids = b.start_many("set", 10);
  (void)b.start_many("short", 10);
  gate.open();
  ASSERT_TRUE(b.wait([&] { return b.claims.empty(); }));
  for (const auto id : ids) {
    const auto& ended = b.results.at(id);
    EXPECT_EQ(ended.how, id == bad ? Ended::How::kJudged : Ended::How::kCommitted);
  }
  EXPECT_EQ(reason_of(b.results.at(bad)), "bad one");
  EXPECT_EQ(b.ledger.committed, 9);
}

TEST(WorkerExecutor, IsolatesASuspectAndCancelsWhatHasExpired) {
  FakeIsolation isolation;
  Bench b(2, &isolation);
  std::atomic<int> runs{0};
  b.add("kind", [&](const Job&, Context&) {
    ++runs;
    return done();
  });
  const auto* suspect = b.result(b.start("kind", 1));
  ASSERT_TRUE(suspect);
  EXPECT_EQ(suspect->how, Ended::How::kCrashed);
  Claim* const late = b.claim("kind");
  late->expired = true;
  const auto id = late->row().at.id;
  b.executor->start(std::span(&late, 1));
  const auto* expired = b.result(id);
  ASSERT_TRUE(expired);
  EXPECT_TRUE(std::holds_alternative<Cancel>(expired->outcome));
  EXPECT_EQ(runs, 0);
}

TEST(WorkerExecutor, TakesTheAnswersOfRemoteHandlers) {
  Bench b;
  auto owned = std::make_unique<Remote>();
  auto& remote = *owned;
  b.registry.add("far", std::move(owned));
  const auto first = b.start("far");
  const auto second = b.start("far");
  EXPECT_EQ(b.executor->in_flight(), 2U);
  EXPECT_TRUE(b.executor->recall().empty());
  remote.answer(second, done());
  ASSERT_TRUE(b.result(second));
  Job given_up;
  given_up.id = first;
  remote.abandon(given_up);
  ASSERT_TRUE(b.result(first));
  EXPECT_EQ(b.executor->in_flight(), 0U);
}

TEST(WorkerExecutor, BringsEveryClaimBackOnceWhateverIsDone) {
  FakeIsolation isolation;
  Bench b(3, &isolation);
  auto owned = std::make_unique<Remote>();
  auto& remote = *owned;
  b.registry.add("far", std::move(owned));
  b.add("short", [](const Job&, Context&) { return done(); });
  b.add("unit", [](const Job&, Context& context) {
    (void)context.unit();
    return done();
  });
  b.add("throws", [](const Job&, Context&) -> Outcome { throw 1; });
  KindPolicy policy;
  policy.timeout = 1ms;
  b.add(
      "waits",
      [](const Job&, Context& context) {
        while (!context.stop().stop_requested()) std::this_thread::yield();
        return retry("stopped");
      },
      policy);
  b.registry.add("set", std::make_unique<Batch>([](std::span<const Job> jobs, Context&) {
                   if (jobs.size() > 1 && jobs.front().id % 3 == 0) throw std::runtime_error("no");
                   return std::vector<Outcome>(jobs.size(), Done{});
                 }));
  std::mt19937 random(7);
  std::size_t recalled = 0;
  std::vector<JobId> calls;
  for (int step = 0; step < 10'000; ++step) {
    switch (random() % 10) {
      case 0: calls.push_back(b.start("far")); break;
      case 1: (void)b.start_many("set", static_cast<int>(random() % 10)); break;
      case 2:
        if (step % 20 == 0) (void)b.start("waits");
        break;
      case 3: (void)b.start("throws", static_cast<int>(random() % 2)); break;
      case 4:
        if (random() % 10 != 0) break;
        for (auto* claim : b.executor->recall()) {
          EXPECT_EQ(b.claims.erase(claim), 1U);
          ++recalled;
        }
        break;
      case 5:
        for (const auto id : std::exchange(calls, {})) remote.answer(id, done());
        break;
      case 6:
        if (random() % 100 == 0) b.executor->stop_all();
        break;
      case 7: (void)b.start_many("short", static_cast<int>(random() % 30)); break;
      case 8: (void)b.start("unit"); break;
      case 9: b.look(); break;
    }
  }
  for (const auto id : calls) remote.answer(id, done());
  ASSERT_TRUE(b.wait([&] { return b.claims.empty(); })) << b.claims.size() << " never came back";
  EXPECT_EQ(b.executor->in_flight(), 0U);
  EXPECT_EQ(b.results.size() + recalled, static_cast<std::size_t>(b.last_id));
}

}  // namespace
}  // namespace relevo::worker
