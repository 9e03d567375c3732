#include <algorithm>
#include <functional>
#include <optional>

#include "cli/dead_commands.hpp"
#include "cli/json_text.hpp"
#include "daemon.hpp"

namespace relevo::cli {
namespace {

using postgres::DeadEventChoice;

std::string aggregate_of(const DeadEventChoice& event) {
  return event.aggregate_type + "/" + event.aggregate_id;
}

std::optional<std::string> why_no_retry(const DeadEventChoice& event) {
  if (event.state == "retry") return "is released already; the relay publishes it";
  if (event.state == "parked" && event.reason == "queued_behind" && event.first_id != event.id) {
    return "only queues behind event " + std::to_string(event.first_id) + " of " +
           aggregate_of(event) + "; retry or skip that one";
  }
  return std::nullopt;
}

std::optional<std::string> why_no_skip(const DeadEventChoice& event) {
  if (event.state == "skipped") return "is skipped already";
  if (event.state == "retry")
    return "is released, and may be on its way; skip it if it gets parked again";
  return std::nullopt;
}

DeadChoice choose(
    std::span<const std::int64_t> asked, std::span<const DeadEventChoice> found,
    const std::function<std::optional<std::string>(const DeadEventChoice&)>& objection) {
  DeadChoice choice;
  for (const auto id : asked) {
    const auto event = std::ranges::find(found, id, &DeadEventChoice::id);
    if (event == found.end()) {
      choice.declined.push_back({id,
                                 "is no dead event (published since, or never parked); see `relevo "
                                 "outbox dead list`"});
    } else if (auto why = objection(*event)) {
      choice.declined.push_back({id, std::move(*why)});
    } else {
      choice.ids.push_back(id);
    }
  }
  return choice;
}

}  // namespace

DeadChoice choose_to_retry(std::span<const std::int64_t> asked,
                           std::span<const DeadEventChoice> found) {
  return choose(asked, found, why_no_retry);
}

DeadChoice choose_to_skip(std::span<const std::int64_t> asked,
                          std::span<const DeadEventChoice> found) {
  return choose(asked, found, why_no_skip);
}

int report_declined(std::span<const Declined> declined) {
  for (const auto& [id, why] : declined) complain("event " + std::to_string(id) + ": " + why);
  return declined.empty() ? exit_code::kOk : exit_code::kFailed;
}

std::string dead_json(const char* verb, std::span<const std::int64_t> ids,
                      std::span<const Declined> declined) {
  Json refused = Json::array();
  for (const auto& [id, why] : declined) refused.push_back({{"id", id}, {"why", why}});
  Json done = Json::array();
  for (const auto id : ids) done.push_back(id);
  return json_line({{verb, std::move(done)}, {"declined", std::move(refused)}});
}

}  // namespace relevo::cli
