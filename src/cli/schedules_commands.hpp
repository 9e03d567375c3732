// The commands below `relevo schedules`, and what they share.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "cli/command.hpp"
#include "relevo/core/clock.hpp"
#include "relevo/postgres/schedules.hpp"
#include "relevo/worker/schedule.hpp"

namespace relevo::cli {

void add_schedules_list(CLI::App& parent, Action& chosen);
void add_schedules_add(CLI::App& parent, Action& chosen);
void add_schedules_remove(CLI::App& parent, Action& chosen);
void add_schedules_pause(CLI::App& parent, Action& chosen);
void add_schedules_resume(CLI::App& parent, Action& chosen);
void add_schedules_run(CLI::App& parent, Action& chosen);
void add_schedules_next(CLI::App& parent, Action& chosen);

// 500ms, 90s, 15m, 2h, 7d. Throws UsageError.
std::chrono::milliseconds parse_interval(std::string_view option, const std::string& text);
// The same the other way round, in the largest unit that is exact.
std::string interval_text(std::chrono::milliseconds interval);

// As the zone's clocks show it: 2026-03-29 03:00:00 +02:00
std::string local_time(core::WallTime time, const worker::TimeZone& zone);

// "cron 0 3 * * *", "every 15m", "at 2026-…"
std::string timing_text(const worker::TimingText& timing);

}  // namespace relevo::cli
