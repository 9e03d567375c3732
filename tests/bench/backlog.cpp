#include "backlog.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "drain.hpp"
#include "job_latency.hpp"
#include "progress.hpp"
#include "queues.hpp"
#include "support/database.hpp"
#include "support/eventually.hpp"
#include "worker_process.hpp"

namespace relevo::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kDue = 10'000;
constexpr int kRounds = 5;
constexpr int kHighJobs = 20;
constexpr auto kBetweenHighJobs = 200ms;
constexpr auto kDeadline = 60s;
// So many of low priority are done before the first of high priority comes.
constexpr std::int64_t kUnderWay = 500;

// Milliseconds from the commit of all to the end of the last; the median.
double run_due(const Options& options, std::int64_t future) {
  const test::Database database(options.postgres);
  const auto due = relevo_queue(options);
  due.create(database.url());
  if (future > 0) {
    fill(database.url(),
         relevo_queue(options, Lines::kFailures, ", run_at",
                      ", now() + interval '1 day' + n * interval '1 ms'"),
         future);
  }
  WorkerProcess worker(due.worker(database.url(), 0));
  test::Connection connection(database.url());
  connection.query(due.fill, {"1", "1"});
  worker.wait_until_ran(1, kDeadline);
  std::vector<double> times;
  for (int round = 0; round < kRounds; ++round) {
    const auto wanted = worker.ran() + kDue;
    connection.query(due.fill, {"1", std::to_string(kDue)});
    const auto committed = unix_microseconds();
    worker.wait_until_ran(wanted, kDeadline);
    times.push_back(static_cast<double>(worker.samples().back().at - committed) / 1'000);
  }
  (void)worker.stop();
  std::sort(times.begin(), times.end());
  return std::round(times[times.size() / 2] * 10) / 10;
}

void add_high_behind_low(nlohmann::ordered_json& result, const Options& options) {
  const test::Database database(options.postgres);
  const auto low = relevo_queue(options, Lines::kFailures, ", priority", ", -1");
  low.create(database.url());
  fill(database.url(), low, options.backlog);
  WorkerProcess worker(low.worker(database.url(), 0));
  worker.wait_until_ran(kUnderWay, kDeadline);
  test::Connection connection(database.url());
  for (int job = 0; job < kHighJobs; ++job) {
    connection.query(
        "SELECT relevo.enqueue('latency', jsonb_build_object('due', $1::bigint), priority => 1)",
        {std::to_string(unix_microseconds())});
    std::this_thread::sleep_for(kBetweenHighJobs);
  }
  const auto all_run = [&] {
    return connection.value("SELECT NOT EXISTS (SELECT FROM relevo.job WHERE class = 0)") == "t";
  };
  if (!test::eventually(kDeadline, all_run))
    throw std::runtime_error("jobs of high priority are not run");
  worker.update();
  if (worker.ran() >= options.backlog)
    throw std::runtime_error("the backlog was gone too soon: give a larger --jobs-backlog");
  result["backlog_jobs"] = options.backlog;
  result["backlog_rss_mib"] = worker.peak_rss_mib();
  add_latencies(result, "backlog_", worker.stop());
}

}  // namespace

nlohmann::ordered_json measure_future(const Options& options) {
  const auto without = run_due(options, 0);
  const auto with = run_due(options, options.future);
  nlohmann::ordered_json result{
      {"future_jobs", options.future}, {"future_ms", with}, {"future_without_ms", without}};
  add_high_behind_low(result, options);
  return result;
}

}  // namespace relevo::bench
