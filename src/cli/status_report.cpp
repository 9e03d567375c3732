#include "cli/status_report.hpp"

#include <algorithm>
#include <cmath>

#include "cli/explain.hpp"
#include "cli/json_text.hpp"
#include "cli/table.hpp"

namespace relevo::cli {
namespace {

using namespace std::chrono_literals;
using std::chrono::microseconds;

double seconds(microseconds duration) { return std::chrono::duration<double>(duration).count(); }

std::optional<microseconds> oldest_age(const EventLook& look) {
  if (!look.backlog.oldest) return std::nullopt;
  return std::max<microseconds>(look.newest.asked_at - *look.backlog.oldest, 0us);
}

std::string replicas_text(const Look& look) {
  if (look.replicas.empty()) return "no replica is running; start one with `relevo run`\n";
  Table table({"replica", "version", "host", "roles", "up", "seen"});
  for (const auto& replica : look.replicas) {
    table.add({replica.id, replica.version, replica.host, replica.roles,
               duration_text(look.asked_at - replica.started_at),
               duration_text(look.asked_at - replica.seen_at) + " ago"});
  }
  return table.text();
}

std::string shards_text(const EventLook& look) {
  Table table({">shard", "holder", ">epoch", ">window", ">last id", ">behind"});
  for (const auto& shard : look.shards) {
    table.add(
        {std::to_string(shard.shard), shard.holder.value_or("(free)"), std::to_string(shard.epoch),
         std::to_string(shard.tick_a) + ".." + std::to_string(shard.tick_b),
         shard.last_id < 0 ? "-" : std::to_string(shard.last_id), duration_text(shard.behind)});
  }
  return table.text();
}

std::string dead_text(const EventLook& look) {
  if (look.dead.empty()) return "dead events: none\n";
  Table table({"dead events", "reason", ">events"});
  for (const auto& count : look.dead) {
    table.add({count.state, count.reason, std::to_string(count.events)});
  }
  return table.text() + count_text(look.waiting_aggregates, "aggregate") +
         " waiting; see `relevo outbox dead list`\n";
}

std::string backlog_text(const EventLook& look, std::optional<double> rate) {
  std::string text = "backlog:     " + std::string(look.backlog.exact ? "" : "≈ ") +
                     count_text(look.backlog.events, "event");
  if (const auto age = oldest_age(look))
    text += ", the oldest stored " + duration_text(*age) + " ago";
  text += "\npublishing:  ";
  text +=
      rate ? "≈ " + count_text(std::llround(*rate), "event") + " per second" : "not measured yet";
  return text + "\n";
}

// Members of the status object; each null when nothing may be seen.
void add_events_json(Json& status, const std::optional<EventLook>& look,
                     std::optional<double> rate) {
  Json backlog;
  Json shards;
  Json dead;
  if (look) {
    const auto age = oldest_age(*look);
    backlog = {{"events", look->backlog.events},
               {"exact", look->backlog.exact},
               {"oldest_age_seconds", age ? Json(seconds(*age)) : Json()}};
    shards = Json::array();
    for (const auto& shard : look->shards) {
      shards.push_back({{"shard", shard.shard},
                        {"holder", json_or_null(shard.holder)},
                        {"epoch", shard.epoch},
                        {"tick_a", shard.tick_a},
                        {"tick_b", shard.tick_b},
                        {"last_id", shard.last_id},
                        {"behind_seconds", seconds(shard.behind)}});
    }
    dead = Json::array();
    for (const auto& count : look->dead) {
      dead.push_back({{"state", count.state}, {"reason", count.reason}, {"events", count.events}});
    }
  }
  status["backlog"] = std::move(backlog);
  status["published_per_second"] = json_or_null(rate);
  status["shards"] = std::move(shards);
  status["dead_events"] = std::move(dead);
  status["waiting_aggregates"] = look ? Json(look->waiting_aggregates) : Json();
}

}  // namespace

std::optional<EventLook> look_at_events(std::optional<postgres::Inspector>& events) {
  if (!events) return std::nullopt;
  try {
    EventLook look;
    look.newest = events->newest_event();
    look.backlog = events->backlog();
    look.shards = events->shards();
    look.dead = events->dead_counts();
    if (!look.dead.empty()) look.waiting_aggregates = events->dead_aggregates();
    return look;
  } catch (const core::IntegrationError& error) {
    if (!is_not_permitted(error)) throw;
    events.reset();
    return std::nullopt;
  }
}

Look look_at(StatusSource& source, std::chrono::milliseconds lease) {
  Look look;
  look.events = look_at_events(source.events);
  look.asked_at = source.replicas.server().time;
  look.replicas = source.replicas.replicas(lease);
  look.jobs = look_at_jobs(source.jobs);
  return look;
}

std::optional<double> published_per_second(const std::optional<EventLook>& before,
                                           const std::optional<EventLook>& after) {
  if (!before || !after) return std::nullopt;
  const auto time = seconds(after->newest.asked_at - before->newest.asked_at);
  if (time <= 0) return std::nullopt;
  const auto done =
      (after->newest.id - before->newest.id) - (after->backlog.events - before->backlog.events);
  return std::max(0.0, static_cast<double>(done) / time);
}

std::string status_text(const Look& look, std::optional<double> rate) {
  std::string text = look.events
                         ? backlog_text(*look.events, rate)
                         : "events: this user may not see them (it is no member of relevo_relay)\n";
  text += "\n" + replicas_text(look) + "\n";
  if (look.events) text += shards_text(*look.events) + "\n" + dead_text(*look.events) + "\n";
  return text + jobs_text(look.jobs);
}

std::string status_json(const Look& look, std::optional<double> rate) {
  Json replicas = Json::array();
  for (const auto& replica : look.replicas) {
    replicas.push_back({{"id", replica.id},
                        {"version", replica.version},
                        {"host", replica.host},
                        {"roles", replica.roles},
                        {"started_at", iso_time(replica.started_at)},
                        {"seen_at", iso_time(replica.seen_at)}});
  }
  Json status{{"asked_at", iso_time(look.asked_at)}, {"replicas", std::move(replicas)}};
  add_events_json(status, look.events, rate);
  add_jobs_json(status, look.jobs);
  return json_line(status);
}

}  // namespace relevo::cli
