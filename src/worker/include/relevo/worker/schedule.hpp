// When a schedule fires, and what becomes of the ticks that nobody was there to fire. Pure: the
// caller brings the time, which is the database's.
//
// A tick is an instant that the timing names. Each is fired once or not at all: plan() says which
// ones to fire and the tick to wait for next, and whoever stores both in one compare-and-set has
// fired them; the others read the row again.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/worker/cron.hpp"
#include "relevo/worker/time_zone.hpp"

namespace relevo::worker {

// A tick fired later than this was missed: everything was down, or the clock was set forward.
inline constexpr std::chrono::seconds kOnTime{60};

class Timing {
 public:
  // Each throws std::invalid_argument with one line: what is wrong and what to do.
  static Timing cron(std::string_view expression, std::string_view zone);
  // The multiples of the interval after 1970-01-01 00:00 UTC, whenever it was set up and whatever
  // clocks do: every replica and every version comes to the same ticks.
  static Timing every(std::chrono::milliseconds interval);
  static Timing at(core::WallTime time);

  // nullopt: none before the year 2200.
  [[nodiscard]] std::optional<core::WallTime> next(core::WallTime after) const;
  // Of a schedule that has no next tick yet: none from before `now`, but for a single time, which
  // may have passed.
  [[nodiscard]] std::optional<core::WallTime> first(std::optional<core::WallTime> last_tick,
                                                    core::WallTime now) const;
  const TimeZone& zone() const { return zone_; }

 private:
  using When = std::variant<Cron, std::chrono::milliseconds, core::WallTime>;
  Timing(When when, TimeZone zone) : when_(std::move(when)), zone_(std::move(zone)) {}

  When when_;
  TimeZone zone_;
};

// A timing as it is written down: in the configuration, on the command line, in a row.
struct TimingText {
  std::optional<std::string> cron;  // exactly one of cron, every, at
  std::optional<std::chrono::milliseconds> every;
  std::optional<core::WallTime> at;
  std::string time_zone = "UTC";  // of cron
};
// Throws std::invalid_argument with one line.
Timing parse_timing(const TimingText& text);

enum class Missed {
  kSkip,  // nothing
  kOnce,  // one job for the newest
  kAll,   // a job for each of the newest `max`, oldest first
};
// "skip", "once", "all"; throws std::invalid_argument.
Missed parse_missed(std::string_view text);

struct MissedPolicy {
  Missed missed = Missed::kOnce;
  int max = 100;
};

struct Plan {
  std::vector<core::WallTime> fire;    // oldest first
  std::optional<core::WallTime> next;  // nullopt: it never fires again
  std::int64_t missed = 0;             // ticks that get no job; of very many, at least so many
};

// What is due at `now`. last_tick, next_tick: as the schedule's row has them; nullopt: none yet.
// Never gives a tick that lies after `now` or not after last_tick, however the clock was set.
[[nodiscard]] Plan plan(const Timing& timing, const MissedPolicy& policy,
                        std::optional<core::WallTime> last_tick,
                        std::optional<core::WallTime> next_tick, core::WallTime now);

// RFC 3339, with its offset: 2026-03-29T02:30:00+02:00 or …Z. Throws std::invalid_argument.
core::WallTime parse_instant(std::string_view text);

}  // namespace relevo::worker
