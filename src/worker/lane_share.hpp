// Keeps this replica's share of the lanes: takes what it has too few of, hands back what it has too
// many of, drops what it has lost.
//
// A lane that was taken is read at once and starts nothing before the journal of its last holder is
// settled: its jobs go to new attempts, which count as crashes when that holder is gone. A lane
// that leaves starts nothing more, and goes when its last job has ended. Of a lane whose lease
// lapsed or that somebody else has taken, everything is forgotten at once; what runs is asked to
// stop.
//
// One thread. Borrows all it is given for its life. Functions that take a connection throw
// core::IntegrationError.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>

#include "claims.hpp"
#include "connected.hpp"
#include "held_lanes.hpp"
#include "relevo/core/clock.hpp"
#include "relevo/core/log.hpp"
#include "relevo/feed/lease_keeper.hpp"
#include "relevo/worker/metrics.hpp"
#include "relevo/worker/scheduler.hpp"

namespace relevo::worker {

class LaneShare {
 public:
  struct Options {
    int lanes;  // of all replicas
    int quarantine_after;
  };

  LaneShare(Options options, feed::LeaseKeeper& leases, HeldLanes& lanes, Scheduler& scheduler,
            Claims& claims, Metrics& metrics, core::Log& log, const core::Clock& clock);

  // The connection is gone. Lanes nobody else took until there is another go on where they were:
  // their running jobs are still ours.
  void disconnected();
  void reconnected(Connected& connected);

  // Takes or marks lanes, when it is time. True: some were taken.
  bool balance(Connected& connected);
  // Hands back the marked ones on which nothing is open any more.
  void hand_back(Connected& connected);
  // Hands what journals name to new attempts, when it is time.
  void settle(Connected& connected);
  // Drops what can no longer be trusted. intake: nullptr without a connection.
  void keep_leases(Intake* intake);
  // Writes down how far lanes were read that have moved.
  void save(Connected& connected);
  // At the end of the process: what is still open goes to the next holder without an attempt burnt.
  void hand_over(Connected& connected);

 private:
  bool take(Connected& connected, std::size_t share);
  void mark_leaving(Intake& intake, std::size_t share);
  std::optional<std::size_t> settle(Connected& connected, HeldLane& lane, bool crash);
  void release(Connected& connected, std::span<HeldLane* const> lanes);
  void drop(feed::Slice lane, Intake* intake);

  const Options options_;
  feed::LeaseKeeper& leases_;
  HeldLanes& lanes_;
  Scheduler& scheduler_;
  Claims& claims_;
  Metrics& metrics_;
  core::Log& log_;
  const core::Clock& clock_;
  std::map<feed::Slice, std::int64_t> lost_epochs_;  // held when the connection was lost
  std::set<feed::Slice> held_before_;                // lanes this process has ever had
  core::BootTime next_balance_{};
  std::chrono::milliseconds take_again_;
};

}  // namespace relevo::worker
