#include "finisher.hpp"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "relevo/core/error.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kLargestBatch = 2'000;
constexpr std::size_t kEnough = 500;  // results that wait for no others
constexpr auto kLockedAgain = 20ms;

template <class T>
void append(std::vector<T> from, std::vector<T>& to) {
  std::move(from.begin(), from.end(), std::back_inserter(to));
}

template <class T>
std::vector<T> take_front(std::vector<T>& from) {
  std::vector<T> front;
  if (from.size() <= kLargestBatch) {
    front.swap(from);
    return front;
  }
  const auto end = from.begin() + static_cast<std::ptrdiff_t>(kLargestBatch);
  front.assign(std::make_move_iterator(from.begin()), std::make_move_iterator(end));
  from.erase(from.begin(), end);
  return front;
}

}  // namespace

std::size_t Finisher::Batch::size() const {
  return plain.size() + finishes.size() + failures.size() + crashes.size();
}

std::vector<JobKey> Finisher::Batch::keys() const {
  std::vector<JobKey> keys = plain;
  for (const auto& one : finishes) keys.push_back(one.key);
  for (const auto& one : failures) keys.push_back(one.key);
  for (const auto& one : crashes) keys.push_back(one.key);
  return keys;
}

Finisher::Finisher(Connect connect, int quarantine_after, std::chrono::milliseconds gather,
                   Metrics& metrics, core::Log& log, const core::Clock& clock)
    : connect_(std::move(connect)),
      quarantine_after_(quarantine_after),
      gather_(gather),
      metrics_(metrics),
      log_(log),
      clock_(clock),
      outage_("postgres (results)", log, clock),
      backoff_(20ms, 1'000ms) {}

void Finisher::add(Verdict verdict) {
  if (auto* key = std::get_if<JobKey>(&verdict)) {
    waiting_.plain.push_back(*key);
  } else if (auto* finish = std::get_if<Finish>(&verdict)) {
    waiting_.finishes.push_back(std::move(*finish));
  } else {
    waiting_.failures.push_back(std::move(std::get<Failure>(verdict)));
  }
}

void Finisher::add_crash(Failure crash) { waiting_.crashes.push_back(std::move(crash)); }

bool Finisher::idle() const { return size() == 0; }

std::size_t Finisher::size() const {
  std::size_t sum = waiting_.size() + (sent_ ? sent_->size() : 0) + unsure_.size();
  for (const auto& batch : again_) sum += batch.size();
  for (const auto& batch : locked_) sum += batch.size();
  return sum;
}

int Finisher::socket() const { return sent_ && writer_ ? writer_->socket() : -1; }

void Finisher::pump(std::vector<JobKey>& over) {
  try {
    if (sent_) {
      if (!writer_->answered()) return;
      receive(over);
      outage_.recovered();
      backoff_.reset();
    }
    send_next();
  } catch (const core::IntegrationError& error) {
    failed(error, over);
  }
}

// Each batch holds results of one sort, since they differ in their statement; the sorts take turns.
std::optional<Finisher::Batch> Finisher::Batch::take(int first) {
  Batch batch;
  batch.repeated = repeated;
  for (int i = 0; i < kSorts && batch.size() == 0; ++i) {
    switch ((first + i) % kSorts) {
      case 0: batch.crashes = take_front(crashes); break;
      case 1: batch.failures = take_front(failures); break;
      case 2: batch.finishes = take_front(finishes); break;
      case 3: batch.plain = take_front(plain); break;
    }
  }
  if (batch.size() == 0) return std::nullopt;
  return batch;
}

std::optional<Finisher::Batch> Finisher::next_batch() {
  if (!again_.empty()) {
    Batch batch = std::move(again_.front());
    again_.pop_front();
    return batch;
  }
  if (clock_.now() >= locked_until_) {
    for (auto& batch : locked_) {
      while (auto some = batch.take(0)) again_.push_back(std::move(*some));
    }
    if (!again_.empty()) {
      locked_until_ = clock_.now() + kLockedAgain;
      return next_batch();
    }
  }
  turn_ = (turn_ + 1) % kSorts;
  return waiting_.take(turn_);
}

std::optional<core::BootTime> Finisher::next_time() const {
  if (sent_ || waiting_.size() == 0) return std::nullopt;
  return std::max(gathering_until_, not_before_);
}

void Finisher::send_next() {
  const auto now = clock_.now();
  if (now < not_before_ || (now < gathering_until_ && waiting_.size() < kEnough)) return;
  auto batch = next_batch();
  if (!batch) return;
  gathering_until_ = now + gather_;
  sent_ = std::move(batch);
  asked_ = false;
  if (!writer_) writer_ = connect_();
  asked_ = true;
  if (!sent_->plain.empty()) return writer_->send_plain(sent_->plain);
  if (!sent_->finishes.empty()) return writer_->send_finish(sent_->finishes);
  if (!sent_->failures.empty()) return writer_->send_failures(sent_->failures);
  writer_->send_crashes(sent_->crashes, quarantine_after_);
}

void Finisher::receive(std::vector<JobKey>& over) {
  const auto changed = writer_->receive();
  const Batch batch = *std::exchange(sent_, std::nullopt);
  if (!batch.crashes.empty()) metrics_.crash_attempts(changed.size());
  const auto keys = batch.keys();
  if (changed.size() == keys.size()) {
    over.insert(over.end(), keys.begin(), keys.end());
    return;
  }
  const std::unordered_set<JobId> ids(changed.begin(), changed.end());
  const auto missing = [&](const JobKey& key) { return !ids.contains(key.id); };
  for (const auto& key : keys) {
    if (!missing(key)) over.push_back(key);
  }
  // Gone, somebody else's, or only locked: the worker looks.
  const auto keep = [&](const JobKey& key, Batch one) {
    one.repeated = batch.repeated;
    unsure_.emplace_back(key, std::move(one));
  };
  for (const auto& key : batch.plain) {
    if (missing(key)) keep(key, Batch{{}, {{key, {}, {}, {}, {}, {}, {}}}, {}, {}});
  }
  for (const auto& one : batch.finishes) {
    if (missing(one.key)) keep(one.key, Batch{{}, {one}, {}, {}});
  }
  for (const auto& one : batch.failures) {
    if (missing(one.key)) keep(one.key, Batch{{}, {}, {one}, {}});
  }
  for (const auto& one : batch.crashes) {
    if (missing(one.key)) keep(one.key, Batch{{}, {}, {}, {one}});
  }
}

std::vector<JobKey> Finisher::unsure() const {
  std::vector<JobKey> keys;
  for (const auto& [key, batch] : unsure_) keys.push_back(key);
  return keys;
}

void Finisher::resolve(std::span<const JobId> still, std::vector<JobKey>& over) {
  for (auto& [key, batch] : std::exchange(unsure_, {})) {
    if (std::find(still.begin(), still.end(), key.id) == still.end()) {
      // Of a batch that was sent twice, the first time may have written it.
      if (!batch.repeated) metrics_.results_fenced(1);
      over.push_back(key);
      continue;
    }
    // Apart from the others, which must not wait for it.
    auto& locked = locked_[batch.repeated ? 1 : 0];
    locked.repeated = batch.repeated;
    append(std::move(batch.finishes), locked.finishes);
    append(std::move(batch.failures), locked.failures);
    append(std::move(batch.crashes), locked.crashes);
  }
}

void Finisher::failed(const core::IntegrationError& error, std::vector<JobKey>& over) {
  writer_.reset();
  not_before_ = clock_.now() + backoff_.next();
  if (!sent_) {
    outage_.failed(error.what());
    return;
  }
  Batch batch = *std::exchange(sent_, std::nullopt);
  if (error.kind() == core::ErrorKind::kRejected) {
    log_.warn("results are refused", {{"jobs", batch.size()}, {"reason", error.what()}});
    return take_apart(std::move(batch), over);
  }
  if (error.kind() == core::ErrorKind::kConflict) {
    // Somebody locks a row: the other statement passes locked rows by.
    for (const auto& key : batch.plain) batch.finishes.push_back({key, {}, {}, {}, {}, {}, {}});
    batch.plain.clear();
  } else {
    outage_.failed(error.what());
    batch.repeated |= asked_;
  }
  again_.push_back(std::move(batch));
}

// One result that PostgreSQL does not take must not hold up the others.
void Finisher::take_apart(Batch batch, std::vector<JobKey>& over) {
  const auto again = [&](Batch one) {
    one.repeated = batch.repeated;
    again_.push_back(std::move(one));
  };
  if (batch.size() > 1) {
    for (const auto& key : batch.plain) again({{key}, {}, {}, {}});
    for (auto& one : batch.finishes) again({{}, {std::move(one)}, {}, {}});
    for (auto& one : batch.failures) again({{}, {}, {std::move(one)}, {}});
    for (auto& one : batch.crashes) again({{}, {}, {}, {std::move(one)}});
    return;
  }
  const auto key = batch.keys().front();
  if (batch.last_try) {
    log_.error("the end of a job cannot be stored; it runs again when the sweep finds it",
               {{"job", key.id}});
    over.push_back(key);
    return;
  }
  Batch dead;
  dead.failures.push_back(
      {key, 1, 0ms, AfterFailure::kDead,
       "it ended, but its result could not be stored: see the log of the worker", 0ms});
  dead.last_try = true;
  again(std::move(dead));
}

}  // namespace relevo::worker
