#include "job_latency.hpp"

#include <chrono>
#include <cmath>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "percentiles.hpp"
#include "progress.hpp"
#include "queues.hpp"
#include "support/database.hpp"
#include "support/eventually.hpp"
#include "worker_process.hpp"
#include "writers.hpp"

namespace relevo::bench {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

constexpr int kWriters = 4;
constexpr auto kWarmUp = 3s;
constexpr auto kLastJobs = 15s;

// A fixed schedule: a writer that is late goes on at once, so that what a slow commit delays counts
// in the figures from the due time.
Json latency_of(const Options& options, const Queue& queue, int rate, const std::string& prefix) {
  const test::Database database(options.postgres);
  queue.create(database.url());
  WorkerProcess worker(queue.worker(database.url(), 0));
  test::Connection(database.url()).query(queue.fill, {"1", "1"});
  worker.wait_until_ran(1);

  const auto warm = kWarmUp.count() * rate;
  const auto jobs = warm + options.duration.count() * rate;
  const auto start = unix_microseconds() + 200'000;
  run_writers(kWriters, [&](int writer) {
    test::Connection connection(database.url());
    connection.exec("PREPARE enqueue (text, bigint) AS " + queue.enqueue);
    for (std::int64_t job = writer; job < jobs; job += kWriters) {
      const auto due = start + job * 1'000'000 / rate;
      std::this_thread::sleep_until(std::chrono::sys_time(std::chrono::microseconds(due)));
      connection.exec(std::string("EXECUTE enqueue ('") + (job < warm ? "noop" : "latency") +
                      "', " + std::to_string(due) + ")");
    }
  });
  const auto written = unix_microseconds();
  worker.wait_until_ran(jobs + 1, kLastJobs);
  Json result{{prefix + "rate", rate},
              {prefix + "written_per_second",
               std::round(static_cast<double>(jobs) * 1e6 / static_cast<double>(written - start))},
              {prefix + "rss_mib", worker.peak_rss_mib()}};
  add_latencies(result, prefix, worker.stop());
  return result;
}

}  // namespace

void add_latencies(Json& to, const std::string& prefix, const nlohmann::json& told) {
  std::vector<Nanoseconds> from_insert;
  std::vector<Nanoseconds> from_due;
  for (const auto& latency : told.at("latencies")) {
    from_insert.push_back(std::chrono::microseconds(latency.at(0).get<std::int64_t>()));
    from_due.push_back(std::chrono::microseconds(latency.at(1).get<std::int64_t>()));
  }
  if (from_insert.empty()) throw std::runtime_error("no job was measured");
  add_percentiles(to, prefix, std::move(from_insert));
  add_percentiles(to, prefix + "from_due_", std::move(from_due));
}

Json measure_job_latency(const Options& options) {
  auto result = latency_of(options, relevo_queue(options), options.rate, "latency_");
  if (!graphile_absent(options)) {
    result.update(latency_of(options, graphile_queue(options, Batching::kOff), options.rate / 2,
                             "graphile_latency_"));
  }
  return result;
}

}  // namespace relevo::bench
