#include "rescue.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "progress.hpp"
#include "queues.hpp"
#include "support/database.hpp"
#include "support/environment.hpp"
#include "support/eventually.hpp"
#include "worker_process.hpp"

namespace relevo::bench {
namespace {

using namespace std::chrono_literals;

// As many threads in each worker as there are jobs: none has to wait for another.
constexpr int kJobs = 64;
constexpr int kLanes = 16;
constexpr auto kRun = 2s;
constexpr auto kStart = 30s;
constexpr auto kRescue = 120s;

struct Start {
  std::string worker;
  std::int64_t job = 0;
  std::int64_t at = 0;
};

// As bench_worker notes them.
std::vector<Start> read_starts(const std::string& file) {
  std::vector<Start> starts;
  std::ifstream lines(file);
  for (Start start; lines >> start.worker >> start.job >> start.at;) starts.push_back(start);
  return starts;
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
  const test::TemporaryDirectory directory("relevo-bench-rescue-");
  const auto file = (directory.path() / "starts").string();
  const auto command = [&](int process) {
    auto words = queue.worker(database.url(), process);
    words.insert(words.end(), {"--threads", std::to_string(kJobs), "--starts", file});
    return words;
  };
  WorkerProcess killed(command(0));
  WorkerProcess other(command(1));
  const auto share_the_lanes = [&] {
    killed.update();
    other.update();
    return connection.number(R"(
      SELECT count(*)
      FROM (SELECT FROM relevo.lane WHERE holder IS NOT NULL GROUP BY holder HAVING count(*) = $1::int) h)",
                             {std::to_string(kLanes / 2)}) == 2;
  };
  if (!test::eventually(kStart, share_the_lanes))
    throw std::runtime_error("two workers do not share the lanes evenly");

  connection.query(
      R"(INSERT INTO relevo.job (kind, payload)
                      SELECT 'sleep', jsonb_build_object('ms', $1::int)
                      FROM generate_series(1, $2::int))",
      {std::to_string(std::chrono::milliseconds(kRun).count()), std::to_string(kJobs)});
  const auto all_begun = [&] { return read_starts(file).size() == kJobs; };
  if (!test::eventually(kStart, all_begun)) throw std::runtime_error("not all jobs were begun");
  const auto at = unix_microseconds();
  killed.kill();
  const auto in_flight = ids(connection,
                             R"(SELECT j.id FROM relevo.lane l, unnest(l.open) o (id)
                                JOIN relevo.job j USING (id) WHERE l.holder = $1)",
                             {"bench-0"});
  if (in_flight.empty()) throw std::runtime_error("the killed worker had no job in flight");

  std::int64_t last = 0;
  const auto all_rescued = [&] {
    std::set<std::int64_t> again;
    for (const auto& start : read_starts(file)) {
      if (start.at < at || !in_flight.contains(start.job)) continue;
      again.insert(start.job);
      last = std::max(last, start.at);
    }
    return again.size() == in_flight.size();
  };
  if (!test::eventually(kRescue, all_rescued)) throw std::runtime_error("jobs stay lost");
  const auto finished = [&] { return connection.value(queue.finished) == "t"; };
  if (!test::eventually(kRescue, finished)) throw std::runtime_error("jobs do not end");
  (void)other.stop();

  std::set<std::int64_t> seen;
  std::int64_t again = 0;
  for (const auto& start : read_starts(file)) again += seen.insert(start.job).second ? 0 : 1;
  return {{"rescue_s", std::round(static_cast<double>(last - at) / 1e4) / 100},
          {"rescue_in_flight", in_flight.size()},
          {"rescue_second_runs", again}};
}

}  // namespace relevo::bench
