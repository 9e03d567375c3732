#include "worker_process.hpp"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "support/database.hpp"
#include "support/eventually.hpp"
#include "surroundings.hpp"

namespace relevo::bench {
namespace {

using namespace std::chrono_literals;

constexpr auto kStopDeadline = 60s;

struct ProcessTimes {
  int parent = 0;
  double own = 0;     // seconds
  double waited = 0;  // of children that have ended
};

// proc(5). nullopt: it is gone.
std::optional<ProcessTimes> times_of(int process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  std::istringstream fields(line.substr(line.rfind(')') + 2));  // the name may hold anything
  std::string state;
  ProcessTimes times;
  fields >> state >> times.parent;
  std::string skipped;
  for (int field = 5; field < 14; ++field) fields >> skipped;
  double user = 0, system = 0, children_user = 0, children_system = 0;
  fields >> user >> system >> children_user >> children_system;
  static const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  times.own = (user + system) / ticks;
  times.waited = (children_user + children_system) / ticks;
  return times;
}

}  // namespace

WorkerProcess::WorkerProcess(std::vector<std::string> command)
    : process_(std::move(command), {{"NO_LOG_SUCCESS", "1"}}) {}

void WorkerProcess::update() {
  read();
  const auto exit = process_.wait(0ms);
  if (!exit) return;
  throw std::runtime_error("a worker ended by itself, " +
                           (exit->signal != 0 ? "signal " + std::to_string(exit->signal)
                                              : "code " + std::to_string(exit->code)) +
                           ": " + process_.standard_error());
}

void WorkerProcess::wait_until_ran(std::int64_t jobs, std::chrono::milliseconds deadline) {
  const auto has_run = [&] {
    update();
    return ran() >= jobs;
  };
  if (test::eventually(deadline, has_run)) return;
  throw std::runtime_error("a worker ran " + std::to_string(ran()) + " of " + std::to_string(jobs) +
                           " jobs: " + process_.standard_error());
}

void WorkerProcess::read() {
  const auto output = process_.standard_output();
  while (true) {
    const auto end = output.find('\n', read_);
    if (end == std::string::npos) return;
    last_ = output.substr(read_, end - read_);
    read_ = end + 1;
    if (last_.starts_with("{")) continue;
    std::istringstream line(last_);
    Sample sample;
    line >> sample.at >> sample.ran;
    samples_.push_back(sample);
  }
}

double WorkerProcess::cpu_seconds() const {
  const auto times = times_of(process_.pid());
  if (!times) throw std::runtime_error("a worker is gone");
  return times->own;
}

double WorkerProcess::peak_rss_mib() const { return bench::peak_rss_mib(process_.pid()); }

nlohmann::json WorkerProcess::stop() {
  process_.signal(SIGTERM);
  const auto exit = process_.wait(kStopDeadline);
  if (!exit || exit->code != 0)
    throw std::runtime_error("a worker did not stop: " + process_.standard_error());
  read();
  return nlohmann::json::parse(last_);
}

void WorkerProcess::kill() { process_.kill(); }

std::vector<Sample> merged(const std::deque<WorkerProcess>& workers) {
  std::vector<Sample> steps;  // of one process since its sample before
  for (const auto& worker : workers) {
    std::int64_t before = 0;
    for (const auto& sample : worker.samples()) {
      steps.push_back({sample.at, sample.ran - before});
      before = sample.ran;
    }
  }
  std::sort(steps.begin(), steps.end(), [](auto& a, auto& b) { return a.at < b.at; });
  std::int64_t sum = 0;
  for (auto& step : steps) step.ran = sum += step.ran;
  return steps;
}

ClusterTime::ClusterTime(const std::string& url) {
  const test::Connection connection(url);
  const auto backend = times_of(connection.backend_pid());
  if (!backend) throw std::runtime_error("PostgreSQL does not run on this machine");
  postmaster_ = backend->parent;
}

double ClusterTime::cpu_seconds() const {
  const auto postmaster = times_of(postmaster_);
  if (!postmaster) throw std::runtime_error("PostgreSQL is gone");
  auto sum = postmaster->own + postmaster->waited;
  const std::unique_ptr<DIR, int (*)(DIR*)> processes(::opendir("/proc"), &::closedir);
  while (const auto* entry = ::readdir(processes.get())) {
    int process = 0;
    const std::string_view name(entry->d_name);
    if (std::from_chars(name.data(), name.data() + name.size(), process).ptr !=
        name.data() + name.size()) {
      continue;
    }
    const auto times = times_of(process);
    if (times && times->parent == postmaster_) sum += times->own + times->waited;
  }
  return sum;
}

}  // namespace relevo::bench
