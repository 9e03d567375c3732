// Jobs, and what was done to them, as text and JSON.
#include <algorithm>
#include <array>
#include <utility>

#include "cli/job_filter.hpp"
#include "cli/jobs_commands.hpp"
#include "cli/printable.hpp"
#include "cli/table.hpp"

namespace relevo::cli {
namespace {

Json time_json(const std::optional<core::WallTime>& time) {
  return time ? Json(iso_time(*time)) : Json();
}

Json ms_json(const std::optional<std::chrono::milliseconds>& time) {
  return time ? Json(time->count()) : Json();
}

// A member whose JSON text goes as it is, since numbers of any length must stay what they are.
void add_raw(std::string& object, const char* name, const std::optional<std::string>& json) {
  object += std::string(",\"") + name + "\":" + json.value_or("null");
}

Json earlier_json(const postgres::JobStatus& run) {
  return {{"state", run.state},
          {"finished_at", time_json(run.finished)},
          {"ran_ms", ms_json(run.ran)},
          {"attempts", run.attempts},
          {"worker", json_or_null(run.worker)},
          {"error", json_or_null(run.error)}};
}

std::string failures_text(const Json& failures) {
  if (!failures.is_array() || failures.empty()) return {};
  Table table({">attempt", "at", "outcome", "ran", "worker", "error"});
  for (const auto& one : failures) {
    const auto text = [&one](const char* name) {
      const auto& value = one.at(name);
      return value.is_null() ? "-" : value.is_string() ? value.get<std::string>() : value.dump();
    };
    const auto& ran = one.at("ran_ms");
    table.add({text("attempt"), text("at"), text("outcome"),
               ran.is_number() ? duration_text(std::chrono::milliseconds(
                                     static_cast<std::int64_t>(ran.get<double>())))
                               : "-",
               text("worker"), text("error")});
  }
  return "\nfailed attempts\n" + table.text();
}

}  // namespace

Json job_json(const postgres::JobStatus& job) {
  return {{"id", job.id},
          {"state", job.state},
          {"queue", job.queue},
          {"kind", job.kind},
          {"priority", job.priority},
          {"run_at", time_json(job.run_at)},
          {"attempts", job.attempts},
          {"crashes", job.crashes},
          {"max_attempts", json_or_null(job.max_attempts)},
          {"worker", json_or_null(job.worker)},
          {"unique_key", json_or_null(job.unique_key)},
          {"again", job.again},
          {"concurrency_key", json_or_null(job.concurrency_key)},
          {"rate_key", json_or_null(job.rate_key)},
          {"tenant", json_or_null(job.tenant)},
          {"batch", json_or_null(job.batch)},
          {"created_at", iso_time(job.created_at)},
          {"finished_at", time_json(job.finished)},
          {"ran_ms", ms_json(job.ran)},
          {"error", json_or_null(job.error)}};
}

std::string details_json(const std::vector<postgres::JobDetails>& runs) {
  const auto& last = runs.back();
  auto object = job_json(last.job);
  object["timeout_ms"] = ms_json(last.timeout);
  object["expires_at"] = time_json(last.expires_at);
  Json earlier = Json::array();
  for (std::size_t i = 0; i + 1 < runs.size(); ++i) earlier.push_back(earlier_json(runs[i].job));
  object["earlier_runs"] = std::move(earlier);
  auto text = json_line(object);
  text.resize(text.size() - 2);  // its brace and line end
  add_raw(text, "failures", last.failures);
  add_raw(text, "headers", last.headers);
  add_raw(text, "result", last.job.result);
  add_raw(text, "payload", last.payload);
  return text + "}\n";
}

std::string details_text(const std::vector<postgres::JobDetails>& runs) {
  const auto& details = runs.back();
  const auto& job = details.job;
  std::vector<std::pair<const char*, std::string>> lines{{"id", std::to_string(job.id)},
                                                         {"state", job.state},
                                                         {"kind", job.kind},
                                                         {"queue", job.queue},
                                                         {"enqueued", iso_time(job.created_at)}};
  const auto add = [&lines](const char* name, const std::optional<std::string>& value) {
    if (value) lines.emplace_back(name, *value);
  };
  const auto add_time = [&lines](const char* name, const std::optional<core::WallTime>& time) {
    if (time) lines.emplace_back(name, iso_time(*time));
  };
  if (job.state != "dead" && job.state != "quarantined") add_time("runs at", job.run_at);
  add_time("expires at", details.expires_at);
  add_time("finished", job.finished);
  if (job.ran) lines.emplace_back("ran", duration_text(*job.ran));
  add("worker", job.worker);
  if (job.priority != 0) lines.emplace_back("priority", std::to_string(job.priority));
  add("tenant", job.tenant);
  add("unique key", job.unique_key);
  if (job.again) lines.emplace_back("again", "runs once more after this run");
  add("concurrency key", job.concurrency_key);
  add("rate key", job.rate_key);
  if (job.batch) lines.emplace_back("batch", std::to_string(*job.batch));
  lines.emplace_back("attempts",
                     std::to_string(job.attempts) +
                         (job.max_attempts ? " of " + std::to_string(*job.max_attempts) : "") +
                         (job.crashes > 0 ? ", crashes " + std::to_string(job.crashes) : ""));
  if (details.timeout) lines.emplace_back("timeout", duration_text(*details.timeout));
  add("error", job.error);
  add("result", job.result);
  if (details.headers != "{}") lines.emplace_back("headers", details.headers);
  lines.emplace_back("payload", details.payload.value_or("(not kept)"));
  std::string text;
  for (const auto& [name, value] : lines) {
    const std::string label = std::string(name) + ":";
    text += label + std::string(17 - label.size(), ' ') + printable(value) + "\n";
  }
  for (std::size_t i = 0; i + 1 < runs.size(); ++i) {
    const auto& run = runs[i].job;
    text += "earlier run:     " + run.state +
            (run.finished ? " at " + iso_time(*run.finished) : "") + "\n";
  }
  return text + failures_text(Json::parse(details.failures, nullptr, false));
}

std::string JobChange::json() const {
  Json change = Json::object();
  if (run_at) change["run_at"] = iso_time(parse_time_option("--run-at", *run_at));
  if (priority) change["priority"] = *priority;
  if (queue) change["queue"] = *queue;
  if (change.empty() && !payload) {
    throw UsageError("edit: nothing to change; give --payload, --run-at, --priority or --queue");
  }
  std::string text;
  try {
    text = change.dump();
  } catch (const Json::type_error&) {
    throw UsageError("--queue: is not valid UTF-8");
  }
  if (!payload) return text;
  require_json("payload", *payload);
  text.pop_back();
  return text + (change.empty() ? "" : ",") + "\"payload\":" + *payload + "}";
}

bool is_done(std::string_view answer) {
  static constexpr std::array kDone{"requested", "cancelled", "redriven", "discarded", "edited"};
  return std::ranges::find(kDone, answer) != kDone.end();
}

std::string answers_json(std::string_view verb, const std::vector<JobAnswer>& answers) {
  Json jobs = Json::array();
  for (const auto& [id, answer] : answers) jobs.push_back({{"id", id}, {"answer", answer}});
  return json_line({{"command", verb}, {"jobs", std::move(jobs)}});
}

std::string explain_answer(std::string_view verb, const JobAnswer& answer) {
  const auto job = "job " + std::to_string(answer.id) + ": ";
  const auto& what = answer.answer;
  if (what == "requested" && verb == "cancel") {
    return job + "requested; its worker drops it, or asks it to stop when it runs";
  }
  if (what == "requested") return job + "requested; its worker runs it as soon as it can";
  if (what == "redriven") return job + "waits again, with all its attempts";
  if (what == "not found" && verb == "discard") {
    return job + "is not dead; see `relevo jobs list --state dead`, or cancel it";
  }
  if (what == "not found") return job + "neither waits, runs nor is dead; see `relevo jobs show`";
  if (what == "running") return job + "runs; edit it when it waits again";
  if (what == "dead" && verb == "edit") {
    return job + "is dead; discard it and enqueue another, or retry it as it is";
  }
  return job + what;
}

}  // namespace relevo::cli
