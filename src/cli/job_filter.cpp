#include "cli/job_filter.hpp"

#include <CLI/App.hpp>
#include <stdexcept>
#include <vector>

#include "cli/command.hpp"
#include "cli/json_text.hpp"
#include "cli/table.hpp"
#include "relevo/worker/schedule.hpp"

namespace relevo::cli {

void require_json(std::string_view option, const std::string& text) {
  if (Json::accept(text)) return;
  throw UsageError(std::string(option) + R"(: is no valid JSON; give for example '{"order": 42}')");
}

core::WallTime parse_time_option(std::string_view option, const std::string& text) {
  try {
    return worker::parse_instant(text);
  } catch (const std::invalid_argument& error) {
    std::string_view why = error.what();
    if (why.starts_with("at: ")) why.remove_prefix(4);  // the option says it
    throw UsageError(std::string(option) + ": " + std::string(why));
  }
}

bool JobFilter::empty() const {
  return !state && !kind && !queue && !key && !unique_key && !tenant && !payload && !payload_path &&
         !before && !after;
}

bool JobFilter::only_unique_key() const {
  auto rest = *this;
  rest.unique_key.reset();
  return unique_key && rest.empty();
}

std::string JobFilter::json() const {
  Json filter = Json::object();
  const auto put = [&filter](const char* name, const std::optional<std::string>& value) {
    if (value) filter[name] = *value;
  };
  put("state", state);
  put("kind", kind);
  put("queue", queue);
  put("concurrency_key", key);
  put("unique_key", unique_key);
  put("tenant", tenant);
  put("payload_path", payload_path);
  if (before) filter["before"] = iso_time(parse_time_option("--before", *before));
  if (after) filter["after"] = iso_time(parse_time_option("--after-time", *after));
  std::string text;
  try {
    text = filter.dump();
  } catch (const Json::type_error&) {
    throw UsageError("filter: is not valid UTF-8");
  }
  if (!payload) return text;
  require_json("--payload", *payload);
  // As it was given: numbers of any length stay what they are.
  text.pop_back();
  return text + (filter.empty() ? "" : ",") + "\"payload\":" + *payload + "}";
}

void add_filter_options(CLI::App& command, JobFilter& filter, FilterOf of) {
  std::vector<std::string> states{"available", "scheduled", "retryable",
                                  "running",   "dead",      "quarantined"};
  if (of == FilterOf::kAll) {
    states.insert(states.end(), {"completed", "cancelled", "discarded"});
  }
  command.add_option("--state", filter.state, "Only jobs in this state")
      ->type_name("STATE")
      ->check(CLI::IsMember(states));
  command.add_option("--kind", filter.kind, "Only of this kind; may end in *")->type_name("KIND");
  command.add_option("--queue", filter.queue, "Only of this queue")->type_name("QUEUE");
  command.add_option("--key", filter.key, "Only with this concurrency key")->type_name("KEY");
  command.add_option("--unique-key", filter.unique_key, "Only with this unique key")
      ->type_name("KEY");
  command.add_option("--tenant", filter.tenant, "Only of this tenant")->type_name("TENANT");
  command.add_option("--payload", filter.payload, "Only whose payload contains this JSON")
      ->type_name("JSON");
  command
      .add_option("--payload-path", filter.payload_path,
                  "Only whose payload matches this jsonpath: '$.total > 1000'")
      ->type_name("PATH");
  command.add_option("--before", filter.before, "Only enqueued before this time")
      ->type_name("TIME");
  command.add_option("--after-time", filter.after, "Only enqueued at or after this time")
      ->type_name("TIME");
}

}  // namespace relevo::cli
