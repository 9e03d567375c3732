#include "drain.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <optional>
#include <stdexcept>
#include <thread>

#include "progress.hpp"
#include "support/database.hpp"
#include "worker_process.hpp"

namespace relevo::bench {
namespace {

using namespace std::chrono_literals;

constexpr auto kPoll = 20ms;
constexpr auto kPollAtTheEnd = 2ms;
constexpr auto kDeadline = 900s;
constexpr std::int64_t kPiece = 10'000;  // jobs of one statement

// What the foreign transaction sees stays: nothing that is deleted can be removed.
test::Connection hold_snapshot(const std::string& url, const Queue& queue) {
  test::Connection connection(url);
  connection.exec(
      "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_current_xact_id(); SELECT FROM " +
      queue.table + " LIMIT 1");
  return connection;
}

struct Cpu {
  double workers = 0;
  double cluster = 0;
};

Cpu cpu_of(const std::deque<WorkerProcess>& workers, const ClusterTime& cluster) {
  Cpu cpu{0, cluster.cpu_seconds()};
  for (const auto& worker : workers) cpu.workers += worker.cpu_seconds();
  return cpu;
}

double rate_between(const Sample& from, const Sample& to) {
  return static_cast<double>(to.ran - from.ran) * 1e6 /
         static_cast<double>(std::max<std::int64_t>(to.at - from.at, 1));
}

}  // namespace

void fill(const std::string& url, const Queue& queue, std::int64_t jobs) {
  test::Connection connection(url);
  if (!queue.settings.empty()) connection.exec(queue.settings);
  for (std::int64_t first = 1; first <= jobs; first += kPiece) {
    const auto last = std::min(first + kPiece - 1, jobs);
    connection.query(queue.fill, {std::to_string(first), std::to_string(last)});
  }
  connection.exec("VACUUM (ANALYZE) " + queue.table);
  connection.exec("CHECKPOINT");
}

Drained drain(const Options& options, const Queue& queue, const DrainOptions& how) {
  const test::Database database(options.postgres);
  queue.create(database.url());
  fill(database.url(), queue, how.jobs);
  std::optional<test::Connection> foreign;
  if (how.held) foreign = hold_snapshot(database.url(), queue);
  test::Connection asking(database.url());
  const ClusterTime cluster(database.url());

  const auto begun = unix_microseconds();
  const auto deadline = std::chrono::steady_clock::now() + kDeadline;
  std::deque<WorkerProcess> workers;
  for (int i = 0; i < how.processes; ++i) workers.emplace_back(queue.worker(database.url(), i));
  const auto ran = [&] {
    std::int64_t sum = 0;
    for (auto& worker : workers) {
      worker.update();
      sum += worker.ran();
    }
    return sum;
  };
  const auto wait = [&](std::chrono::milliseconds time) {
    if (std::chrono::steady_clock::now() > deadline)
      throw std::runtime_error(queue.name + " does not drain its table");
    std::this_thread::sleep_for(time);
  };

  while (ran() == 0) wait(kPollAtTheEnd);
  const auto cpu_before = cpu_of(workers, cluster);
  while (ran() < how.jobs) wait(kPoll);
  while (asking.value(queue.finished) != "t") wait(kPollAtTheEnd);
  const Sample end{unix_microseconds(), how.jobs};
  const auto cpu_after = cpu_of(workers, cluster);

  Drained result;
  for (auto& worker : workers) {
    result.peak_rss_mib = std::max(result.peak_rss_mib, worker.peak_rss_mib());
    (void)worker.stop();
  }
  const auto samples = merged(workers);
  if (samples.back().ran != how.jobs) {
    throw std::runtime_error(queue.name + " ran " + std::to_string(samples.back().ran) +
                             " times for " + std::to_string(how.jobs) + " jobs");
  }
  const auto& first = samples.front();
  const auto tenth = how.jobs / 10;
  const auto from_last = std::find_if(samples.rbegin(), samples.rend() - 1,
                                      [&](auto& sample) { return sample.ran <= how.jobs - tenth; });
  const auto to_first = std::find_if(samples.begin(), samples.end() - 1,
                                     [&](auto& sample) { return sample.ran >= first.ran + tenth; });
  result.rate = rate_between(first, end);
  result.rate_with_start = rate_between({begun, 0}, end);
  result.rate_first = rate_between(first, *to_first);
  result.rate_last = rate_between(*from_last, samples.back());
  const auto thousands = static_cast<double>(how.jobs - first.ran) / 1'000;
  const auto worker_cpu = cpu_after.workers - cpu_before.workers;
  result.worker_cpu_ms_per_1000 = worker_cpu * 1'000 / thousands;
  result.cpu_ms_per_1000 =
      (worker_cpu + cpu_after.cluster - cpu_before.cluster) * 1'000 / thousands;
  return result;
}

}  // namespace relevo::bench
