#include "cli/job_report.hpp"

#include <algorithm>

#include "cli/explain.hpp"
#include "cli/table.hpp"
#include "relevo/core/error.hpp"

namespace relevo::cli {
namespace {

bool is_held(const postgres::LaneHolder& lanes) { return lanes.holder.has_value(); }

std::string lanes_text(const JobLook& look) {
  if (look.queues.queues.empty() && std::ranges::none_of(look.lanes, is_held)) return {};
  Table table({"worker", ">lanes", ">running", ">behind"});
  for (const auto& one : look.lanes) {
    table.add({one.holder.value_or("(free)"), std::to_string(one.lanes),
               std::to_string(one.running), duration_text(one.behind)});
  }
  return "\n" + table.text();
}

std::string schedules_text(const JobLook& look) {
  const auto& schedules = look.schedules;
  if (schedules.schedules == 0) return {};
  std::string text = "\nschedules:   " + std::to_string(schedules.schedules);
  if (schedules.paused > 0) text += ", " + std::to_string(schedules.paused) + " paused";
  if (schedules.next_tick) text += ", next " + iso_time(*schedules.next_tick);
  if (schedules.overdue > 0) text += ", " + std::to_string(schedules.overdue) + " overdue";
  return text + "\n";
}

std::string parked_text(const JobLook& look) {
  if (look.parked.empty()) return {};
  Table table({"subscription", ">parked messages", ">oldest"});
  for (const auto& one : look.parked) {
    const auto age = duration_text(look.queues.now - one.oldest_at);
    table.add({one.subscription, std::to_string(one.messages), age});
  }
  return "\n" + table.text();
}

}  // namespace

std::optional<JobLook> look_at_jobs(std::optional<postgres::JobAdmin>& admin) {
  if (!admin) return std::nullopt;
  try {
    JobLook look;
    look.queues = look_at_queues(*admin);
    look.lanes = admin->lane_holders();
    look.schedules = admin->schedules();
    look.parked = admin->parked_messages();
    return look;
  } catch (const core::IntegrationError& error) {
    if (!is_not_permitted(error)) throw;
    admin.reset();
    return std::nullopt;
  }
}

std::string jobs_text(const std::optional<JobLook>& look) {
  if (!look) return "jobs: this user may not see them (it is no member of relevo_worker)\n";
  return queues_text(look->queues) + lanes_text(*look) + schedules_text(*look) + parked_text(*look);
}

void add_jobs_json(Json& status, const std::optional<JobLook>& look) {
  status["queues"] = look ? queues_json(look->queues) : Json();
  status["pauses"] = look ? pauses_json(look->queues) : Json();
  Json lanes;
  Json schedules;
  Json parked;
  if (look) {
    lanes = Json::array();
    for (const auto& one : look->lanes) {
      lanes.push_back({{"holder", json_or_null(one.holder)},
                       {"lanes", one.lanes},
                       {"running", one.running},
                       {"behind_seconds", std::chrono::duration<double>(one.behind).count()}});
    }
    const auto& figures = look->schedules;
    schedules = {{"schedules", figures.schedules},
                 {"paused", figures.paused},
                 {"overdue", figures.overdue},
                 {"next_tick", figures.next_tick ? Json(iso_time(*figures.next_tick)) : Json()}};
    parked = Json::array();
    for (const auto& one : look->parked) {
      parked.push_back({{"subscription", one.subscription},
                        {"messages", one.messages},
                        {"oldest_at", iso_time(one.oldest_at)}});
    }
  }
  status["lanes"] = std::move(lanes);
  status["schedules"] = std::move(schedules);
  status["parked_messages"] = std::move(parked);
}

}  // namespace relevo::cli
