#include "jobs.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <optional>
#include <string_view>

#include "backlog.hpp"
#include "consumer.hpp"
#include "drain.hpp"
#include "enqueue.hpp"
#include "job_latency.hpp"
#include "queues.hpp"
#include "rescue.hpp"
#include "surroundings.hpp"

namespace relevo::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kKeys = 20'000;
constexpr std::int64_t kTenants = 10;

void say(const std::string& text) { std::fprintf(stderr, "bench: %s\n", text.c_str()); }

Json whole(double number) { return static_cast<std::int64_t>(number); }
Json rounded(double number) { return std::round(number * 1'000) / 1'000; }

Drained drain_of(const Options& options, const Queue& queue, int processes = 1, bool held = false) {
  auto drained = drain(options, queue, {options.jobs, processes, held});
  say("drain " + queue.name + ": " + std::to_string(static_cast<int>(drained.rate)) +
      " jobs a second");
  return drained;
}

void add_drain_of_peer(Json& result, const Options& options, const Queue& queue,
                       const std::optional<std::string>& absent) {
  if (absent) {
    result[queue.name + "_rate"] = nullptr;
    result[queue.name + "_absent"] = *absent;
    return;
  }
  const auto drained = drain_of(options, queue);
  result[queue.name + "_rate"] = whole(drained.rate);
  result[queue.name + "_cpu_ms_per_1000"] = rounded(drained.cpu_ms_per_1000);
  result[queue.name + "_worker_cpu_ms_per_1000"] = rounded(drained.worker_cpu_ms_per_1000);
  result[queue.name + "_rss_mib"] = drained.peak_rss_mib;
}

Json measure_drain(const Options& options) {
  const auto plain = drain_of(options, relevo_queue(options));
  Json result{{"rate", whole(plain.rate)},
              {"rate_with_start", whole(plain.rate_with_start)},
              {"cpu_ms_per_1000", rounded(plain.cpu_ms_per_1000)},
              {"worker_cpu_ms_per_1000", rounded(plain.worker_cpu_ms_per_1000)},
              {"rss_mib", plain.peak_rss_mib}};
  add_drain_of_peer(result, options, graphile_queue(options), graphile_absent(options));
  if (!result["graphile_rate"].is_null())
    result["ratio"] = rounded(plain.rate / result["graphile_rate"].get<double>());
  add_drain_of_peer(result, options, river_queue(options), river_absent(options));
  const auto full = drain_of(options, relevo_queue(options, Lines::kAll));
  result["rate_full_history"] = whole(full.rate);
  result["cpu_ms_per_1000_full_history"] = rounded(full.cpu_ms_per_1000);
  return result;
}

void add_held(Json& result, const std::string& prefix, const Options& options, const Queue& queue) {
  const auto plain = drain_of(options, queue);
  const auto held = drain_of(options, queue, 1, true);
  result[prefix + "rate"] = whole(held.rate);
  result[prefix + "ratio"] = rounded(held.rate / plain.rate);
  result[prefix + "last_to_first"] = rounded(held.rate_last / held.rate_first);
}

Json measure_held(const Options& options) {
  Json result;
  add_held(result, "held_", options, relevo_queue(options));
  if (!graphile_absent(options))
    add_held(result, "graphile_held_", options, graphile_queue(options));
  return result;
}

// Of relevo also as ratios to one process of the same run.
Json measure_processes(const Options& options) {
  Json result;
  const auto one = drain_of(options, relevo_queue(options)).rate;
  result["rate_1_process"] = whole(one);
  for (const int processes : {2, 4}) {
    const auto suffix = std::to_string(processes) + "_processes";
    const auto rate = drain_of(options, relevo_queue(options), processes).rate;
    result["rate_" + suffix] = whole(rate);
    result["ratio_" + suffix] = rounded(rate / one);
    if (graphile_absent(options)) continue;
    result["graphile_rate_" + suffix] =
        whole(drain_of(options, graphile_queue(options), processes).rate);
  }
  return result;
}

Json measure_limits(const Options& options) {
  const auto plain = drain_of(options, relevo_queue(options)).rate;
  const auto ratio = [&](const std::string& column, const std::string& value,
                         const std::string& settings = "") {
    auto queue = relevo_queue(options, Lines::kFailures, ", " + column, ", " + value);
    queue.settings = settings;
    return rounded(drain_of(options, queue).rate / plain);
  };
  return {
      {"limits_keys_ratio", ratio("concurrency_key", "'key-' || n % " + std::to_string(kKeys))},
      {"limits_rate_ratio",
       ratio("rate_key", "'bench'", "SELECT relevo.set_rate('bench', 1e7, 1e6)")},
      {"limits_tenants_ratio", ratio("tenant", "'tenant-' || n % " + std::to_string(kTenants))}};
}

struct Measurement {
  const char* name;
  Json (*measure)(const Options&);
};

constexpr Measurement kMeasurements[] = {
    {"drain", measure_drain},   {"latency", measure_job_latency}, {"held", measure_held},
    {"rescue", measure_rescue}, {"enqueue", measure_enqueue},     {"processes", measure_processes},
    {"future", measure_future}, {"limits", measure_limits},       {"consumer", measure_consumer},
};

// One that fails does not take the figures of the others with it.
Json run_once(const Options& options) {
  Json run{{"others_busy", busy_share()}};
  for (const auto& [name, measure] : kMeasurements) {
    if (!options.only.empty() &&
        std::find(options.only.begin(), options.only.end(), name) == options.only.end()) {
      continue;
    }
    try {
      run.update(measure(options));
    } catch (const std::exception& error) {
      say(std::string(name) + ": " + error.what());
      run[std::string(name) + "_failed"] = error.what();
    }
  }
  run["others_busy"] = std::max(run["others_busy"].get<double>(), busy_share());
  say(run.dump());
  return run;
}

bool is_worst_reported(std::string_view name) {
  return name.ends_with("_mib") || name == "others_busy" || name.ends_with("_second_runs");
}

// Of a figure that some run could not take: the median of the others.
Json middle(std::vector<Json> figures, std::string_view name) {
  std::erase_if(figures, [](const Json& figure) { return !figure.is_number(); });
  if (figures.empty()) return nullptr;
  std::sort(figures.begin(), figures.end());
  return is_worst_reported(name) ? figures.back() : figures[figures.size() / 2];
}

}  // namespace

std::vector<std::string> job_measurements() {
  std::vector<std::string> names;
  for (const auto& measurement : kMeasurements) names.emplace_back(measurement.name);
  return names;
}

Json measure_jobs(const Options& options) {
  std::vector<Json> runs;
  for (int i = 0; i < options.runs; ++i) runs.push_back(run_once(options));
  Json names;  // of all runs, since a measurement may have failed in some
  for (const auto& run : runs) names.update(run);
  Json result{{"benchmark", "jobs"}, {"jobs", options.jobs}};
  for (const auto& [name, figure] : names.items()) {
    std::vector<Json> figures;
    for (const auto& run : runs) figures.push_back(run.value(name, Json(nullptr)));
    result[name] = figure.is_string() ? figure : middle(std::move(figures), name);
  }
  if (runs.size() > 1) result["runs"] = runs;
  result["settings"] = {{"postgresql", postgresql_settings(options)}};
  result["settings"].update(queue_settings());
  result["versions"] = peer_versions(options);
  return result;
}

bool has_failed(const Json& result) {
  return std::any_of(result.items().begin(), result.items().end(),
                     [](const auto& item) { return item.key().ends_with("_failed"); });
}

}  // namespace relevo::bench
