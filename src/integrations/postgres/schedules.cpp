#include "relevo/postgres/schedules.hpp"

#include "nullable.hpp"
#include "statements.hpp"

namespace relevo::postgres {
namespace {

using namespace std::chrono;
using core::WallTime;

// cron, every_ms, at and time_zone stand side by side.
worker::TimingText timing_of(const Result& result, int row, int column) {
  worker::TimingText timing;
  timing.cron = optional_string(result, row, column);
  timing.every = optional_ms(result, row, column + 1);
  timing.at = optional_time(result, row, column + 2);
  timing.time_zone = result.string(row, column + 3);
  return timing;
}

}  // namespace

worker::DueSchedules Schedules::due() {
  const auto result = connection_.run(statements::kSchedulesDue);
  worker::DueSchedules due;
  for (int i = 0; i < result.rows(); ++i) {
    worker::ScheduleRow row;
    row.name = result.string(i, 0);
    row.timing = timing_of(result, i, 1);
    row.missed = result.string(i, 7);
    row.missed_max = result.int4(i, 8);
    row.last_tick = optional_time(result, i, 9);
    row.next_tick = optional_time(result, i, 10);
    row.paused = result.boolean(i, 11);
    // The clock of the first row: later ones are read a little later.
    if (i == 0) due.now = result.time(i, 12);
    due.rows.push_back(std::move(row));
  }
  return due;
}

bool Schedules::fire(const std::string& name, std::optional<WallTime> expected,
                     std::optional<WallTime> next, std::span<const WallTime> ticks) {
  std::vector<std::string> texts;
  for (const auto tick : ticks) texts.push_back(timestamp(tick));
  Params params;
  params.add(name);
  add_optional(params, expected);
  add_optional(params, next).add_array(texts);
  return connection_.run(statements::kScheduleFire, params).rows() > 0;
}

std::vector<std::string> Schedules::remove_configured_except(std::span<const std::string> names) {
  const auto result =
      connection_.run(statements::kSchedulesRemoveConfigured, Params().add_array(names));
  std::vector<std::string> removed;
  for (int i = 0; i < result.rows(); ++i) removed.push_back(result.string(i, 0));
  return removed;
}

std::vector<ScheduleStatus> Schedules::list() {
  const auto result = connection_.run(statements::kSchedulesList);
  std::vector<ScheduleStatus> schedules;
  for (int i = 0; i < result.rows(); ++i) {
    ScheduleStatus status;
    auto& definition = status.definition;
    definition.name = result.string(i, 0);
    definition.timing = timing_of(result, i, 1);
    definition.queue = result.string(i, 5);
    definition.kind = result.string(i, 6);
    definition.payload = result.string(i, 7);
    definition.priority = result.int4(i, 8);
    definition.headers = result.string(i, 9);
    definition.missed = result.string(i, 10);
    definition.missed_max = result.int4(i, 11);
    status.paused = result.boolean(i, 12);
    status.origin = result.string(i, 13);
    status.last_tick = optional_time(result, i, 14);
    status.next_tick = optional_time(result, i, 15);
    status.last_job = optional_int8(result, i, 16);
    status.last_state = optional_string(result, i, 17);
    definition.unique_key = optional_string(result, i, 20);
    definition.concurrency_key = optional_string(result, i, 21);
    definition.rate_key = optional_string(result, i, 22);
    definition.tenant = optional_string(result, i, 23);
    schedules.push_back(std::move(status));
  }
  return schedules;
}

void Schedules::put(const worker::ScheduleDefinition& schedule, std::string_view origin) {
  const auto& timing = schedule.timing;
  Params params;
  params.add(schedule.name).add(schedule.kind);
  add_optional(params, timing.cron);
  timing.every ? params.add(std::int64_t{timing.every->count()}) : params.add(std::nullopt);
  add_optional(params, timing.at)
      .add(timing.time_zone)
      .add(schedule.queue)
      .add(schedule.payload)
      .add(std::int64_t{schedule.priority})
      .add(schedule.headers)
      .add(schedule.missed)
      .add(std::int64_t{schedule.missed_max})
      .add(origin);
  add_optional(params, schedule.unique_key);
  add_optional(params, schedule.concurrency_key);
  add_optional(params, schedule.rate_key);
  add_optional(params, schedule.tenant);
  connection_.run(statements::kSchedulePut, params);
}

bool Schedules::remove(const std::string& name) {
  return connection_.run(statements::kScheduleRemove, Params().add(name)).boolean(0, 0);
}

bool Schedules::pause(const std::string& name) {
  return connection_.run(statements::kSchedulePause, Params().add(name)).boolean(0, 0);
}

bool Schedules::resume(const std::string& name) {
  return connection_.run(statements::kScheduleResume, Params().add(name)).boolean(0, 0);
}

std::optional<std::int64_t> Schedules::run(const std::string& name) {
  const auto result = connection_.run(statements::kScheduleRun, Params().add(name));
  return result.rows() == 0 ? std::nullopt : std::optional(result.int8(0, 0));
}

}  // namespace relevo::postgres
