// The series of worker::ScheduleMetrics.
#pragma once

#include <mutex>

#include "families.hpp"
#include "relevo/worker/schedule_runner.hpp"

namespace relevo::metrics {

class ScheduleSeries final : public worker::ScheduleMetrics {
 public:
  explicit ScheduleSeries(prometheus::Registry& registry);

  void schedule_fired(std::string_view name, core::WallTime tick) override;
  void schedule_missed(std::string_view name, std::int64_t ticks) override;
  void schedules_broken(std::size_t schedules) override;

 private:
  std::mutex mutex_;
  OpenGauges last_success_;
  OpenCounters missed_;
  Gauge& broken_;
};

}  // namespace relevo::metrics
