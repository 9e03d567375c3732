#include "relevo/worker/executor.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <exception>
#include <utility>

#include "relevo/core/error.hpp"
#include "relevo/core/invariant.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr auto kCheckEvery = 10ms;
constexpr nanoseconds kChunk = 500us;  // of work a thread takes at once
constexpr std::size_t kLargestChunk = 128;
constexpr nanoseconds kUnknownRun = 10ms;
constexpr milliseconds kDefaultTimeout{300'000};
constexpr auto kSlow = 20ms;   // then what a thread has taken beside goes back to the others
constexpr auto kAhead = 20ms;  // of work the threads are given beforehand
constexpr std::size_t kMostAhead = 4'000;

milliseconds in_millis(nanoseconds time) { return std::chrono::duration_cast<milliseconds>(time); }

bool ends_unit_well(const Outcome& outcome) {
  return std::holds_alternative<Done>(outcome) || std::holds_alternative<Snooze>(outcome) ||
         std::holds_alternative<Cancel>(outcome);
}

// The attempt met a fault of PostgreSQL that says nothing about the job.
bool says_nothing(const core::IntegrationError& error) {
  using core::ErrorKind;
  return error.kind() == ErrorKind::kDisconnected || error.kind() == ErrorKind::kConflict ||
         error.kind() == ErrorKind::kOverloaded;
}

}  // namespace

const KindPolicy& Claim::policy() const {
  static const KindPolicy kNone{};
  return kind ? kind->policy : kNone;
}

milliseconds Claim::timeout() const {
  if (row().timeout) return *row().timeout;
  return kind ? kind->policy.timeout : kDefaultTimeout;
}

// What one thread is doing, so that the worker can watch the time.
struct Executor::Slot {
  std::mutex mutex;
  std::vector<Claim*> running;  // one, or those of a batch
  core::BootTime since{};
  std::optional<core::BootTime> stop_asked;
  bool given_up = false;
  std::vector<std::unique_ptr<Claim>> owned;  // of the run that was given up
  std::vector<Claim*> chunk;                  // taken, not begun
  bool singly = false;                        // the chunk is of a batch that has failed
  std::vector<Ended> done;                    // not yet posted
  std::unique_ptr<UnitSource> units;
  Judge judge;
};

class Executor::RunContext final : public Context {
 public:
  RunContext(core::Log& log, const core::Clock& clock, UnitSource& units, std::stop_token stop)
      : log_(log), clock_(clock), units_(units), stop_(std::move(stop)) {}

  UnitOfWork& unit() override {
    if (!unit_) unit_ = units_.begin();
    return *unit_;
  }
  const core::Clock& clock() const override { return clock_; }
  std::stop_token stop() const override { return stop_; }
  core::Log& log() override { return log_; }

  RunUnit* opened() { return unit_ && unit_->used() ? unit_.get() : nullptr; }

 private:
  core::Log& log_;
  const core::Clock& clock_;
  UnitSource& units_;
  std::stop_token stop_;
  std::unique_ptr<RunUnit> unit_;
};

Executor::Executor(Options options, std::function<std::unique_ptr<UnitSource>()> units,
                   Isolation* isolation, core::Log& log, const core::Clock& clock)
    : options_(std::move(options)),
      units_(std::move(units)),
      isolation_(isolation),
      log_(log),
      clock_(clock),
      event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  RELEVO_INVARIANT(event_ >= 0, "an eventfd can be had");
  for (int i = 0; i < options_.threads; ++i) add_thread();
}

Executor::~Executor() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
  ::close(event_);
}

void Executor::add_thread() {
  auto slot = std::make_shared<Slot>();  // owners: the executor, and the thread that may outlive it
  slots_.push_back(slot);
  threads_.emplace_back([this, slot] { run_thread(slot); });
}

std::size_t Executor::room() const {
  const auto wanted =
      static_cast<std::size_t>(pool_rate_ * std::chrono::duration<double>(kAhead).count());
  const auto most = std::clamp(wanted, static_cast<std::size_t>(2 * options_.threads), kMostAhead);
  return most > pool_in_flight_ ? most - pool_in_flight_ : 0;
}

// Runs at its endpoint, without a thread of the pool.
bool Executor::runs_remotely(const Claim& claim) const {
  const bool isolated = claim.row().crashes > 0 && isolation_;
  return is_remote(claim.kind) && !isolated && !claim.expired;
}

void Executor::start(std::span<Claim* const> claims) {
  std::size_t queued = 0;
  {
    std::lock_guard lock(mutex_);
    for (auto* claim : claims) {
      if (runs_remotely(*claim)) continue;
      queue_.push_back(claim);
      ++queued;
    }
  }
  in_flight_ += claims.size();
  pool_in_flight_ += queued;
  // No more threads than there are jobs.
  if (queued < slots_.size()) {
    for (auto left = queued; left > 0; --left) wake_.notify_one();
  } else {
    wake_.notify_all();
  }
  if (queued == claims.size()) return;
  for (auto* claim : claims) {
    if (runs_remotely(*claim)) start_remote(*claim);
  }
}

void Executor::start_remote(Claim& claim) {
  const auto begun = clock_.now();
  claim.kind->remote->start(claim.job->job(), claim.timeout(),
                            [this, &claim, begun](Outcome outcome) {
                              std::vector<Ended> ended;
                              ended.push_back({&claim, std::move(outcome), clock_.now() - begun});
                              post(ended);
                            });
}

void Executor::collect(std::vector<Ended>& ended) {
  std::uint64_t count = 0;
  (void)!::read(event_, &count, sizeof count);
  const auto first = ended.size();
  {
    std::lock_guard lock(mutex_);
    ended.insert(ended.end(), std::make_move_iterator(ended_.begin()),
                 std::make_move_iterator(ended_.end()));
    ended_.clear();
  }
  for (auto i = first; i < ended.size(); ++i) {
    --in_flight_;
    if (runs_remotely(*ended[i].claim)) continue;
    --pool_in_flight_;
    ++pool_ended_;
  }
  const auto now = clock_.now();
  if (now - rate_since_ < kCheckEvery) return;
  const auto seconds = std::chrono::duration<double>(now - rate_since_).count();
  const double measured = static_cast<double>(pool_ended_) / seconds;
  pool_rate_ = seconds > 1 ? measured : std::max(measured, pool_rate_ * 0.9);
  rate_since_ = now;
  pool_ended_ = 0;
}

std::vector<Claim*> Executor::recall() {
  std::vector<Claim*> recalled;
  {
    std::lock_guard lock(mutex_);
    recalled.assign(queue_.begin(), queue_.end());
    queue_.clear();
    for (const auto& slot : slots_) {
      std::lock_guard one(slot->mutex);
      recalled.insert(recalled.end(), slot->chunk.begin(), slot->chunk.end());
      slot->chunk.clear();
    }
  }
  in_flight_ -= recalled.size();
  pool_in_flight_ -= recalled.size();
  return recalled;
}

void Executor::keep_time(core::BootTime now,
                         const std::function<std::unique_ptr<Claim>(const Claim&)>& owned) {
  if (now < next_check_) return;
  next_check_ = now + kCheckEvery;
  if (isolation_) isolation_->tidy(now);
  int lost = 0;
  for (const auto& slot : slots_) {
    std::unique_lock lock(slot->mutex);
    if (slot->running.empty() || slot->given_up || now - slot->since < kSlow) continue;
    const auto over = now - slot->since - slot->running.front()->timeout();
    if (over >= 0ns && !slot->stop_asked) {
      slot->stop_asked = now;
      slot->running.front()->stop.request_stop();
    }
    if (slot->stop_asked && now - *slot->stop_asked >= options_.give_up) {
      // The thread is lost until it comes back by itself. Its claim lives on for it; the attempt
      // has failed, and whatever it still does is refused by its token.
      slot->given_up = true;
      slot->singly = false;
      ++given_up_;
      for (auto* claim : slot->running) {
        log_.error("handler ignores its stop token; its thread is given up",
                   {{"kind", claim->row().kind}, {"job", claim->row().at.id}});
        slot->owned.push_back(owned(*claim));
        --in_flight_;
        --pool_in_flight_;
      }
      ++lost;
    }
    // Nothing waits for a slow job: neither what ended before it nor what was to come after it.
    auto done = std::exchange(slot->done, {});
    const auto rest = slot->singly ? std::vector<Claim*>{} : std::exchange(slot->chunk, {});
    lock.unlock();
    post(done);
    if (rest.empty()) continue;
    {
      std::lock_guard all(mutex_);
      queue_.insert(queue_.begin(), rest.begin(), rest.end());
    }
    wake_.notify_all();
  }
  for (; lost > 0; --lost) add_thread();
}

void Executor::stop_all() {
  std::lock_guard lock(mutex_);
  for (const auto& slot : slots_) {
    std::lock_guard one(slot->mutex);
    for (auto* claim : slot->running) claim->stop.request_stop();
  }
}

void Executor::abandon() {
  for (auto& thread : threads_) {
    if (thread.joinable()) thread.detach();
  }
}

void Executor::post(std::vector<Ended>& ended) {
  if (ended.empty()) return;
  {
    std::lock_guard lock(mutex_);
    for (auto& one : ended) {
      if (one.claim->kind) {
        auto& mean = mean_.try_emplace(one.claim->kind, one.ran).first->second;
        mean += (one.ran - mean) / 8;
      }
      ended_.push_back(std::move(one));
    }
  }
  ended.clear();
  const std::uint64_t one = 1;
  (void)!::write(event_, &one, sizeof one);
}

// Short jobs are taken many at a time: a lock and a wake-up each would cost more than the work.
Executor::Taken Executor::take(Slot& slot) {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
  std::vector<Claim*> taken;
  nanoseconds expected{0};
  const auto fair = std::max<std::size_t>(
      1, queue_.size() / static_cast<std::size_t>(std::max(options_.threads, 1)));
  while (!queue_.empty()) {
    auto* claim = queue_.front();
    const bool batch = claim->kind && claim->kind->batch;
    if (!taken.empty()) {
      const bool same_batch = batch && claim->kind == taken.front()->kind &&
                              taken.size() < claim->kind->policy.batch_size;
      const bool short_enough = !batch && !(taken.front()->kind && taken.front()->kind->batch) &&
                                expected < kChunk && taken.size() < std::min(fair, kLargestChunk);
      if (!same_batch && !short_enough) break;
    }
    const auto mean = mean_.find(claim->kind);
    expected += mean == mean_.end() ? kUnknownRun : mean->second;
    taken.push_back(claim);
    queue_.pop_front();
  }
  Taken sorted;
  for (auto* claim : taken) {
    // A suspect or an expired one is no matter for a batch.
    const bool joins = claim->kind && claim->kind->batch && taken.size() > 1 && !claim->expired &&
                       claim->row().crashes == 0;
    (joins ? sorted.together : sorted.singly).push_back(claim);
  }
  std::lock_guard one(slot.mutex);
  slot.chunk.assign(taken.begin(), taken.end());
  slot.singly = false;
  return sorted;
}

// slot.running: which of the claims are still this thread's to run. False: none of them.
bool Executor::begin(Slot& slot, std::span<Claim* const> claims) {
  std::lock_guard lock(slot.mutex);
  slot.running.clear();
  for (auto* claim : claims) {
    if (std::erase(slot.chunk, claim) > 0) slot.running.push_back(claim);
  }
  slot.since = clock_.now();
  slot.stop_asked.reset();
  return !slot.running.empty();
}

// False: the run was given up meanwhile, nobody waits for its result. None: the claims are to be
// run singly.
bool Executor::leave(Slot& slot, std::span<Ended> results) {
  std::lock_guard lock(slot.mutex);
  if (slot.given_up) return false;
  if (results.empty()) {
    slot.chunk.insert(slot.chunk.begin(), slot.running.begin(), slot.running.end());
    slot.singly = true;
  }
  std::move(results.begin(), results.end(), std::back_inserter(slot.done));
  slot.running.clear();
  return true;
}

void Executor::run_thread(const std::shared_ptr<Slot>& slot) {
  for (;;) {
    auto taken = take(*slot);
    if (taken.together.empty() && taken.singly.empty()) return;
    if (!slot->units) slot->units = units_();
    run_batch(*slot, taken);
    std::vector<Ended> done;
    {
      std::lock_guard lock(slot->mutex);
      if (slot->given_up) break;
      done.swap(slot->done);
    }
    post(done);
  }
  --given_up_;
  log_.warn("handler that was given up came back");
}

void Executor::run_claims(Slot& slot, std::span<Claim* const> claims) {
  for (auto* claim : claims) {
    if (!begin(slot, std::span(&claim, 1))) continue;
    auto one = run_single(*claim, *slot.units, slot.judge);
    if (!leave(slot, std::span(&one, 1))) return;
  }
}

Ended Executor::run_single(Claim& claim, UnitSource& units, Judge& judge) {
  if (claim.row().crashes > 0 && isolation_ && !claim.expired) {
    return isolation_->run(claim, claim.stop.get_token());
  }
  return run_here(claim, units, judge, log_, clock_);
}

Ended Executor::run_here(Claim& claim, UnitSource& units, Judge& judge, core::Log& log,
                         const core::Clock& clock) {
  Ended ended{&claim, Done{}, 0ns, Ended::How::kJudged};
  const auto begun = clock.now();
  const auto over = [&](Outcome outcome) {
    ended.outcome = std::move(outcome);
    ended.ran = clock.now() - begun;
    return std::move(ended);
  };
  if (claim.expired) return over(Cancel{"expired before it could start"});
  if (!claim.kind) {
    return over(
        Retry{"no handler for kind \"" + clean_text(claim.row().kind, 255) + "\" in this worker",
              std::nullopt});
  }
  RunContext context(log, clock, units, claim.stop.get_token());
  try {
    const auto job = claim.job->job();
    ended.outcome = claim.kind->handler ? claim.kind->handler->run(job, context)
                    : claim.kind->batch ? claim.kind->batch->run(std::span(&job, 1), context).at(0)
                                        : Outcome(Retry{"has no handler", std::nullopt});
    ended.ran = clock.now() - begun;
    if (auto* unit = context.opened()) {
      std::vector<Ended> one;
      one.push_back(std::move(ended));
      Claim* const only = &claim;
      conclude(std::span(&only, 1), one, *unit, judge);
      ended = std::move(one.front());
    }
    return ended;
  } catch (const core::IntegrationError& error) {
    auto result = over(Retry{error.what(), std::nullopt});
    if (says_nothing(error)) result.how = Ended::How::kInDoubt;
    return result;
  } catch (const std::exception& error) {
    return over(Retry{error.what(), std::nullopt});
  } catch (...) {
    return over(Retry{"the handler threw something that is not a std::exception", std::nullopt});
  }
}

// Ends the jobs in the handler's own transaction, or rolls it back.
void Executor::conclude(std::span<Claim* const> claims, std::vector<Ended>& ended, RunUnit& unit,
                        Judge& judge) {
  const bool all_well = std::all_of(ended.begin(), ended.end(),
                                    [](const Ended& one) { return ends_unit_well(one.outcome); });
  if (!all_well) {
    unit.rollback();
    return;
  }
  std::vector<Finish> finishes;
  std::vector<Failure> snoozes;
  for (std::size_t i = 0; i < claims.size(); ++i) {
    const auto& claim = *claims[i];
    auto verdict = judge.judge(claim.row(), claim.policy(), ended[i].outcome,
                               {claim.waited, in_millis(ended[i].ran)});
    if (auto* key = std::get_if<JobKey>(&verdict)) {
      finishes.push_back({*key, {}, {}, {}, {}, {}, {}});
    } else if (auto* finish = std::get_if<Finish>(&verdict)) {
      finishes.push_back(std::move(*finish));
    } else {
      snoozes.push_back(std::move(std::get<Failure>(verdict)));
    }
  }
  const auto done = unit.finish(finishes, snoozes);
  if (done.size() != claims.size()) {
    unit.rollback();
    for (auto& one : ended) one.how = Ended::How::kRefused;
    return;
  }
  unit.commit();
  for (auto& one : ended) one.how = Ended::How::kCommitted;
}

void Executor::run_batch(Slot& slot, Taken& taken) {
  auto& [together, singly] = taken;
  if (!together.empty()) {
    (void)begin(slot, together);
    together = slot.running;
    auto results = call_batch(slot, together);
    if (results.empty()) singly.insert(singly.begin(), together.begin(), together.end());
    if (!leave(slot, results)) return;
  }
  run_claims(slot, singly);
}

// Empty: nothing was changed, the jobs are to be run in calls of one.
std::vector<Ended> Executor::call_batch(Slot& slot, std::span<Claim* const> claims) {
  if (claims.size() < 2) return {};
  const auto kind = claims.front()->row().kind;
  std::vector<Ended> results;
  try {
    const auto begun = clock_.now();
    RunContext context(log_, clock_, *slot.units, claims.front()->stop.get_token());
    std::vector<Job> jobs;
    for (const auto* claim : claims) jobs.push_back(claim->job->job());
    auto outcomes = claims.front()->kind->batch->run(jobs, context);
    if (outcomes.size() != claims.size()) {
      log_.error("batch handler gave another number of outcomes than it was given jobs",
                 {{"kind", kind}});
      return {};
    }
    const auto each = (clock_.now() - begun) / static_cast<std::int64_t>(claims.size());
    for (std::size_t i = 0; i < claims.size(); ++i) {
      results.push_back({claims[i], std::move(outcomes[i]), each, Ended::How::kJudged});
    }
    const bool well = std::all_of(results.begin(), results.end(),
                                  [](const Ended& one) { return ends_unit_well(one.outcome); });
    auto* unit = context.opened();
    if (unit) conclude(claims, results, *unit, slot.judge);
    if (!well || (unit && results.front().how != Ended::How::kCommitted)) return {};
    return results;
  } catch (const std::exception& error) {
    log_.debug("batch is run singly", {{"kind", kind}, {"reason", error.what()}});
  } catch (...) {
    log_.debug("batch is run singly", {{"kind", kind}, {"reason", "not a std::exception"}});
  }
  return {};
}

}  // namespace relevo::worker
