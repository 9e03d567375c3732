#include "relevo/worker/schedule_runner.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "relevo/core/backoff.hpp"
#include "relevo/core/error.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;

constexpr auto kLookEvery = 1s;
// After PostgreSQL has refused a job; each refusal costs a connection.
constexpr auto kRefusedPause = 30s;

}  // namespace

ScheduleRunner::ScheduleRunner(Connect connect, std::vector<ScheduleDefinition> configured,
                               ScheduleMetrics& metrics, core::Log& log, const core::Clock& clock)
    : connect_(std::move(connect)),
      configured_(std::move(configured)),
      metrics_(metrics),
      log_(log),
      clock_(clock) {}

ScheduleRunner::~ScheduleRunner() { stop(); }

void ScheduleRunner::start() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = false;
  }
  heartbeat_.beat(clock_.now());
  thread_ = std::thread([this] { run(); });
}

void ScheduleRunner::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  heartbeat_.rest();
}

bool ScheduleRunner::pause(std::chrono::nanoseconds time) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, time, [this] { return stopping_; });
}

void ScheduleRunner::run() {
  core::Backoff backoff(100ms, 2s);
  core::Outage outage("schedules", log_, clock_);
  std::unique_ptr<ScheduleStore> store;
  for (bool going = true; going;) {
    heartbeat_.beat(clock_.now());
    try {
      if (!store) store = connect_();
      if (!put_) put_configured(store);
      const auto idle = look(store);
      outage.recovered();
      backoff.reset();
      going = pause(idle);
    } catch (const core::IntegrationError& error) {
      store.reset();
      outage.failed(error.what());
      going = pause(backoff.next());
    }
  }
}

void ScheduleRunner::put_configured(std::unique_ptr<ScheduleStore>& store) {
  // A table that cannot even be read is an outage, not the fault of a schedule.
  (void)store->due();
  std::vector<std::string> names;
  for (const auto& schedule : configured_) {
    names.push_back(schedule.name);
    try {
      (void)parse_timing(schedule.timing);
      store->put_configured(schedule);
    } catch (const std::invalid_argument& error) {
      log_.error("schedule of the configuration is left out",
                 {{"schedule", schedule.name}, {"reason", error.what()}});
    } catch (const core::IntegrationError& error) {
      if (error.kind() != core::ErrorKind::kRejected) throw;
      log_.error("schedule of the configuration is left out",
                 {{"schedule", schedule.name}, {"reason", error.what()}});
      store = connect_();
    }
  }
  for (const auto& removed : store->remove_configured_except(names)) {
    log_.info("schedule removed: the configuration has it no more", {{"schedule", removed}});
  }
  put_ = true;
}

std::chrono::nanoseconds ScheduleRunner::look(std::unique_ptr<ScheduleStore>& store) {
  const auto due = store->due();
  for (auto& [name, state] : broken_) state.seen = false;
  std::optional<core::WallTime> soonest;
  for (const auto& row : due.rows) {
    if (row.paused) continue;
    if (!store) store = connect_();
    const auto next = serve(store, row, due.now);
    if (next && (!soonest || *next < *soonest)) soonest = next;
  }
  std::erase_if(broken_, [](const auto& entry) { return !entry.second.seen; });
  metrics_.schedules_broken(broken_.size());
  if (!soonest) return kLookEvery;
  // Never zero: the database's clock may be behind by what the round trip took.
  return std::clamp<std::chrono::nanoseconds>(*soonest - due.now, 1ms, kLookEvery);
}

std::optional<core::WallTime> ScheduleRunner::serve(std::unique_ptr<ScheduleStore>& store,
                                                    const ScheduleRow& row, core::WallTime now) {
  const auto known = broken_.find(row.name);
  if (known != broken_.end() && clock_.now() < known->second.try_again) {
    known->second.seen = true;
    return std::nullopt;
  }
  Plan todo;
  try {
    todo = plan(parse_timing(row.timing), {parse_missed(row.missed), row.missed_max}, row.last_tick,
                row.next_tick, now);
    if (todo.fire.empty() && todo.next == row.next_tick) return todo.next;
    const bool first = store->fire(row.name, row.next_tick, todo.next, todo.fire);
    if (first) tell(row.name, todo);
  } catch (const std::invalid_argument& error) {
    broken(row.name, error.what(), {});
    return std::nullopt;
  } catch (const core::IntegrationError& error) {
    if (error.kind() != core::ErrorKind::kRejected) throw;
    broken(row.name, error.what(), clock_.now() + kRefusedPause);
    store.reset();
    return std::nullopt;
  }
  return todo.next;
}

void ScheduleRunner::tell(const std::string& name, const Plan& done) {
  for (const auto tick : done.fire) metrics_.schedule_fired(name, tick);
  if (done.missed == 0) return;
  metrics_.schedule_missed(name, done.missed);
  log_.warn("schedule missed ticks", {{"schedule", name}, {"ticks", done.missed}});
}

void ScheduleRunner::broken(const std::string& name, const std::string& problem,
                            core::BootTime try_again) {
  auto& state = broken_[name];
  if (state.problem != problem) {
    log_.error("schedule cannot be fired", {{"schedule", name}, {"reason", problem}});
  }
  state = {problem, try_again, true};
}

}  // namespace relevo::worker
