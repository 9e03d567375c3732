#include "relevo/worker/worker.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "claims.hpp"
#include "connected.hpp"
#include "database_clock.hpp"
#include "death_notices.hpp"
#include "finisher.hpp"
#include "held_lanes.hpp"
#include "lane_share.hpp"
#include "operations.hpp"
#include "relevo/core/backoff.hpp"
#include "relevo/core/error.hpp"
#include "relevo/core/outage.hpp"
#include "relevo/worker/scheduler.hpp"
#include "relevo/worker/verdict.hpp"
#include "sweep.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr auto kControlsEvery = 1s;
constexpr auto kSignalsEvery = 100ms;
constexpr auto kGather = 3ms;
constexpr auto kLongestWait = 50ms;       // between two looks at the stop flag
constexpr auto kAnythingDueEvery = 20ms;  // until it is empty
constexpr std::size_t kLargestClaim = 2'000;
constexpr std::size_t kManyReady = 500;
constexpr std::size_t kManyResults = 100;
constexpr std::size_t kLargePayloads = 8 << 20;  // bytes fetched for one claim
constexpr milliseconds kPutBackDelay{50};

const Outcome kCancelled = Cancel{"cancelled while it ran"};
const Outcome kDeaf = Retry{"ran into its time limit and did not stop", std::nullopt};

// What the metrics call the kind.
std::string_view kind_of(const Claim& claim) {
  return claim.kind ? std::string_view(claim.kind->pattern) : std::string_view("unknown");
}

}  // namespace

class Worker::Loop {
 public:
  Loop(Options options, Ports ports);

  void run();

  core::Heartbeat heartbeat;
  std::atomic<bool> stopping{false};
  std::atomic<bool> ready{false};
  std::atomic<bool> finished{false};
  bool abandoned = false;  // handlers still run

 private:
  void connect();
  void disconnect(std::string_view reason);
  void turn();
  void wait(milliseconds time);
  milliseconds idle_time() const;

  void collect_ended();
  std::string_view end(Ended& ended);
  std::string_view conclude(const Claim& claim, const Outcome& outcome, RunTimes times);
  void write_results();
  void put_back(const JobRow& row, const std::string& reason, RunTimes times);

  void refresh_controls();
  void apply_signals();
  Cancellation cancel(JobId id);
  void settle_doubts();
  void edit(const Signal& signal);

  void ask_for_tokens();
  bool claim();
  void fetch_payloads();
  void write_journal();
  void start(std::span<const Journalled> journalled);
  void put_back_unmarked(std::vector<Selected> unmarked);
  void give_up_claiming();
  void save_if_due();
  void keep_leases();
  void watch_handlers();
  bool nothing_left();

  void drain();

  milliseconds waited(const JobRow& row) const;

  const Options options_;
  Ports to_;
  core::Outage outage_;
  Scheduler scheduler_;
  Executor executor_;
  Finisher finisher_;
  Judge judge_;
  DeathNotices deaths_;
  DatabaseClock database_clock_;
  HeldLanes lanes_;
  Claims claims_;
  LaneShare share_;
  Operations operations_;
  Sweep sweep_;
  std::optional<Connected> connected_;
  std::vector<std::unique_ptr<Claim>> claiming_;  // selected, not yet journalled
  std::vector<JobKey> doubtful_marks_;            // unique jobs whose journal was in doubt
  std::vector<Ended> ended_;
  std::vector<JobKey> over_;
  std::vector<std::unique_ptr<Claim>> refused_;  // by their own transaction; to be looked at

  core::BootTime next_controls_{};
  core::BootTime next_signals_{};
  core::BootTime next_save_{};
  std::optional<core::BootTime> stuck_since_;
  bool replacing_ = false;
  core::BootTime next_anything_due_{};
};

Worker::Loop::Loop(Options options, Ports ports)
    : options_(std::move(options)),
      to_(std::move(ports)),
      outage_("postgres (jobs)", to_.log, to_.clock),
      scheduler_(to_.registry, options_.queues),
      executor_({options_.threads, options_.give_up, to_.leases.holder()}, to_.units, to_.isolation,
                to_.log, to_.clock),
      finisher_(to_.connect_results, options_.quarantine_after, kGather, to_.metrics, to_.log,
                to_.clock),
      deaths_(to_.log, to_.clock),
      database_clock_(to_.clock),
      claims_(lanes_, scheduler_, to_.clock),
      share_({options_.lanes, options_.quarantine_after}, to_.leases, lanes_, scheduler_, claims_,
             to_.metrics, to_.log, to_.clock),
      operations_(lanes_, scheduler_, to_.clock),
      sweep_(lanes_, scheduler_, claims_, to_.log, to_.clock) {}

void Worker::Loop::run() {
  core::Backoff backoff(50ms, 1000ms);
  core::BootTime connect_at{};
  while (!stopping) {
    heartbeat.beat(to_.clock.now());
    try {
      if (!connected_) {
        if (to_.clock.now() < connect_at) {
          collect_ended();
          write_results();
          keep_leases();
          watch_handlers();
          wait(10ms);
          continue;
        }
        connect();
      }
      turn();
      ready = true;
      outage_.recovered();
      backoff.reset();
      if (options_.until_empty && nothing_left()) break;
    } catch (const core::IntegrationError& error) {
      disconnect(error.what());
      connect_at = to_.clock.now() + backoff.next();
    }
  }
  ready = false;
  drain();
  finished = true;
  heartbeat.rest();
}

void Worker::Loop::connect() {
  connected_.emplace(to_.connect(), lanes_, scheduler_, database_clock_,
                     Intake::Polls{options_.poll_min, options_.poll_max}, to_.log, to_.clock);
  share_.reconnected(*connected_);
  next_controls_ = {};
  settle_doubts();
}

// Marks whose journal was in doubt, and is not in the table any more: nobody else takes them off.
void Worker::Loop::settle_doubts() {
  std::erase_if(doubtful_marks_, [&](const JobKey& job) { return claims_.contains(job.id); });
  if (doubtful_marks_.empty()) return;
  connected_->session.jobs->sweep_fix(lanes_.leases(), doubtful_marks_);
  // What somebody has locked stands as it was.
  const auto still = connected_->session.jobs->still(doubtful_marks_);
  std::erase_if(doubtful_marks_, [&](const JobKey& job) {
    return std::find(still.begin(), still.end(), job.id) == still.end();
  });
}

void Worker::Loop::disconnect(std::string_view reason) {
  connected_.reset();
  ready = false;
  outage_.failed(reason);
  share_.disconnected();
  operations_.forget();
  // What was read and not started is read again. In this order: jobs that wait point into the
  // reads.
  give_up_claiming();
  scheduler_.forget_waiting();
  lanes_.forget_reads();
}

void Worker::Loop::turn() {
  bool worked = false;
  collect_ended();
  write_results();
  keep_leases();
  if (share_.balance(*connected_)) next_controls_ = {};
  share_.hand_back(*connected_);
  share_.settle(*connected_);
  refresh_controls();
  apply_signals();
  worked |= operations_.step(*connected_->session.jobs, [this](JobId id) { return cancel(id); });
  worked |= connected_->intake.read();
  ask_for_tokens();
  worked |= claim();
  save_if_due();
  sweep_.step(*connected_->session.jobs, connected_->intake);
  watch_handlers();
  if (!worked) wait(idle_time());
}

milliseconds Worker::Loop::idle_time() const {
  const auto now = to_.clock.now();
  auto until = std::min(connected_->intake.next_time(), now + kLongestWait);
  if (const auto time = scheduler_.next_time()) until = std::min(until, *time);
  if (const auto time = finisher_.next_time()) until = std::min(until, *time);
  const auto left = std::chrono::ceil<milliseconds>(until - now);
  return std::clamp<milliseconds>(left, 1ms, kLongestWait);
}

// Until a run ends, an answer comes, or the time is over.
void Worker::Loop::wait(milliseconds time) {
  std::array<pollfd, 2> on{pollfd{executor_.event(), POLLIN, 0},
                           pollfd{finisher_.socket(), POLLIN, 0}};
  const nfds_t count = on[1].fd >= 0 ? 2 : 1;
  (void)::poll(on.data(), count, static_cast<int>(time.count()));
}

void Worker::Loop::collect_ended() {
  ended_.clear();
  executor_.collect(ended_);
  if (ended_.empty()) return;
  std::vector<EndedJob> told;
  told.reserve(ended_.size());
  for (auto& one : ended_) {
    const auto kind = kind_of(*one.claim);
    told.push_back({kind, end(one), one.ran});
  }
  to_.metrics.jobs_ended(told);
  to_.metrics.jobs_running(claims_.running());
}

// Returns what the metrics call it.
std::string_view Worker::Loop::end(Ended& ended) {
  auto [claim, ours] = claims_.end(ended.claim);
  if (!ours) {
    if (claim && ended.how != Ended::How::kRefused) to_.metrics.results_fenced(1);
    return outcome_name(ended.outcome);
  }
  const auto& row = claim->row();
  RunTimes times{claim->waited, std::chrono::duration_cast<milliseconds>(ended.ran)};
  if (claim->expired) times.ran.reset();
  const auto& policy = claim->policy();
  switch (ended.how) {
    case Ended::How::kCommitted:
      claims_.over(claim->job->key());
      return outcome_name(ended.outcome);
    case Ended::How::kRefused:
      refused_.push_back(std::move(claim));
      return outcome_name(ended.outcome);
    case Ended::How::kInDoubt: {
      if (claim->cancelled) break;
      const auto* retry = std::get_if<Retry>(&ended.outcome);
      put_back(row, retry ? retry->reason : "in doubt", times);
      return "in_doubt";
    }
    case Ended::How::kCrashed: {
      if (claim->cancelled) break;
      const auto* retry = std::get_if<Retry>(&ended.outcome);
      const auto reason = clean_text(retry ? retry->reason : "its process died");
      if (row.crashes + 1 >= options_.quarantine_after) deaths_.tell(row, "quarantined", reason);
      finisher_.add_crash({claim->job->key(), row.attempts, judge_.backoff(policy, row.crashes + 1),
                           AfterFailure::kWaiting, reason, times.ran.value_or(0ms)});
      return "crashed";
    }
    case Ended::How::kJudged: break;
  }
  if (claim->cancelled && !std::holds_alternative<Done>(ended.outcome)) {
    ended.outcome = kCancelled;
  } else if (stopping && !std::holds_alternative<Done>(ended.outcome) &&
             claim->stop.stop_requested()) {
    ended.outcome = Snooze{0ms};  // asked to stop by the end of the process: not its fault
  }
  return conclude(*claim, ended.outcome, times);
}

// The end is on its way to the table. Returns what the metrics call it.
std::string_view Worker::Loop::conclude(const Claim& claim, const Outcome& outcome,
                                        RunTimes times) {
  auto verdict = judge_.judge(claim.row(), claim.policy(), outcome, times);
  const auto* failure = std::get_if<Failure>(&verdict);
  const bool dies = failure && failure->then == AfterFailure::kDead;
  if (dies) deaths_.tell(claim.row(), "dead", failure->error.value_or(""));
  finisher_.add(std::move(verdict));
  return dies ? "dead" : outcome_name(outcome);
}

void Worker::Loop::put_back(const JobRow& row, const std::string& reason, RunTimes times) {
  auto verdict = judge_.again(row, reason, times);
  claims_.comes_again(row.at.id, std::get<Failure>(verdict).delay);
  finisher_.add(std::move(verdict));
}

void Worker::Loop::write_results() {
  over_.clear();
  finisher_.pump(over_);
  for (const auto& job : over_) claims_.over(job);
  if (!connected_) return;
  if (const auto unsure = finisher_.unsure(); !unsure.empty()) {
    const auto still = connected_->session.jobs->still(unsure);
    over_.clear();
    finisher_.resolve(still, over_);
    for (const auto& job : over_) claims_.over(job);
  }
  if (refused_.empty()) return;
  // A handler's transaction found its row locked, or not its own any more.
  std::vector<JobKey> keys;
  for (const auto& claim : refused_) keys.push_back(claim->job->key());
  const auto still = connected_->session.jobs->still(keys);
  for (const auto& claim : std::exchange(refused_, {})) {
    const auto key = claim->job->key();
    const bool ours = std::find(still.begin(), still.end(), key.id) != still.end();
    if (ours && claim->cancelled) {
      (void)conclude(*claim, kCancelled, {claim->waited, 0ms});
    } else if (ours) {
      put_back(claim->row(), "its row was locked by somebody else", {});
    } else {
      to_.metrics.results_fenced(1);
      claims_.over(key);
    }
  }
}

void Worker::Loop::refresh_controls() {
  const auto now = to_.clock.now();
  if (now < next_controls_) return;
  next_controls_ = now + kControlsEvery;
  const auto controls = connected_->session.jobs->controls();
  database_clock_.set(controls.now);
  scheduler_.set_controls(controls, static_cast<int>(lanes_.size()), options_.lanes);
}

milliseconds Worker::Loop::waited(const JobRow& row) const {
  const auto since = std::max(row.created_at, row.run_at.value_or(row.created_at));
  return std::max(0ms, std::chrono::duration_cast<milliseconds>(database_clock_.now() - since));
}

void Worker::Loop::apply_signals() {
  const auto now = to_.clock.now();
  if (now < next_signals_ || lanes_.empty()) return;
  next_signals_ = now + kSignalsEvery;
  settle_doubts();
  const auto signals = connected_->session.jobs->signals(lanes_.working());
  if (signals.empty()) return;
  operations_.begin(signals);
  std::vector<std::int64_t> done;
  std::vector<JobId> sooner;
  for (const auto& signal : signals) {
    // Those two take their signal away themselves, with what they change.
    if (signal.kind == SignalKind::kOperation) continue;
    if (signal.kind == SignalKind::kEdit) {
      edit(signal);
      continue;
    }
    // What a lost lane is asked for is its next holder's to do.
    if (to_.leases.trusted_until(signal.lane) <= to_.clock.now()) continue;
    if (signal.kind == SignalKind::kCancel && cancel(signal.subject) == Cancellation::kNotYet) {
      continue;
    }
    if (signal.kind == SignalKind::kRetryNow) sooner.push_back(signal.subject);
    done.push_back(signal.id);
  }
  if (!sooner.empty()) connected_->session.jobs->retry_now(lanes_.leases(), sooner);
  if (!done.empty()) connected_->session.jobs->signals_done(done);
}

Cancellation Worker::Loop::cancel(JobId id) {
  if (const auto cancelled = claims_.cancel(id)) return *cancelled;
  // The row first: one that somebody has locked is still to be run.
  auto& jobs = *connected_->session.jobs;
  if (!jobs.cancel_waiting(lanes_.leases(), id, "cancelled before it ran")) {
    return jobs.lives(id) ? Cancellation::kNotYet : Cancellation::kDone;
  }
  (void)scheduler_.remove(id);
  return Cancellation::kDone;
}

// No job starts between the change of its row and its removal here: one thread does both.
void Worker::Loop::edit(const Signal& signal) {
  if (connected_->session.jobs->edit_waiting(lanes_.leases(), signal.id)) {
    (void)scheduler_.remove(signal.subject);
  }
}

void Worker::Loop::ask_for_tokens() {
  const auto free = options_.max_in_flight - std::min(claims_.size(), options_.max_in_flight);
  const auto wanted = scheduler_.wanted_tokens(to_.clock.now(), std::min(free, executor_.room()));
  if (wanted.empty()) return;
  std::vector<std::string> keys;
  std::vector<int> counts;
  for (const auto& [key, count] : wanted) {
    keys.push_back(key);
    counts.push_back(count);
  }
  const auto asked = to_.clock.now();
  const auto tokens = connected_->session.jobs->take_tokens(keys, counts);
  for (std::size_t i = 0; i < keys.size() && i < tokens.size(); ++i) {
    scheduler_.granted(keys[i], tokens[i], asked);
  }
}

bool Worker::Loop::claim() {
  const auto now = to_.clock.now();
  // Until its end is committed a job stays in the journal, whose size this bounds.
  if (scheduler_.ready() + scheduler_.waiting() == 0) return false;
  if (claims_.size() >= options_.max_in_flight) return false;
  // A backlog goes in few large journals: with half of the room taken, and more of it about to be
  // freed by results on their way, it waits for those.
  if (claims_.size() > options_.max_in_flight / 2 && scheduler_.ready() >= kManyReady &&
      finisher_.size() >= kManyResults) {
    return false;
  }
  Room room;
  room.jobs = std::min(kLargestClaim, options_.max_in_flight - claims_.size());
  room.pool = executor_.room();
  room.bytes = kLargePayloads;
  room.lane = [&](feed::Slice slice) {
    const auto* lane = lanes_.find(slice);
    // Settling hands on all that the journal names: until then it must name nothing that runs.
    if (!lane || lane->must_settle) return std::size_t{0};
    return kMostOpen - std::min(kMostOpen, lane->open.size() + lane->unsettled.size());
  };
  for (auto& one : scheduler_.select(now, room)) {
    auto claim = std::make_unique<Claim>();
    claim->job = std::move(one.job);
    claim->kind = one.kind;
    claim->sequence = one.sequence;
    claim->waited = waited(claim->row());
    claim->expired = claim->row().expires_at && *claim->row().expires_at <= database_clock_.now();
    claiming_.push_back(std::move(claim));
  }
  if (claiming_.empty()) return false;
  fetch_payloads();
  write_journal();
  return true;
}

void Worker::Loop::fetch_payloads() {
  std::vector<JobId> large;
  for (const auto& claim : claiming_) {
    if (!claim->row().payload) large.push_back(claim->row().at.id);
  }
  if (large.empty()) return;
  auto payloads = connected_->session.jobs->payloads(large);
  std::unordered_map<JobId, std::string> by_id;
  for (auto& one : payloads) by_id[one.id] = std::move(one.payload);
  // A row that is gone meanwhile was unique and cancelled: its mark will not be made.
  for (const auto& claim : claiming_) {
    const auto found = by_id.find(claim->row().at.id);
    if (found != by_id.end()) claim->job->set_payload(std::move(found->second));
  }
}

// What was selected and not journalled goes back: the positions may have passed it already.
void Worker::Loop::give_up_claiming() {
  for (const auto& claim : std::exchange(claiming_, {})) {
    scheduler_.put_back({std::move(claim->job), claim->kind, claim->sequence});
  }
}

// The commit of the journal is what makes starting lawful.
void Worker::Loop::write_journal() {
  lanes_.progress();
  const auto skipped = scheduler_.skipped();
  std::map<feed::Slice, LaneRow> rows;
  std::vector<UniqueStart> unique;
  for (const auto& claim : claiming_) {
    const auto slice = claim->row().lane;
    auto row = rows.find(slice);
    if (row == rows.end()) {
      row = rows.emplace(slice, lanes_.state(*lanes_.find(slice), skipped)).first;
    }
    row->second.open.push_back(claim->job->key());
    if (claim->row().unique_key) unique.push_back({slice, claim->job->key()});
  }
  std::vector<const LaneRow*> pointers;
  for (const auto& [slice, row] : rows) pointers.push_back(&row);
  const auto doubts = doubtful_marks_.size();
  for (const auto& one : unique) doubtful_marks_.push_back(one.key);
  const auto journalled = connected_->session.lanes->journal(pointers, unique);
  doubtful_marks_.resize(doubts);
  for (const auto& lane : journalled) {
    lanes_.find(lane.lane)->written(std::move(rows.at(lane.lane)));
  }
  next_save_ = to_.clock.now() + options_.save_interval;
  start(journalled);
}

void Worker::Loop::start(std::span<const Journalled> journalled) {
  std::unordered_set<JobId> marked;
  for (const auto& lane : journalled) marked.insert(lane.marked.begin(), lane.marked.end());
  std::vector<Claim*> started;
  std::vector<StartedJob> told;
  std::vector<Selected> unmarked;
  for (auto& claim : std::exchange(claiming_, {})) {
    const auto& row = claim->row();
    auto& lane = *lanes_.find(row.lane);
    if (!was_written(journalled, row.lane)) {
      lane.lose();
      scheduler_.ended(row);
      scheduler_.forget(claim->job->key());
      continue;
    }
    if (row.unique_key && !marked.contains(row.at.id)) {
      unmarked.push_back({std::move(claim->job), claim->kind, claim->sequence});
      lane.dirty = true;
      continue;
    }
    told.push_back({row.queue, claim->waited});
    started.push_back(claims_.add(lane, std::move(claim)));
  }
  to_.metrics.jobs_started(told);
  to_.metrics.jobs_running(claims_.running());
  executor_.start(started);
  if (!unmarked.empty()) put_back_unmarked(std::move(unmarked));
}

// Replaced or cancelled, or only locked by somebody who may yet do so: these are tried again.
void Worker::Loop::put_back_unmarked(std::vector<Selected> unmarked) {
  std::vector<JobKey> keys;
  for (auto& one : unmarked) {
    keys.push_back(one.job->key());
    scheduler_.put_back(std::move(one), to_.clock.now() + kPutBackDelay);
  }
  const auto still = connected_->session.jobs->still(keys);
  for (const auto& key : keys) {
    if (std::find(still.begin(), still.end(), key.id) == still.end()) scheduler_.remove(key.id);
  }
}

void Worker::Loop::save_if_due() {
  const auto now = to_.clock.now();
  if (now < next_save_) return;
  next_save_ = now + options_.save_interval;
  share_.save(*connected_);
}

void Worker::Loop::keep_leases() { share_.keep_leases(connected_ ? &connected_->intake : nullptr); }

void Worker::Loop::watch_handlers() {
  const auto now = to_.clock.now();
  executor_.keep_time(now, [this](const Claim& claim) {
    auto run = claims_.end(&claim);
    if (run.ours) {
      const auto& outcome = claim.cancelled ? kCancelled : kDeaf;
      const EndedJob told{kind_of(claim), conclude(claim, outcome, {claim.waited, claim.timeout()}),
                          claim.timeout()};
      to_.metrics.jobs_ended({&told, 1});
      to_.metrics.jobs_running(claims_.running());
    }
    return std::move(run.claim);
  });
  if (executor_.given_up() == 0) {
    stuck_since_.reset();
    return;
  }
  if (!stuck_since_) stuck_since_ = now;
  if (replacing_ || now - *stuck_since_ < options_.give_up) return;
  replacing_ = true;
  to_.log.error("a handler does not come back: this process ends to be started anew");
  if (to_.replace) to_.replace();
}

// By the table, since what was enqueued a moment ago is not read yet. Jobs that run here are looked
// at first: the answer has to be newer than their ends.
bool Worker::Loop::nothing_left() {
  const auto now = to_.clock.now();
  if (claims_.running() > 0 || !finisher_.idle() || !refused_.empty() || scheduler_.ready() > 0 ||
      now < claims_.comes_again_at() || now < next_anything_due_) {
    return false;
  }
  next_anything_due_ = now + kAnythingDueEvery;
  return !connected_->session.jobs->anything_due(options_.queues);
}

void Worker::Loop::drain() {
  const auto until = to_.clock.now() + options_.drain;
  const auto ask_at = to_.clock.now() + options_.drain / 2;
  to_.log.info("stopping", {{"jobs", claims_.running()}});
  for (auto* claim : executor_.recall()) {
    // Never begun: the row goes back as it was.
    claims_.recall(claim);
  }
  bool asked = false;
  while (to_.clock.now() < until &&
         (claims_.running() > 0 || !finisher_.idle() || !refused_.empty())) {
    heartbeat.beat(to_.clock.now());
    if (!asked && to_.clock.now() >= ask_at) {
      asked = true;
      claims_.ask_all_to_stop();
    }
    try {
      collect_ended();
      write_results();
      keep_leases();
    } catch (const core::IntegrationError& error) {
      connected_.reset();
      outage_.failed(error.what());
    }
    wait(10ms);
  }
  const auto left = claims_.running();
  if (left > 0 || executor_.given_up() > 0) {
    abandoned = true;
    executor_.abandon();
  }
  if (lanes_.empty()) return;
  try {
    if (!connected_) {
      share_.disconnected();
      connect();
    }
    share_.hand_over(*connected_);
    to_.log.info("lanes handed back", {{"unfinished", left}});
  } catch (const core::IntegrationError& error) {
    to_.log.warn("lanes could not be handed back; others wait until they lapse",
                 {{"reason", error.what()}});
  }
  connected_.reset();
}

Worker::Worker(Options options, Ports ports)
    : loop_(std::make_unique<Loop>(std::move(options), std::move(ports))) {}

Worker::~Worker() {
  stop();
  // Handlers that never came back still use it until the process is over.
  if (loop_->abandoned) (void)loop_.release();
}

void Worker::start() {
  loop_->stopping = false;
  loop_->heartbeat.beat(core::BootClock::now());
  thread_ = std::thread([this] { loop_->run(); });
}

void Worker::stop() {
  loop_->stopping = true;
  if (thread_.joinable()) thread_.join();
}

const core::Heartbeat& Worker::heartbeat() const { return loop_->heartbeat; }
bool Worker::ready() const { return loop_->ready; }
bool Worker::finished() const { return loop_->finished; }

}  // namespace relevo::worker
