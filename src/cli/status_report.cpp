#include "cli/status_report.hpp"

#include <algorithm>
#include <cmath>

#include "cli/json_text.hpp"
#include "cli/table.hpp"

namespace relevo::cli {
namespace {

using namespace std::chrono_literals;
using std::chrono::microseconds;

double seconds(microseconds duration) { return std::chrono::duration<double>(duration).count(); }

std::optional<microseconds> oldest_age(const Look& look) {
  if (!look.backlog.oldest) return std::nullopt;
  return std::max<microseconds>(look.newest.asked_at - *look.backlog.oldest, 0us);
}

std::string replicas_text(const Look& look) {
  if (look.replicas.empty()) return "no replica is running; start one with `relevo run`\n";
  Table table({"replica", "version", "host", "roles", "up", "seen"});
  for (const auto& replica : look.replicas) {
    table.add({replica.id, replica.version, replica.host, replica.roles,
               duration_text(look.newest.asked_at - replica.started_at),
               duration_text(look.newest.asked_at - replica.seen_at) + " ago"});
  }
  return table.text();
}

std::string shards_text(const Look& look) {
  Table table({">shard", "holder", ">epoch", ">window", ">last id", ">behind"});
  for (const auto& shard : look.shards) {
    table.add(
        {std::to_string(shard.shard), shard.holder.value_or("(free)"), std::to_string(shard.epoch),
         std::to_string(shard.tick_a) + ".." + std::to_string(shard.tick_b),
         shard.last_id < 0 ? "-" : std::to_string(shard.last_id), duration_text(shard.behind)});
  }
  return table.text();
}

std::string dead_text(const Look& look) {
  if (look.dead.empty()) return "dead events: none\n";
  Table table({"dead events", "reason", ">events"});
  for (const auto& count : look.dead) {
    table.add({count.state, count.reason, std::to_string(count.events)});
  }
  return table.text() + count_text(look.waiting_aggregates, "aggregate") +
         " waiting; see `relevo outbox dead list`\n";
}

}  // namespace

Look look_at(postgres::Inspector& inspector, std::optional<postgres::JobAdmin>& jobs,
             std::chrono::milliseconds lease) {
  Look look;
  look.newest = inspector.newest_event();
  look.backlog = inspector.backlog();
  look.replicas = inspector.replicas(lease);
  look.shards = inspector.shards();
  look.dead = inspector.dead_counts();
  if (!look.dead.empty()) look.waiting_aggregates = inspector.dead_aggregates();
  look.jobs = look_at_jobs(jobs);
  return look;
}

std::optional<double> published_per_second(const postgres::NewestEvent& from,
                                           const postgres::Backlog& before,
                                           const postgres::NewestEvent& to,
                                           const postgres::Backlog& after) {
  const auto time = seconds(to.asked_at - from.asked_at);
  if (time <= 0) return std::nullopt;
  const auto done = (to.id - from.id) - (after.events - before.events);
  return std::max(0.0, static_cast<double>(done) / time);
}

std::string status_text(const Look& look, std::optional<double> rate) {
  std::string text = "backlog:     " + std::string(look.backlog.exact ? "" : "≈ ") +
                     count_text(look.backlog.events, "event");
  if (const auto age = oldest_age(look))
    text += ", the oldest stored " + duration_text(*age) + " ago";
  text += "\npublishing:  ";
  text +=
      rate ? "≈ " + count_text(std::llround(*rate), "event") + " per second" : "not measured yet";
  return text + "\n\n" + replicas_text(look) + "\n" + shards_text(look) + "\n" + dead_text(look) +
         "\n" + jobs_text(look.jobs);
}

std::string status_json(const Look& look, std::optional<double> rate) {
  const auto age = oldest_age(look);
  Json replicas = Json::array();
  for (const auto& replica : look.replicas) {
    replicas.push_back({{"id", replica.id},
                        {"version", replica.version},
                        {"host", replica.host},
                        {"roles", replica.roles},
                        {"started_at", iso_time(replica.started_at)},
                        {"seen_at", iso_time(replica.seen_at)}});
  }
  Json shards = Json::array();
  for (const auto& shard : look.shards) {
    shards.push_back({{"shard", shard.shard},
                      {"holder", shard.holder ? Json(*shard.holder) : Json()},
                      {"epoch", shard.epoch},
                      {"tick_a", shard.tick_a},
                      {"tick_b", shard.tick_b},
                      {"last_id", shard.last_id},
                      {"behind_seconds", seconds(shard.behind)}});
  }
  Json dead = Json::array();
  for (const auto& count : look.dead) {
    dead.push_back({{"state", count.state}, {"reason", count.reason}, {"events", count.events}});
  }
  Json status{{"asked_at", iso_time(look.newest.asked_at)},
              {"backlog",
               {{"events", look.backlog.events},
                {"exact", look.backlog.exact},
                {"oldest_age_seconds", age ? Json(seconds(*age)) : Json()}}},
              {"published_per_second", rate ? Json(*rate) : Json()},
              {"replicas", std::move(replicas)},
              {"shards", std::move(shards)},
              {"dead_events", std::move(dead)},
              {"waiting_aggregates", look.waiting_aggregates}};
  add_jobs_json(status, look.jobs);
  return json_line(status);
}

}  // namespace relevo::cli
