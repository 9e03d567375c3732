#include "intake.hpp"

#include <algorithm>

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr auto kTickEvery = 25ms;
constexpr auto kFullAgain = 5ms;         // until there may be room for what is due
constexpr std::size_t kMostReads = 256;  // of a class, whose rows still stand ready
constexpr std::size_t kPageOfKey = 100;

}  // namespace

Intake::Intake(JobSession& session, HeldLanes& lanes, Scheduler& scheduler,
               const DatabaseClock& database_clock, Polls polls, core::Log& log,
               const core::Clock& clock)
    : jobs_(*session.jobs),
      lanes_(lanes),
      scheduler_(scheduler),
      database_clock_(database_clock),
      polls_(polls),
      log_(log),
      clock_(clock),
      ticker_(*session.ticks),
      windows_{Windows(ticker_, *session.windows[0], feed::ReadAhead::kNo),
               Windows(ticker_, *session.windows[1], feed::ReadAhead::kNo),
               Windows(ticker_, *session.windows[2], feed::ReadAhead::kNo)},
      poll_(polls.min) {}

void Intake::enter(HeldLane& lane) {
  for (int c = 0; c < kClasses; ++c) {
    auto& position = lane.done[static_cast<std::size_t>(c)];
    auto& reader = windows_[static_cast<std::size_t>(c)];
    if (reader.add(lane.row.lane, position)) continue;
    // Another history (fail-over, restore): rows tell what is unfinished, so all are looked at
    // once, and reading goes on from a new tick.
    feed::TickPtr tick;
    while (!tick) tick = ticker_.look();
    position = {tick->id, tick->id, feed::kStart<Cursor>, tick->fingerprint};
    (void)reader.add(lane.row.lane, position);
    scheduler_.skip_from(c, feed::kStart<Cursor>);
    if (c == 0) {
      log_.warn("lane names a tick that this database does not know; all its jobs are read",
                {{"lane", lane.row.lane}});
    }
  }
}

void Intake::leave(feed::Slice lane) {
  for (auto& reader : windows_) reader.remove(lane);
}

void Intake::lanes_added() {
  due_ = {};
  due_incomplete_ = true;
  next_look_ = {};
}

void Intake::due_changed() { next_due_ = {}; }

core::BootTime Intake::next_time() const {
  if (lanes_.empty()) return core::BootTime::max();
  const bool looks = std::any_of(windows_.begin(), windows_.end(),
                                 [](const Windows& reader) { return reader.wants_look(); });
  return looks ? std::min(next_look_, next_due_) : next_due_;
}

bool Intake::read() {
  if (lanes_.empty()) return false;
  bool worked = read_due();
  worked |= refill();
  worked |= read_windows();
  return worked;
}

bool Intake::read_due() {
  const auto now = clock_.now();
  if (!due_incomplete_ && now < next_due_) return false;
  const auto working = lanes_.working();
  bool read = false;
  bool full = false;
  due_incomplete_ = false;
  for (int c = 0; c < kClasses; ++c) {
    auto& cursor = due_[static_cast<std::size_t>(c)];
    if (!scheduler_.has_room_for_due(c)) {
      full = true;
      continue;
    }
    const auto page = jobs_.due(c, cursor, working);
    read |= offer(page.rows, nullptr);
    if (page.scanned_to) cursor = *page.scanned_to;
    due_incomplete_ |= !page.complete;
  }
  if (full) {
    next_due_ = clock_.now() + kFullAgain;
  } else if (!due_incomplete_) {
    const auto in = jobs_.next_due(due_);
    next_due_ = clock_.now() + std::clamp<milliseconds>(in.value_or(10s), 1ms, 10s);
  }
  return read;
}

bool Intake::refill() {
  const auto refill = scheduler_.next_refill();
  if (!refill) return false;
  const auto working = lanes_.working();
  if (refill->scope == Scope::kKey) {
    const auto rows = jobs_.of_key(refill->value, refill->after.id, working);
    std::optional<Cursor> last;
    if (rows.rows.size() >= kPageOfKey) last = Cursor{0, rows.rows.back().at.id};
    scheduler_.refilled(*refill, rows, last);
    return true;
  }
  const auto page =
      jobs_.scan(refill->job_class, refill->after, refill->scope, refill->value, working);
  for (const auto& row : page.rows.rows) {
    if (!row.due) note_due(row);
  }
  scheduler_.refilled(*refill, page.rows, page.scanned_to);
  return true;
}

bool Intake::read_windows() {
  bool worked = false;
  const auto now = clock_.now();
  bool wants_look = false;
  for (const auto& reader : windows_) wants_look |= reader.wants_look();
  if (wants_look && now >= next_look_) {
    const bool found = look();
    poll_ = found ? polls_.min : std::min(poll_ * 2, polls_.max);
    next_look_ = clock_.now() + poll_;
    worked |= found;
  }
  for (int c = 0; c < kClasses; ++c) {
    auto& reader = windows_[static_cast<std::size_t>(c)];
    if (!reader.has_window() || !scheduler_.has_room(c)) continue;
    const auto delivery = reader.step();
    // However long some of it has to wait, positions go on.
    if (lanes_.unfinished(c) >= kMostReads) scheduler_.uncouple(c);
    auto& batch = lanes_.read(c, delivery.after, delivery.slices);
    worked |= offer(delivery.rows, &batch) || reader.has_window();
  }
  return worked;
}

// Ticks are durable, so each costs a flush: between two of them what is new is peeked at.
bool Intake::look() {
  const auto now = clock_.now();
  if (now < next_tick_) {
    if (const auto tick = caught_up()) return peek(*tick);
  }
  next_tick_ = now + kTickEvery;
  const auto tick = ticker_.look();
  bool opened = false;
  if (tick) {
    for (auto& reader : windows_) opened |= reader.open(tick);
  }
  return opened || !tick;
}

// The tick up to which all was read, when there is room for more.
feed::TickPtr Intake::caught_up() const {
  auto tick = windows_.front().caught_up();
  for (int c = 0; c < kClasses; ++c) {
    const auto& reader = windows_[static_cast<std::size_t>(c)];
    if (reader.caught_up() != tick || !scheduler_.has_room(c)) return nullptr;
  }
  return tick;
}

// Positions stay where they are, so nothing depends on what this sees or misses.
bool Intake::peek(const feed::Tick& since) {
  const auto rows = jobs_.peek(since, lanes_.working());
  const bool found = std::any_of(rows.rows.begin(), rows.rows.end(),
                                 [&](const JobRow& row) { return !scheduler_.knows(row.at.id); });
  // A window is the better way to read much.
  if (rows.rows.size() >= JobReader::kPeeked) next_tick_ = {};
  offer(rows, nullptr);
  return found;
}

bool Intake::offer(const JobRows& rows, ReadBatch* batch) {
  for (const auto& row : rows.rows) {
    const auto* lane = lanes_.find(row.lane);
    if (!lane || lane->leaving) continue;
    if (row.due) {
      scheduler_.offer(row, batch);
    } else {
      note_due(row);
    }
  }
  return !rows.rows.empty();
}

// A job read before its time: the due scan finds it then.
void Intake::note_due(const JobRow& row) {
  if (!row.run_at) return;
  const auto in = *row.run_at - database_clock_.now();
  if (in > 1h) return;
  next_due_ = std::min(next_due_, clock_.now() + std::max<std::chrono::microseconds>(in, 0us));
}

std::optional<JobReader::SweepBounds> Intake::bounds() {
  JobReader::SweepBounds bounds;
  for (int c = 0; c < kClasses; ++c) {
    feed::TickPtr oldest;
    for (const auto& [slice, lane] : lanes_) {
      const auto tick = ticker_.find(lane.done[static_cast<std::size_t>(c)].a);
      if (tick && (!oldest || tick->id < oldest->id)) oldest = tick;
    }
    if (!oldest) return std::nullopt;
    bounds.snapshots[static_cast<std::size_t>(c)] = oldest->snapshot.text();
    bounds.due[static_cast<std::size_t>(c)] = due_[static_cast<std::size_t>(c)];
  }
  return bounds;
}

}  // namespace relevo::worker
