// The lanes this replica holds: lease, claim journal, and how far each was read. Pure bookkeeping
// between the tables and the worker's loop, one thread.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/worker/job_store.hpp"
#include "relevo/worker/scheduler.hpp"

namespace relevo::worker {

inline constexpr std::size_t kMostOpen = 512;  // claims of one lane's journal

struct HeldLane {
  LaneRow row;                            // as it stands in the table
  Positions done;                         // everything up to here was started or left
  std::unordered_map<JobId, Token> open;  // claimed and not known to have ended
  std::vector<JobKey> unsettled;          // of the holder before, locked by its late results
  std::size_t left_open = 0;              // of them, in the journal yet
  bool crash = false;                     // of that holder
  bool must_settle = false;
  core::BootTime settle_at{};
  bool leaving = false;
  Skipped dropped;     // of a leaving lane: beyond which place it had rows that were not started
  bool dirty = false;  // the journal in the table names claims that ended

  // This state of it stands in the table now.
  void written(LaneRow state);
  // Somebody else has it: it waits to be dropped.
  void lose() { row.epoch = -1; }
  bool lost() const { return row.epoch < 0; }
};

// Whether a journal was written for this lane; else it is lost.
bool was_written(std::span<const Journalled> lanes, feed::Slice lane);

class HeldLanes {
 public:
  HeldLane* find(feed::Slice lane);
  HeldLane& add(LaneRow row);
  void remove(feed::Slice lane);
  void clear();
  // What was read and not worked off will be read again.
  void forget_reads();

  std::size_t size() const { return lanes_.size(); }
  bool empty() const { return lanes_.empty(); }
  std::vector<feed::Slice> slices() const;
  // Those whose jobs may start: not those about to be handed back.
  std::vector<feed::Slice> working() const;
  std::vector<feed::Lease> leases() const;
  auto begin() { return lanes_.begin(); }
  auto end() { return lanes_.end(); }

  // A page of a class was read; call progress() to move the positions on.
  ReadBatch& read(int job_class, JobPosition after, std::vector<feed::Slice> lanes);
  void progress();
  // Reads of a class whose rows still stand ready.
  std::size_t unfinished(int job_class) const {
    return reads_[static_cast<std::size_t>(job_class)].size();
  }
  // The position of this lane moves no further.
  void freeze(feed::Slice lane);

  // What the journal of this lane has to say now.
  LaneRow state(const HeldLane& lane, const Skipped& skipped) const;
  bool moved(const HeldLane& lane) const;

 private:
  std::map<feed::Slice, HeldLane> lanes_;
  std::array<std::deque<ReadBatch>, kClasses> reads_;
};

}  // namespace relevo::worker
