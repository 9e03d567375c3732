#include "rescue.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>
#include <stdexcept>
#include <string>

#include "progress.hpp"
#include "queues.hpp"
#include "support/database.hpp"
#include "support/eventually.hpp"
#include "worker_process.hpp"

namespace relevo::bench {
namespace {

using namespace std::chrono_literals;

// As many threads in each worker as there are jobs: none has to wait for another.
constexpr int kJobs = 64;
constexpr auto kRun = 2s;
constexpr auto kStart = 30s;
constexpr auto kRescue = 120s;

std::vector<std::string> with_threads(std::vector<std::string> command) {
  command.insert(command.end(), {"--threads", std::to_string(kJobs)});
  return command;
}

std::set<std::int64_t> ids(test::Connection& connection, std::string_view sql,
                           std::initializer_list<test::Value> parameters) {
  std::set<std::int64_t> found;
  for (const auto& row : connection.query(sql, parameters)) found.insert(std::stoll(*row.front()));
  return found;
}

}  // namespace

nlohmann::ordered_json measure_rescue(const Options& options) {
  const auto queue = relevo_queue(options);
  const test::Database database(options.postgres);
  queue.create(database.url());
  auto connection = database.connect();
  WorkerProcess killed(with_threads(queue.worker(database.url(), 0)));
  WorkerProcess other(with_threads(queue.worker(database.url(), 1)));
  const auto share_the_lanes = [&] {
    killed.update();
    other.update();
    return connection.number(
               "SELECT coalesce(min(n) * count(*), 0) FROM (SELECT count(*) AS n FROM relevo.lane "
               "WHERE holder IS NOT NULL GROUP BY holder) h") == 16;
  };
  if (!test::eventually(kStart, share_the_lanes))
    throw std::runtime_error("two workers do not share the lanes evenly");

  connection.query(
      "INSERT INTO relevo.job (kind, payload) "
      "SELECT 'sleep', jsonb_build_object('ms', $1::int) FROM generate_series(1, $2::int)",
      {std::to_string(std::chrono::milliseconds(kRun).count()), std::to_string(kJobs)});
  const auto all_run = [&] {
    killed.update();
    other.update();
    return killed.runs().size() + other.runs().size() == kJobs;
  };
  if (!test::eventually(kStart, all_run)) throw std::runtime_error("not all jobs were begun");
  const auto at = unix_microseconds();
  killed.kill();
  const auto in_flight =
      ids(connection,
          "SELECT j.id FROM relevo.lane l, unnest(l.open) o (id) JOIN relevo.job j USING (id) "
          "WHERE l.holder = $1",
          {"bench-0"});
  if (in_flight.empty()) throw std::runtime_error("the killed worker had no job in flight");

  std::int64_t last = 0;
  std::set<std::int64_t> again;
  const auto all_rescued = [&] {
    other.update();
    for (const auto& run : other.runs()) {
      if (run.at < at || !in_flight.contains(run.job)) continue;
      again.insert(run.job);
      last = std::max(last, run.at);
    }
    return again.size() == in_flight.size();
  };
  if (!test::eventually(kRescue, all_rescued)) throw std::runtime_error("jobs stay lost");
  const auto finished = [&] { return connection.value(queue.finished) == "t"; };
  if (!test::eventually(kRescue, finished)) throw std::runtime_error("jobs do not end");
  (void)other.stop();

  std::set<std::int64_t> begun;
  for (const auto& run : killed.runs()) begun.insert(run.job);
  std::int64_t twice = 0;
  for (const auto& run : other.runs()) twice += begun.contains(run.job) ? 1 : 0;
  return {{"rescue_s", std::round(static_cast<double>(last - at) / 1e4) / 100},
          {"rescue_in_flight", in_flight.size()},
          {"rescue_ran_twice", twice}};
}

}  // namespace relevo::bench
