#include "schedule_series.hpp"

#include <algorithm>

namespace relevo::metrics {

ScheduleSeries::ScheduleSeries(prometheus::Registry& registry)
    : last_success_(open_gauges(registry, "relevo_schedule_last_success_timestamp_seconds",
                                "The latest tick made into a job, in seconds since 1970.",
                                "schedule")),
      missed_(open_counters(registry, "relevo_schedule_missed_total",
                            "Ticks dropped because nobody was there to fire them.", "schedule")),
      broken_(gauges(registry, "relevo_schedules_broken",
                     "Schedules that cannot be understood or fired, as of the last look.")
                  .Add({})) {}

void ScheduleSeries::schedule_fired(std::string_view name, core::WallTime tick) {
  const std::lock_guard lock(mutex_);
  auto* last = last_success_.of({name});
  last->Set(
      std::max(last->Value(), std::chrono::duration<double>(tick.time_since_epoch()).count()));
  missed_.of({name});  // there with 0, so that the first one missed is an increase
}

void ScheduleSeries::schedule_missed(std::string_view name, std::int64_t ticks) {
  const std::lock_guard lock(mutex_);
  missed_.of({name})->Increment(static_cast<double>(ticks));
}

void ScheduleSeries::schedules_broken(std::size_t schedules) {
  broken_.Set(static_cast<double>(schedules));
}

}  // namespace relevo::metrics
