// The scheduler against a table in memory. Whatever happens, a row is selected once per token, and
// no position may pass a row that the scheduler could forget.
#include "relevo/worker/scheduler.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <random>
#include <set>

#include "held_lanes.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

class NoHandler final : public JobHandler {
 public:
  Outcome run(const Job&, Context&) override { return done(); }
};

class FakeRemote final : public RemoteHandler {
 public:
  FakeRemote(const std::size_t& free, const bool& probes) : free_(free), probes_(probes) {}
  std::size_t room() const override { return free_; }
  bool probes() const override { return probes_; }
  void start(const Job&, std::chrono::milliseconds, Finished) override {}
  void abandon(const Job&) override {}

 private:
  const std::size_t& free_;
  const bool& probes_;
};

// A row as the table has it.
struct TableRow {
  Cursor at;
  Token token = 0;
  int attempts = 0;
  int crashes = 0;
  feed::Slice lane = 0;
  int job_class = 1;
  int priority = 0;
  bool by_due = false;  // has a run_at in the past
  bool due = true;
  std::string queue = "default";
  std::string kind = "local";
  std::optional<std::string> key;
  std::optional<std::string> rate;
  std::optional<std::string> tenant;
  std::string payload = "{}";
  std::int32_t large = 0;  // bytes of a payload that is fetched at the start instead

  JobRow view() const {
    JobRow row;
    row.at = at;
    row.lane = lane;
    row.job_class = job_class;
    row.token = token;
    row.attempts = attempts;
    row.crashes = crashes;
    row.due = due;
    if (by_due) row.run_at = core::WallTime{};
    row.queue = queue;
    row.kind = kind;
    row.priority = priority;
    row.concurrency_key = key;
    row.rate_key = rate;
    row.tenant = tenant;
    row.headers = "{}";
    if (large > 0) {
      row.payload_bytes = large;
    } else {
      row.payload = payload;
    }
    return row;
  }
};

class Table {
 public:
  TableRow& put(TableRow row) {
    row.at = {++xid_, row.at.id >= 0 ? row.at.id : ++id_};
    return rows_[row.at.id] = std::move(row);
  }
  void erase(JobId id) { rows_.erase(id); }
  TableRow* find(JobId id) {
    const auto found = rows_.find(id);
    return found == rows_.end() ? nullptr : &found->second;
  }
  // Another version of it, which the feed shows anew.
  void change(JobId id, bool by_due) {
    auto& row = rows_.at(id);
    ++row.token;
    row.at.xid = ++xid_;
    row.by_due = by_due;
    if (row.token % 3 == 0) ++row.crashes;
  }
  std::vector<const TableRow*> beyond(int job_class, Cursor after) const {
    std::vector<const TableRow*> found;
    for (const auto& [id, row] : rows_) {
      if (row.job_class == job_class && row.at > after) found.push_back(&row);
    }
    std::sort(found.begin(), found.end(), [](auto* x, auto* y) { return x->at < y->at; });
    return found;
  }
  const std::map<JobId, TableRow>& rows() const { return rows_; }

 private:
  std::map<JobId, TableRow> rows_;
  feed::Xid xid_ = 0;
  JobId id_ = 0;
};

constexpr feed::Slice kLanes = 4;
constexpr std::size_t kPage = 300;  // rows a scan looks at

// The worker's part: reads, claims and ends, with the real bookkeeping of lanes.
class World {
 public:
  World() {
    KindPolicy several;
    several.key_concurrency = 3;
    registry.add("local", std::make_unique<NoHandler>());
    registry.add("wide", std::make_unique<NoHandler>(), several);
    registry.add("far.*", std::make_unique<FakeRemote>(remote_room, remote_probes));
    registry.add("farther", std::make_unique<FakeRemote>(other_room, remote_probes));
    for (feed::Slice lane = 0; lane < kLanes; ++lane) {
      LaneRow row;
      row.lane = lane;
      lanes.add(row);
    }
  }

  void read(int job_class) {
    if (!scheduler.has_room(job_class)) return;
    auto& from = feed_[static_cast<std::size_t>(job_class)];
    auto found = table.beyond(job_class, from);
    if (found.size() > kPage) found.resize(kPage);
    if (found.empty()) return;
    from = found.back()->at;
    auto& batch = lanes.read(job_class, {1, 2, from, 0}, lanes.slices());
    for (const auto* row : found) scheduler.offer(row->view(), &batch);
  }
  void read_all() {
    for (int c = 0; c < kClasses; ++c) read(c);
  }
  // What the due index shows after it was begun anew.
  void read_due() {
    for (const auto& [id, row] : table.rows()) {
      if (row.by_due) scheduler.offer(row.view(), nullptr);
    }
  }

  bool refill(bool lost = false) {
    const auto refill = scheduler.next_refill();
    if (!refill) return false;
    ++refills;
    if (lost) {
      disconnect();
      return true;
    }
    JobRows rows;
    std::optional<Cursor> end;
    if (refill->scope == Scope::kKey) {
      for (const auto& [id, row] : table.rows()) {
        if (row.key != refill->value || id <= refill->after.id) continue;
        rows.rows.push_back(row.view());
        if (rows.rows.size() == 100) break;
      }
      if (rows.rows.size() == 100) end = Cursor{0, rows.rows.back().at.id};
    } else {
      auto found = table.beyond(refill->job_class, refill->after);
      if (found.size() > kPage) {
        found.resize(kPage);
        end = found.back()->at;
      }
      for (const auto* row : found) {
        if (matches(*row, *refill)) rows.rows.push_back(row->view());
      }
    }
    scheduler.refilled(*refill, rows, end);
    return true;
  }

  // The connection is lost: what waits is read again.
  void disconnect() {
    scheduler.forget_waiting();
    lanes.forget_reads();
    for (std::size_t c = 0; c < feed_.size(); ++c) {
      feed_[c] = lanes.find(0)->done[c].last_id;
      for (feed::Slice lane = 1; lane < kLanes; ++lane) {
        feed_[c] = std::min(feed_[c], lanes.find(lane)->done[c].last_id);
      }
    }
    read_due();
  }
  // As an operation on all jobs of a lane does it.
  void drop_lane(feed::Slice lane) {
    scheduler.drop_lane(lane);
    for (int c = 0; c < kClasses; ++c) scheduler.skip_from(c, feed::kStart<Cursor>);
    read_due();
  }

  std::vector<Selected> select(std::size_t jobs, std::size_t pool) {
    Room room;
    room.jobs = jobs;
    room.pool = pool;
    room.bytes = 1 << 20;
    room.lane = [this](feed::Slice) { return lane_room; };
    return scheduler.select(now, std::move(room));
  }
  void start(Selected one) {
    const auto& row = one.job->row();
    const auto* current = table.find(row.at.id);
    if (!current || current->token != row.token) {  // replaced meanwhile: its mark is not made
      scheduler.ended(row);
      scheduler.forget(one.job->key());
      return;
    }
    const auto fresh = started.emplace(row.at.id, row.token).second;
    EXPECT_TRUE(fresh) << "job " << row.at.id << " was started twice under one token";
    order.push_back(row.at.id);
    running.push_back(std::move(one));
  }
  void finish(std::size_t i) {
    auto one = take(i);
    table.erase(one.job->row().at.id);
    scheduler.ended(one.job->row());
    scheduler.forget(one.job->key());
  }
  Selected take(std::size_t i) {
    auto one = std::move(running[i]);
    running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
    return one;
  }

  void grant(std::optional<int> each, std::chrono::milliseconds wait) {
    for (const auto& [key, count] : scheduler.wanted_tokens(now, 100)) {
      scheduler.granted(key, {each ? std::optional(std::min(*each, count)) : each, wait}, now);
    }
  }

  // Takes every obstacle away and works until nothing is left to do.
  void finish_all() {
    scheduler.set_controls({}, kLanes, kLanes);
    remote_room = other_room = 100'000;
    remote_probes = false;
    lane_room = 100'000;
    for (int idle = 0; idle < 3;) {
      now += 1s;
      scheduler.set_controls({}, kLanes, kLanes);
      bool worked = false;
      read_all();
      grant(std::nullopt, 0ms);
      worked |= refill();
      for (auto& one : select(500, 500)) {
        worked = true;
        start(std::move(one));
      }
      check();
      while (!running.empty()) finish(running.size() - 1);
      const bool all_read = table.rows().empty();
      idle = worked ? 0 : idle + 1;
      if (all_read && idle > 0) break;
    }
  }

  // Every row that was read and not started is in front of a position, or of a place that the next
  // holder of its lane begins at.
  void check() {
    lanes.progress();
    const auto skipped = scheduler.skipped();
    std::set<std::pair<JobId, Token>> out;
    for (const auto& one : running) out.emplace(one.job->row().at.id, one.job->row().token);
    for (const auto& key : unforgotten) out.emplace(key.id, key.token);
    for (const auto& [id, row] : table.rows()) {
      if (row.by_due || out.contains({id, row.token})) continue;
      const auto c = static_cast<std::size_t>(row.job_class);
      const bool ahead = row.at > lanes.find(row.lane)->done[c].last_id;
      const bool left = skipped[c] && row.at > *skipped[c];
      EXPECT_TRUE(ahead || left) << "job " << id << " would be lost with its worker";
      if (!ahead && !left) return;
    }
    EXPECT_LE(scheduler.waiting(), 6'500U);
    EXPECT_LE(scheduler.bytes(), std::size_t{40} << 20);
  }

  std::size_t remote_room = 0;
  std::size_t other_room = 0;
  bool remote_probes = false;
  std::size_t lane_room = 512;
  Registry registry;
  HeldLanes lanes;
  Scheduler scheduler{registry};
  Table table;
  core::BootTime now{1h};
  std::vector<Selected> running;
  std::vector<JobKey> unforgotten;  // ended, and the commit not yet known
  std::set<std::pair<JobId, Token>> started;
  std::vector<JobId> order;
  std::size_t refills = 0;

 private:
  static bool matches(const TableRow& row, const Refill& refill) {
    switch (refill.scope) {
      case Scope::kQueue: return row.queue == refill.value;
      case Scope::kKind:
        return refill.value.ends_with('*')
                   ? row.kind.starts_with(refill.value.substr(0, refill.value.size() - 1))
                   : row.kind == refill.value;
      case Scope::kRate: return row.rate == refill.value;
      case Scope::kTenant: return row.tenant == refill.value;
      case Scope::kKey:
      case Scope::kAll: break;
    }
    return true;
  }

  std::array<Cursor, kClasses> feed_{};
};

QueueState paused(std::string queue, std::string kind = "*") {
  return {std::move(queue), std::move(kind), true, std::nullopt};
}

Controls with(std::vector<QueueState> states) {
  Controls controls;
  controls.queues = std::move(states);
  return controls;
}

std::vector<JobId> ids_of(const std::vector<Selected>& selected) {
  std::vector<JobId> ids;
  for (const auto& one : selected) ids.push_back(one.job->row().at.id);
  return ids;
}

std::size_t count_class(const std::vector<Selected>& selected, int job_class) {
  return static_cast<std::size_t>(
      std::count_if(selected.begin(), selected.end(),
                    [&](const Selected& one) { return one.job->row().job_class == job_class; }));
}

TableRow local(int job_class = 1) {
  TableRow row;
  row.job_class = job_class;
  return row;
}

TEST(WorkerScheduler, GivesTheClassesTheirSharesAndStarvesNone) {
  World w;
  for (int i = 0; i < 300; ++i) {
    for (int c = 0; c < kClasses; ++c) w.table.put(local(c));
  }
  w.read_all();
  const auto selected = w.select(210, 210);
  ASSERT_EQ(selected.size(), 210U);
  EXPECT_EQ(count_class(selected, 0), 160U);
  EXPECT_EQ(count_class(selected, 1), 40U);
  EXPECT_EQ(count_class(selected, 2), 10U);
}

TEST(WorkerScheduler, SharesAClassAmongItsTenantsByWeight) {
  World w;
  Controls controls;
  controls.tenant_weights = {{"big", 3}};
  w.scheduler.set_controls(controls, kLanes, kLanes);
  for (const auto* tenant : {"big", "small"}) {
    for (int i = 0; i < 100; ++i) {
      auto row = local();
      row.tenant = tenant;
      w.table.put(row);
    }
  }
  w.read_all();
  const auto selected = w.select(80, 80);
  const auto big = std::count_if(selected.begin(), selected.end(), [](const Selected& one) {
    return one.job->row().tenant == "big";
  });
  EXPECT_NEAR(static_cast<double>(big), 60, 1);
}

TEST(WorkerScheduler, TakesTheSoonestPriorityAndNowAndThenTheOldest) {
  World w;
  w.table.put(local());  // job 1, not urgent
  for (int i = 0; i < 20; ++i) {
    auto row = local();
    row.priority = 5;
    w.table.put(row);
  }
  w.read_all();
  const auto order = ids_of(w.select(10, 10));
  EXPECT_EQ(order.front(), 2);
  EXPECT_EQ(order[7], 1);  // every eighth is the oldest
}

TEST(WorkerScheduler, TakesTheSuspectsOfACrashBeforeTheOthers) {
  World world;
  for (int i = 0; i < 3; ++i) world.table.put({});
  for (int i = 0; i < 2; ++i) {
    TableRow suspect;
    suspect.crashes = 1;
    suspect.by_due = true;
    world.table.put(suspect);
  }
  world.read_all();
  EXPECT_THAT(ids_of(world.select(4, 4)), ElementsAre(4, 5, 1, 2));
}

TEST(WorkerScheduler, HasRoomForWhatIsDueWhenABacklogFillsIt) {
  World world;
  for (int i = 0; i < 5'000; ++i) world.table.put({});
  while (world.scheduler.has_room(1)) world.read(1);
  ASSERT_TRUE(world.scheduler.has_room_for_due(1));
  for (int i = 0; i < 5'000; ++i) {
    TableRow due;
    due.by_due = true;
    world.scheduler.offer(world.table.put(due).view(), nullptr);
  }
  EXPECT_FALSE(world.scheduler.has_room_for_due(1));
}

TEST(WorkerScheduler, RunsOneJobOfAKeyAtATimeInTheirOrder) {
  World w;
  for (int i = 0; i < 250; ++i) {
    auto row = local();
    row.key = "account-1";
    w.table.put(row);
  }
  w.read_all();
  while (!w.table.rows().empty()) {
    auto selected = w.select(10, 10);
    if (selected.empty()) {
      ASSERT_TRUE(w.refill());
      continue;
    }
    ASSERT_EQ(selected.size(), 1U);
    w.start(std::move(selected.front()));
    w.check();
    w.finish(0);
  }
  EXPECT_TRUE(std::is_sorted(w.order.begin(), w.order.end()));
}

// It fell to one at a time once the first hundred were done.
TEST(WorkerScheduler, RunsAsManyOfAKeyAsItsKindAllowsForAllOfThem) {
  World w;
  for (int i = 0; i < 400; ++i) {
    auto row = local();
    row.kind = "wide";
    row.key = "account-1";
    w.table.put(row);
  }
  w.read_all();
  std::size_t alone = 0;
  while (w.table.rows().size() > 3) {
    while (w.refill()) {
    }
    for (auto& one : w.select(10, 10)) w.start(std::move(one));
    ASSERT_LE(w.running.size(), 3U);
    alone += w.running.size() < 3;
    w.finish(0);
  }
  EXPECT_LE(alone, 8U);
}

TEST(WorkerScheduler, DoesNotLetALaterJobOfAKeyPassWhileTheFirstWaitsForAThread) {
  World w;
  for (int i = 0; i < 3; ++i) {
    auto row = local();
    row.key = "account-1";
    w.table.put(row);
  }
  w.read_all();
  auto first = w.select(1, 1);
  EXPECT_TRUE(w.select(10, 10).empty());
  w.start(std::move(first.front()));
  w.finish(0);
  // The second is ready; nothing is free, and time goes by.
  for (int i = 0; i < 3; ++i) w.scheduler.set_controls({}, kLanes, kLanes);
  EXPECT_THAT(ids_of(w.select(1, 1)), ElementsAre(2));
}

// Payloads of 1 MiB are fetched at once.
TEST(WorkerScheduler, DoesNotLetALaterJobOfAKeyPassWhileThePayloadOfTheFirstFindsNoRoom) {
  World w;
  for (const auto& [key, large] : {std::pair{"a", 900'000}, {"b", 900'000}, {"b", 0}, {"c", 0}}) {
    auto row = local();
    row.key = key;
    row.large = large;
    w.table.put(row);
  }
  w.read_all();
  EXPECT_THAT(ids_of(w.select(10, 10)), ElementsAre(1, 4));
  EXPECT_THAT(ids_of(w.select(10, 10)), ElementsAre(2));
}

TEST(WorkerScheduler, GivesTheTurnOfAKeyToTheNextWhenTheFirstCannotRun) {
  World w;
  for (const auto* queue : {"default", "still", "still", "default"}) {
    auto row = local();
    row.queue = queue;
    row.key = "account-1";
    w.table.put(row);
  }
  w.read_all();
  for (auto& one : w.select(10, 10)) w.start(std::move(one));
  w.scheduler.set_controls(with({paused("still")}), kLanes, kLanes);
  w.finish(0);
  EXPECT_THAT(ids_of(w.select(10, 10)), ElementsAre(4));
}

TEST(WorkerScheduler, CountsWhatRanBeforeALimitWasSet) {
  World w;
  for (int i = 0; i < 10; ++i) w.table.put(local());
  w.read_all();
  for (auto& one : w.select(2, 2)) w.start(std::move(one));
  const auto limit = with({{"default", "*", false, 2}});
  w.scheduler.set_controls(limit, kLanes, kLanes);
  EXPECT_TRUE(w.select(10, 10).empty());
  w.finish(0);
  for (auto& one : w.select(10, 10)) w.start(std::move(one));
  EXPECT_EQ(w.running.size(), 2U);
}

TEST(WorkerScheduler, TakesTheLargestLimitThereIs) {
  World w;
  w.table.put(local());
  w.read_all();
  w.scheduler.set_controls(with({{"default", "*", false, std::numeric_limits<int>::max()}}), 16,
                           16);
  EXPECT_EQ(w.select(10, 10).size(), 1U);
}

TEST(WorkerScheduler, ResumesOnePauseOfAQueueWhileAnotherLasts) {
  World w;
  w.scheduler.set_controls(with({paused("mail", "local"), paused("mail", "wide")}), kLanes, kLanes);
  for (int i = 0; i < 5'000; ++i) {
    auto row = local();
    row.queue = "mail";
    row.kind = i % 2 == 0 ? "local" : "wide";
    w.table.put(row);
  }
  for (int i = 0; i < 30; ++i) w.read_all();
  EXPECT_TRUE(w.select(10, 10).empty());
  w.check();
  w.scheduler.set_controls(with({paused("mail", "wide")}), kLanes, kLanes);
  for (int idle = 0; idle < 100;) {
    const bool read = w.refill();
    auto selected = w.select(500, 500);
    idle = read || !selected.empty() ? 0 : idle + 1;
    for (auto& one : selected) w.start(std::move(one));
    while (!w.running.empty()) w.finish(0);
  }
  EXPECT_EQ(w.order.size(), 2'500U);
}

// A paused queue of large jobs used up the memory that reading needs.
TEST(WorkerScheduler, ReadsOnWhileAPausedQueueIsFull) {
  World w;
  w.scheduler.set_controls(with({paused("mail")}), kLanes, kLanes);
  for (int i = 0; i < 9'000; ++i) {
    auto row = local();
    row.queue = "mail";
    row.payload.assign(4'000, ' ');
    w.table.put(row);
  }
  const auto other = w.table.put(local()).at.id;
  for (int i = 0; i < 40; ++i) w.read_all();
  EXPECT_THAT(ids_of(w.select(10, 10)), ElementsAre(other));
}

TEST(WorkerScheduler, ReadsOnWhileEndpointsAreDown) {
  World w;
  for (int i = 0; i < 9'000; ++i) {
    auto row = local();
    row.kind = i % 2 == 0 ? "far.one" : "farther";
    row.payload.assign(4'000, ' ');
    w.table.put(row);
  }
  const auto other = w.table.put(local()).at.id;
  for (int i = 0; i < 40; ++i) w.read_all();
  w.check();
  EXPECT_THAT(ids_of(w.select(10, 10)), ElementsAre(other));
}

TEST(WorkerScheduler, GivesEveryEndpointItsTurnWhenTheJournalIsShort) {
  World w;
  w.remote_room = w.other_room = 1'000;
  for (int i = 0; i < 300; ++i) {
    for (const auto* kind : {"far.one", "farther", "local"}) {
      auto row = local();
      row.kind = kind;
      w.table.put(row);
    }
  }
  w.read_all();
  std::map<std::string, int> kinds;
  for (int i = 0; i < 6; ++i) {
    for (const auto& one : w.select(10, 10)) ++kinds[std::string(one.job->row().kind)];
  }
  EXPECT_EQ(kinds.size(), 3U);
}

// How many probes of an endpoint that cannot stand the first `poison` jobs fail before one does
// not. A failed one is due again before the next.
int failed_probes(World& w, JobId poison) {
  w.remote_room = 1;
  w.remote_probes = true;
  for (int failed = 0; failed < 100; ++failed) {
    auto selected = w.select(1, 0);
    if (selected.size() != 1) {
      ADD_FAILURE() << "no job for the probe";
      break;
    }
    const auto key = selected.front().job->key();
    if (key.id > poison) return failed;
    w.scheduler.ended(selected.front().job->row());
    w.table.change(key.id, true);
    ++w.table.find(key.id)->attempts;
    w.scheduler.forget(key);
    w.read_due();
  }
  return 100;
}

TEST(WorkerScheduler, ProbesAnEndpointWithAnyOfItsJobs) {
  struct Case {
    const char* what;
    void (*poison)(TableRow&);
    int good;
    int most_failed;
  };
  for (const auto& c : {Case{"the first in line", [](TableRow&) {}, 470, 2},
                        Case{"a class before", [](TableRow& row) { row.job_class = 0; }, 30, 5},
                        Case{"a tenant of many", [](TableRow& row) { row.tenant = "a"; }, 1, 5},
                        Case{"more urgent", [](TableRow& row) { row.priority = 9; }, 470, 2},
                        Case{"tried before", [](TableRow& row) { row.attempts = 1; }, 1, 0},
                        // Whatever the chance: each fails but once.
                        Case{"nearly all", [](TableRow&) {}, 1, 30}}) {
    World w;
    for (int i = 0; i < 30 + c.good; ++i) {
      auto row = local();
      row.kind = "far.away";
      if (i < 30) c.poison(row);
      w.table.put(row);
    }
    w.read_all();
    EXPECT_LE(failed_probes(w, 30), c.most_failed) << c.what;
    // Once it is well the first in line are again the first.
    w.remote_probes = false;
    w.remote_room = 5;
    const auto order = ids_of(w.select(5, 0));
    EXPECT_TRUE(order.size() == 5 && order.front() <= 30) << c.what;
  }
}

TEST(WorkerScheduler, LetsNoProbeOvertakeAnEarlierJobOfItsKey) {
  World w;
  w.remote_room = 1;
  w.remote_probes = true;
  for (int i = 0; i < 90; ++i) {
    auto row = local();
    row.kind = "far.away";
    row.key = "account-" + std::to_string(i % 3);
    w.table.put(row);
  }
  w.read_all();
  while (!w.table.rows().empty()) {
    auto selected = w.select(1, 0);
    ASSERT_EQ(selected.size(), 1U);
    w.start(std::move(selected.front()));
    w.check();
    w.finish(0);
  }
  std::array<JobId, 3> last{};
  for (const auto id : w.order) {
    auto& before = last[static_cast<std::size_t>(id % 3)];
    EXPECT_GT(id, before);
    before = id;
  }
  EXPECT_FALSE(std::is_sorted(w.order.begin(), w.order.end())) << "the keys were never mixed";
}

TEST(WorkerScheduler, LetsNoTenantFillTheBufferOfAnEndpoint) {
  World w;
  w.remote_room = 1'000;
  const auto put = [&](const char* tenant, int jobs) {
    for (int i = 0; i < jobs; ++i) {
      auto row = local();
      row.kind = "far.one";
      row.tenant = tenant;
      w.table.put(row);
    }
  };
  put("noisy", 5'000);
  put("quiet", 10);
  for (int i = 0; i < 30; ++i) w.read_all();
  std::map<std::string, int> tenants;
  for (auto& one : w.select(40, 40)) {
    ++tenants[std::string(one.job->row().tenant.value_or(""))];
    w.start(std::move(one));
  }
  EXPECT_EQ(tenants["quiet"], 10);
  // The others follow, though some of them were left in the table.
  int left = 5'000 - tenants["noisy"];
  for (int i = 0; i < 2'000 && left > 0; ++i) {
    w.refill();
    for (auto& one : w.select(100, 100)) {
      w.start(std::move(one));
      --left;
    }
    while (!w.running.empty()) w.finish(0);
  }
  EXPECT_EQ(left, 0);
}

TEST(WorkerScheduler, PassesByAJobWhoseLaneIsFull) {
  World w;
  w.table.put(local());
  auto other = local();
  other.lane = 1;
  w.table.put(other);
  w.read_all();
  Room room{10, 10, 1 << 20, [](feed::Slice lane) { return lane == 0 ? 0U : 5U; }};
  EXPECT_THAT(ids_of(w.scheduler.select(w.now, room)), ElementsAre(2));
  EXPECT_THAT(ids_of(w.select(10, 10)), ElementsAre(1));
}

TEST(WorkerScheduler, DoesNotReadAgainWhatItWouldOnlyLeave) {
  World w;
  for (int i = 0; i < 6'000; ++i) {
    auto row = local();
    row.queue = "narrow";
    w.table.put(row);
  }
  for (int i = 0; i < 3'000; ++i) {
    auto row = local();
    row.rate = "slow";
    w.table.put(row);
  }
  w.scheduler.set_controls(with({{"narrow", "*", false, 1}}), kLanes, kLanes);
  for (auto& one : w.select(500, 500)) w.start(std::move(one));
  for (int i = 0; i < 60; ++i) {
    w.read_all();
    for (auto& one : w.select(500, 500)) w.start(std::move(one));
  }
  w.refills = 0;
  for (int i = 0; i < 500; ++i) {
    w.refill();
    for (auto& one : w.select(500, 500)) w.start(std::move(one));
  }
  EXPECT_LE(w.refills, 40U);
}

TEST(WorkerScheduler, TakesTheNewVersionOfAJobThatIsPutBack) {
  World w;
  w.table.put(local());
  w.read_all();
  auto selected = w.select(1, 1);
  ASSERT_EQ(selected.size(), 1U);
  w.scheduler.put_back(std::move(selected.front()), w.now + 50ms);
  w.check();
  w.table.change(1, false);  // by whoever had it locked
  w.read_all();
  w.now += 1s;
  const auto again = w.select(10, 10);
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again.front().job->row().token, 1);
}

TEST(WorkerScheduler, WaitsWithAJobThatIsPutBack) {
  World w;
  w.table.put(local());
  w.read_all();
  auto selected = w.select(1, 1);
  w.scheduler.put_back(std::move(selected.front()), w.now + 50ms);
  EXPECT_TRUE(w.select(1, 1).empty());
  EXPECT_EQ(w.scheduler.next_time(), w.now + 50ms);
  EXPECT_EQ(w.scheduler.waiting(), 1U);
  w.now += 50ms;
  EXPECT_EQ(w.select(1, 1).size(), 1U);
}

TEST(WorkerScheduler, RemembersThePlaceOfARefillWhoseAnswerIsLost) {
  World w;
  w.scheduler.skip_from(1, Cursor{5, 5});
  ASSERT_TRUE(w.scheduler.next_refill());
  EXPECT_EQ(w.scheduler.skipped()[1], (Cursor{5, 5}));
  w.scheduler.forget_waiting();
  EXPECT_EQ(w.scheduler.skipped()[1], (Cursor{5, 5}));
}

TEST(WorkerScheduler, LetsPositionsGoOnWhenUncoupled) {
  World w;
  auto row = local();
  row.kind = "farther";  // down
  w.table.put(row);
  w.read_all();
  w.table.put(local());
  w.read_all();
  w.lanes.progress();
  EXPECT_EQ(w.lanes.find(0)->done[1].last_id, feed::kStart<Cursor>);
  w.scheduler.uncouple(1);
  w.lanes.progress();
  EXPECT_NE(w.lanes.find(0)->done[1].last_id, feed::kStart<Cursor>);
  w.check();
}

TEST(WorkerScheduler, AsksForTokensBeforeTheTurnOfTheJobs) {
  World w;
  auto row = local();
  row.rate = "fast";
  for (int i = 0; i < 3; ++i) {
    row.at = {};
    w.table.put(row);
  }
  w.read_all();
  EXPECT_TRUE(w.scheduler.wanted_tokens(w.now, 0).empty()) << "none could start";
  const auto wanted = w.scheduler.wanted_tokens(w.now, 10);
  ASSERT_EQ(wanted.size(), 1U);
  EXPECT_EQ(wanted.front(), (std::pair<std::string, int>("fast", 3)));
  w.scheduler.granted("fast", {3, 0ms}, w.now);
  EXPECT_TRUE(w.scheduler.wanted_tokens(w.now, 10).empty());
  EXPECT_EQ(w.select(10, 10).size(), 3U);
  EXPECT_EQ(w.scheduler.waiting(), 0U);
}

TEST(WorkerScheduler, KeepsTheTokensItHasWhenMoreAreGranted) {
  World w;
  auto row = local();
  row.rate = "fast";
  w.table.put(row);
  w.read_all();
  w.scheduler.granted("fast", {2, 0ms}, w.now);
  w.scheduler.granted("fast", {1, 0ms}, w.now);
  for (int i = 0; i < 3; ++i) {
    row.at = {};
    w.table.put(row);
  }
  w.read_all();
  EXPECT_EQ(w.select(10, 10).size(), 3U);
}

TEST(WorkerScheduler, ForgetsABucketOnceItsLeaseIsOver) {
  World w;
  auto row = local();
  row.rate = "slow";
  w.table.put(row);
  row.at = {};
  w.table.put(row);
  w.read_all();
  EXPECT_TRUE(w.select(10, 10).empty());
  w.grant(1, 100ms);
  for (auto& one : w.select(10, 10)) w.start(std::move(one));
  EXPECT_EQ(w.running.size(), 1U);
  EXPECT_TRUE(w.scheduler.wanted_tokens(w.now, 10).empty());
  EXPECT_EQ(w.scheduler.next_time(), w.now + 100ms);
  w.now += 100ms;
  EXPECT_EQ(w.scheduler.wanted_tokens(w.now, 10).size(), 1U);
  w.grant(std::nullopt, 0ms);
  EXPECT_EQ(w.select(10, 10).size(), 1U);
}

// What a row waits for is fixed by its key, so that the order of a key is defined.
TableRow random_row(std::mt19937& random, int flavour) {
  const auto below = [&](unsigned n) { return random() % n; };
  TableRow row;
  row.lane = static_cast<feed::Slice>(below(kLanes));
  row.job_class = static_cast<int>(below(kClasses));
  row.priority = static_cast<int>(below(3));
  row.kind = std::array{"local", "wide", "far.one", "farther", "unknown"}[below(5)];
  row.queue = std::array{"default", "mail", "narrow"}[below(3)];
  if (below(3) == 0) row.tenant = std::array{"noisy", "quiet", "third"}[below(3)];
  if (below(4) == 0) row.rate = std::array{"slow", "fast"}[below(2)];
  if (below(50) == 0) row.payload.assign(4'000, ' ');
  if (below(10) == 0) row.large = static_cast<std::int32_t>(below(600'000));
  if (below(10) == 0) row.by_due = true;
  if (flavour == 1) {
    row.tenant = "noisy";
    row.job_class = 1;
  }
  if (flavour == 2) row.rate = "slow";
  if (below(3) == 0 || flavour == 3) {
    const auto key = below(6);
    row.key = "key-" + std::to_string(key);
    row.lane = static_cast<feed::Slice>(key % kLanes);
    row.job_class = static_cast<int>(key % kClasses);
    row.priority = 0;
    row.kind = key % 2 == 0 ? "wide" : key == 5 ? "far.one" : "local";
    row.queue = key % 3 == 0 ? "narrow" : "default";
    row.tenant = key % 3 == 0 ? std::optional<std::string>("noisy") : std::nullopt;
    row.rate.reset();
    row.by_due = false;
  }
  return row;
}

void check_limits(const World& w, int narrow) {
  std::map<std::string, int> keys;
  int in_narrow = 0;
  for (const auto& one : w.running) {
    const auto& row = one.job->row();
    if (row.queue == "narrow") ++in_narrow;
    if (!row.concurrency_key) continue;
    const int most = row.kind == "wide" ? 3 : 1;
    EXPECT_LE(++keys[std::string(*row.concurrency_key)], most);
  }
  if (narrow > 0) {
    EXPECT_LE(in_narrow, narrow);
  }
}

RC_GTEST_PROP(WorkerSchedulerProperty, LosesNoJobAndStartsNoneTwice, (std::uint32_t seed)) {
  std::mt19937 random(seed);
  const auto below = [&](std::size_t n) { return random() % n; };
  World w;
  int limit = 0;
  std::size_t inserted = 0;
  for (int step = 0; step < 120; ++step) {
    switch (below(16)) {
      case 0:
      case 1: {
        const auto flavour = static_cast<int>(below(5));
        const auto count = flavour < 4 && below(4) == 0 ? 1'500 : below(60);
        if (inserted + count > 6'000) break;
        inserted += count;
        for (std::size_t i = 0; i < count; ++i) w.table.put(random_row(random, flavour));
        break;
      }
      case 2:
      case 3: w.read(static_cast<int>(below(kClasses))); break;
      case 4: w.refill(); break;
      case 5:
      case 6:
      case 7: {
        const bool unlimited = limit == 0;
        for (auto& one : w.select(below(80), below(80))) {
          if (below(12) == 0) {
            w.scheduler.put_back(std::move(one), below(2) == 0 ? core::BootTime{} : w.now + 30ms);
          } else {
            w.start(std::move(one));
          }
        }
        if (unlimited) check_limits(w, 0);
        break;
      }
      case 8:
      case 9:
        for (auto i = below(w.running.size() + 1); i > 0; --i) w.finish(below(w.running.size()));
        break;
      case 10: {  // failed: waits again under another token, before the commit is known
        if (w.running.empty()) break;
        auto one = w.take(below(w.running.size()));
        w.scheduler.ended(one.job->row());
        w.unforgotten.push_back(one.job->key());
        if (below(2) == 0) w.table.change(one.job->row().at.id, below(2) == 0);
        break;
      }
      case 11: {  // the answers come
        for (const auto& key : std::exchange(w.unforgotten, {})) {
          auto* row = w.table.find(key.id);
          if (row && row->token == key.token) w.table.change(key.id, below(2) == 0);
          w.scheduler.forget(key);
        }
        w.read_due();
        break;
      }
      case 12: {  // replaced or cancelled
        if (w.table.rows().empty()) break;
        auto row = w.table.rows().begin();
        std::advance(row, static_cast<std::ptrdiff_t>(below(w.table.rows().size())));
        const auto id = row->first;
        const bool out = std::any_of(w.running.begin(), w.running.end(),
                                     [&](const auto& one) { return one.job->row().at.id == id; });
        const bool ending = std::any_of(w.unforgotten.begin(), w.unforgotten.end(),
                                        [&](const JobKey& key) { return key.id == id; });
        if (out || ending) break;
        if (below(2) == 0) {
          w.table.change(id, false);
        } else {
          w.table.erase(id);
          w.scheduler.remove(id);
        }
        break;
      }
      case 13: {
        Controls controls;
        if (below(2) == 0) controls.queues.push_back(paused("mail"));
        if (below(3) == 0) controls.queues.push_back(paused("*", "far.*"));
        if (below(4) == 0) controls.queues.push_back(paused("mail", "local"));
        limit = below(2) == 0 ? 4 : 0;
        if (limit > 0) controls.queues.push_back({"narrow", "*", false, limit});
        w.scheduler.set_controls(controls, kLanes, kLanes);
        w.remote_probes = below(3) == 0;
        w.remote_room = below(3) * 40;
        w.other_room = below(3) * 40;
        w.lane_room = below(3) == 0 ? 3 : 512;
        break;
      }
      case 14:
        w.now += std::chrono::milliseconds(below(300));
        w.grant(below(4) == 0 ? std::nullopt : std::optional(static_cast<int>(below(50))),
                std::chrono::milliseconds(below(100)));
        break;
      case 15:
        switch (below(5)) {
          case 0: w.disconnect(); break;
          case 1: w.refill(true); break;
          case 2: w.drop_lane(static_cast<feed::Slice>(below(kLanes))); break;
          default: w.scheduler.uncouple(static_cast<int>(below(kClasses))); break;
        }
        break;
    }
    w.check();
  }
  for (const auto& key : std::exchange(w.unforgotten, {})) {
    auto* row = w.table.find(key.id);
    if (row && row->token == key.token) w.table.change(key.id, true);
    w.scheduler.forget(key);
  }
  w.read_due();
  w.finish_all();
  EXPECT_TRUE(w.table.rows().empty()) << w.table.rows().size() << " jobs were never run";
  EXPECT_EQ(w.scheduler.ready(), 0U);
  EXPECT_EQ(w.scheduler.bytes(), 0U);
  EXPECT_FALSE(w.scheduler.has_left());
  RC_ASSERT(!testing::Test::HasFailure());
}

RC_GTEST_PROP(WorkerSchedulerProperty, KeepsTheOrderOfAKeyAndItsLimits, (std::uint32_t seed)) {
  std::mt19937 random(seed);
  const auto below = [&](std::size_t n) { return random() % n; };
  World w;
  w.remote_room = w.other_room = 50;
  w.scheduler.set_controls(with({{"narrow", "*", false, 4}}), kLanes, kLanes);
  std::size_t inserted = 0;
  std::map<JobId, std::string> keys;
  for (int step = 0; step < 150; ++step) {
    switch (below(6)) {
      case 0: {
        const auto count = below(5) == 0 ? 1'500 : below(60);
        if (inserted + count > 5'000) break;
        inserted += count;
        const auto flavour = static_cast<int>(below(5));
        for (std::size_t i = 0; i < count; ++i) {
          const auto& row = w.table.put(random_row(random, flavour));
          if (row.key) keys[row.at.id] = *row.key;
        }
        break;
      }
      case 1: w.read_all(); break;
      case 2: w.refill(); break;
      case 3:
        for (auto& one : w.select(below(80), below(80))) w.start(std::move(one));
        check_limits(w, 4);
        break;
      case 4:
        for (auto i = below(w.running.size() + 1); i > 0; --i) w.finish(below(w.running.size()));
        break;
      case 5:
        w.now += std::chrono::milliseconds(below(300));
        w.grant(static_cast<int>(below(50)), std::chrono::milliseconds(below(100)));
        w.scheduler.set_controls(with({{"narrow", "*", false, 4}}), kLanes, kLanes);
        w.remote_probes = below(3) == 0;
        break;
    }
    w.check();
  }
  w.finish_all();
  EXPECT_TRUE(w.table.rows().empty()) << w.table.rows().size() << " jobs were never run";
  std::map<std::string, JobId> last;
  for (const auto id : w.order) {
    const auto key = keys.find(id);
    if (key == keys.end() || (key->second.back() - '0') % 2 == 0) continue;  // several at a time
    EXPECT_GT(id, last[key->second]) << key->second;
    last[key->second] = id;
  }
  RC_ASSERT(!testing::Test::HasFailure());
}

}  // namespace
}  // namespace relevo::worker
