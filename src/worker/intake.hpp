// Reads the jobs of our lanes and offers them to the scheduler: windows of what was committed, rows
// that have fallen due, and what was left in the table before. Reads no more than the scheduler has
// room for. Between two ticks, each of which costs a flush, it looks ahead at what is new.
//
// Moves no position itself: HeldLanes::progress() does, once what was read has started.
//
// Of one connection, and as long: every function may throw core::IntegrationError, after which both
// are thrown away. One thread. Borrows all it is given.
#pragma once

#include <array>
#include <chrono>
#include <optional>

#include "database_clock.hpp"
#include "held_lanes.hpp"
#include "relevo/core/clock.hpp"
#include "relevo/core/log.hpp"
#include "relevo/feed/ticker.hpp"
#include "relevo/feed/window_reader.hpp"
#include "relevo/worker/job_store.hpp"
#include "relevo/worker/scheduler.hpp"

namespace relevo::worker {

class Intake {
 public:
  // How often it looks for what is new: min once something was found, up to max while nothing is.
  struct Polls {
    std::chrono::milliseconds min;
    std::chrono::milliseconds max;
  };

  Intake(JobSession& session, HeldLanes& lanes, Scheduler& scheduler,
         const DatabaseClock& database_clock, Polls polls, core::Log& log,
         const core::Clock& clock);
  Intake(const Intake&) = delete;
  Intake& operator=(const Intake&) = delete;

  // Starts reading a lane where it stands.
  void enter(HeldLane& lane);
  void leave(feed::Slice lane);
  // Lanes came in: what fell due there meanwhile has no change that a window would show.
  void lanes_added();
  // Jobs were given another time: the due index is asked at once.
  void due_changed();

  // At most a page of each class and sort; whether there was something.
  bool read();
  // When there may be something to read.
  core::BootTime next_time() const;

  // Up to where every lane was read; nullopt: it cannot be told.
  std::optional<JobReader::SweepBounds> bounds();

 private:
  using Windows = feed::WindowReader<JobRows, Cursor>;

  bool read_due();
  bool refill();
  bool read_windows();
  bool look();
  feed::TickPtr caught_up() const;
  bool peek(const feed::Tick& since);
  bool offer(const JobRows& rows, ReadBatch* batch);
  void note_due(const JobRow& row);

  JobReader& jobs_;
  HeldLanes& lanes_;
  Scheduler& scheduler_;
  const DatabaseClock& database_clock_;
  const Polls polls_;
  core::Log& log_;
  const core::Clock& clock_;
  feed::Ticker ticker_;
  std::array<Windows, kClasses> windows_;

  std::array<DueCursor, kClasses> due_{};
  bool due_incomplete_ = true;
  core::BootTime next_due_{};
  core::BootTime next_look_{};
  core::BootTime next_tick_{};  // until then new jobs are only peeked at
  std::chrono::milliseconds poll_;
};

}  // namespace relevo::worker
