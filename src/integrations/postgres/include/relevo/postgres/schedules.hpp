// Schedules in relevo.schedule: the runner's port, and what people ask and do, over one connection;
// errors as Connection. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "relevo/postgres/connection.hpp"
#include "relevo/worker/schedule_runner.hpp"

namespace relevo::postgres {

struct ScheduleStatus {
  worker::ScheduleDefinition definition;
  bool paused = false;
  std::string origin;  // config, sql
  std::optional<core::WallTime> last_tick;
  std::optional<core::WallTime> next_tick;
  std::optional<std::int64_t> last_job;
  std::optional<std::string> last_state;  // of that job; nullopt: none, or no longer known
};

class Schedules final : public worker::ScheduleStore {
 public:
  explicit Schedules(const ConnectOptions& options) : connection_(options) {}

  worker::DueSchedules due() override;
  bool fire(const std::string& name, std::optional<core::WallTime> expected,
            std::optional<core::WallTime> next, std::span<const core::WallTime> ticks) override;
  void put_configured(const worker::ScheduleDefinition& schedule) override {
    put(schedule, "config");
  }
  std::vector<std::string> remove_configured_except(std::span<const std::string> names) override;

  std::vector<ScheduleStatus> list();
  void put(const worker::ScheduleDefinition& schedule) { put(schedule, "sql"); }
  // false, nullopt: there is no such schedule
  bool remove(const std::string& name);
  bool pause(const std::string& name);
  bool resume(const std::string& name);
  std::optional<std::int64_t> run(const std::string& name);  // one job now; returns its id

 private:
  void put(const worker::ScheduleDefinition& schedule, std::string_view origin);

  Connection connection_;
};

}  // namespace relevo::postgres
