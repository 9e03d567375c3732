// The job queues that are compared: how the database of each is prepared, filled and found empty,
// and how its worker is started. Settings of the peers: the fastest they document, or that were
// found.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "options.hpp"

namespace relevo::bench {

struct Queue {
  std::string name;
  std::function<void(const std::string& url)> create;  // its tables, in an empty database
  std::string fill;          // with jobs $1 to $2 that do nothing, in one statement
  std::string enqueue;       // one job of kind $1 ("latency": due at $2, microseconds since 1970)
  std::string enqueue_many;  // an array of jobs, objects with kind_field and `payload`, in $1
  std::string kind_field;
  std::string table;     // of jobs
  std::string finished;  // whether the end of every job is committed
  std::function<std::vector<std::string>(const std::string& url, int process)> worker;
  std::string settings = {};  // SQL, after create()
};

enum class Lines { kFailures, kAll };  // of history

// columns, values: of the jobs beside payload and kind, values as expressions of the number n;
// each begins with a comma.
Queue relevo_queue(const Options& options, Lines history = Lines::kFailures,
                   const std::string& columns = "", const std::string& values = "");

// batching: fetches and completes many jobs at once, for throughput; without, each by itself.
enum class Batching { kOn, kOff };
Queue graphile_queue(const Options& options, Batching batching = Batching::kOn);
Queue river_queue(const Options& options);

// Why scripts/bench could not install it; nullopt: it is there.
std::optional<std::string> graphile_absent(const Options& options);
std::optional<std::string> river_absent(const Options& options);

// Of each, for the reader of the figures.
nlohmann::ordered_json queue_settings();
nlohmann::ordered_json peer_versions(const Options& options);

}  // namespace relevo::bench
