#include "relevo/worker/schedule.hpp"

#include <algorithm>
#include <deque>
#include <stdexcept>
#include <string>

#include "relevo/core/overloaded.hpp"
#include "relevo/worker/envelope.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono;
using core::WallTime;

constexpr WallTime kEnd = sys_days{year{2200} / January / 1};
constexpr milliseconds kShortest{1'000};
constexpr milliseconds kLongest = days(36'525);
// More are not counted one by one: a century of seconds must not hold up the others.
constexpr std::int64_t kMostCounted = 100'000;
constexpr int kMostMadeUp = 10'000;

// The newest tick in (after, until], in which there is one: bisects for the last instant before it.
WallTime newest_tick(const Timing& timing, WallTime after, WallTime until) {
  auto beyond = until;
  while (beyond - after > microseconds(1)) {
    const auto middle = after + (beyond - after) / 2;
    const auto next = timing.next(middle);
    (next && *next <= until ? after : beyond) = middle;
  }
  return *timing.next(after);
}

struct Due {
  std::vector<WallTime> on_time;
  std::deque<WallTime> late;  // the newest `keep` of them
  std::int64_t late_count = 0;
};

Due due_ticks(const Timing& timing, WallTime first, WallTime now, std::size_t keep) {
  Due due;
  for (std::optional<WallTime> tick = first; tick && *tick <= now; tick = timing.next(*tick)) {
    if (now - *tick < kOnTime) {
      due.on_time.push_back(*tick);
      continue;
    }
    due.late.push_back(*tick);
    if (due.late.size() > keep) due.late.pop_front();
    if (++due.late_count < kMostCounted) continue;
    const auto last_late = now - kOnTime;
    std::deque<WallTime> newest;
    for (auto until = last_late; newest.size() < keep; until -= microseconds(1)) {
      if (const auto next = timing.next(*tick); !next || *next > until) break;
      until = newest_tick(timing, *tick, until);
      newest.push_front(until);
    }
    due.late.insert(due.late.end(), newest.begin(), newest.end());
    while (due.late.size() > keep) due.late.pop_front();
    tick = last_late;
  }
  return due;
}

}  // namespace

Timing Timing::cron(std::string_view expression, std::string_view zone) {
  return {Cron::parse(expression), TimeZone::find(zone)};
}

Timing Timing::every(milliseconds interval) {
  if (interval < kShortest || interval > kLongest) {
    throw std::invalid_argument("every: is " + std::to_string(interval.count()) +
                                " ms; give 1 s to 36525 days");
  }
  return {interval, {}};
}

Timing Timing::at(WallTime time) {
  if (time >= kEnd) {
    throw std::invalid_argument("at: " + rfc3339(time) +
                                " never fires: nothing is computed beyond the year 2199; give an "
                                "earlier time");
  }
  return {time, {}};
}

std::optional<WallTime> Timing::next(WallTime after) const {
  const auto tick = std::visit(
      core::Overloaded{
          [&](const Cron& cron) -> std::optional<WallTime> { return cron.next(after, zone_); },
          [&](milliseconds interval) -> std::optional<WallTime> {
            const auto since = floor<milliseconds>(after.time_since_epoch());
            auto whole = since / interval;
            if (since < 0ms && since % interval != 0ms) --whole;
            return WallTime(interval * (whole + 1));
          },
          [&](WallTime time) -> std::optional<WallTime> {
            return time > after ? std::optional(time) : std::nullopt;
          }},
      when_);
  return tick && *tick < kEnd ? tick : std::nullopt;
}

std::optional<WallTime> Timing::first(std::optional<WallTime> last_tick, WallTime now) const {
  if (std::holds_alternative<WallTime>(when_)) return next(last_tick.value_or(WallTime::min()));
  return next(std::max(now, last_tick.value_or(now)));
}

Timing parse_timing(const TimingText& text) {
  if (int{text.cron.has_value()} + int{text.every.has_value()} + int{text.at.has_value()} != 1) {
    throw std::invalid_argument("cron, every, at: give exactly one of them");
  }
  if (text.every) return Timing::every(*text.every);
  if (text.at) return Timing::at(*text.at);
  return Timing::cron(*text.cron, text.time_zone);
}

Missed parse_missed(std::string_view text) {
  if (text == "skip") return Missed::kSkip;
  if (text == "once") return Missed::kOnce;
  if (text == "all") return Missed::kAll;
  throw std::invalid_argument("missed: is \"" + std::string(text) + "\"; give skip, once or all");
}

Plan plan(const Timing& timing, const MissedPolicy& policy, std::optional<WallTime> last_tick,
          std::optional<WallTime> next_tick, WallTime now) {
  auto first = next_tick ? next_tick : timing.first(last_tick, now);
  // A row changed by hand: what was fired stays fired.
  if (first && last_tick && *first <= *last_tick) first = timing.next(*last_tick);
  if (!first || *first > now) return {{}, first, 0};

  const int wanted = policy.missed == Missed::kSkip   ? 0
                     : policy.missed == Missed::kOnce ? 1
                                                      : std::clamp(policy.max, 0, kMostMadeUp);
  auto due = due_ticks(timing, *first, now, static_cast<std::size_t>(wanted));
  Plan plan;
  plan.missed = due.late_count - static_cast<std::int64_t>(due.late.size());
  plan.fire.assign(due.late.begin(), due.late.end());
  plan.fire.insert(plan.fire.end(), due.on_time.begin(), due.on_time.end());
  plan.next = timing.next(now);
  return plan;
}

WallTime parse_instant(std::string_view text) {
  if (const auto time = parse_rfc3339(text)) return *time;
  throw std::invalid_argument("at: \"" + std::string(text) +
                              "\" is no time; give one with its offset, as "
                              "2026-03-29T02:30:00+02:00 or 2026-03-29T00:30:00Z");
}

}  // namespace relevo::worker
