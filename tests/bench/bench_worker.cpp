// A worker with the handlers that are measured: `noop` does nothing, `noop.batch` does nothing to
// many at once, `effect` writes a row in its unit of work, `latency` keeps how long ago its job was
// enqueued, `sleep` notes its start in a file and takes its time. Runs until SIGTERM and tells what
// progress.hpp says.

#include <CLI/CLI.hpp>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "isolation.hpp"
#include "job_worker.hpp"
#include "progress.hpp"
#include "relevo/logging/make_log.hpp"
#include "relevo/postgres/jobs.hpp"

namespace {

using namespace relevo;

class Noop final : public worker::JobHandler {
 public:
  explicit Noop(bench::Progress& progress) : progress_(progress) {}

  worker::Outcome run(const worker::Job&, worker::Context&) override {
    progress_.ran();
    return worker::done();
  }

 private:
  bench::Progress& progress_;
};

class NoopBatch final : public worker::BatchHandler {
 public:
  explicit NoopBatch(bench::Progress& progress) : progress_(progress) {}

  std::vector<worker::Outcome> run(std::span<const worker::Job> jobs, worker::Context&) override {
    progress_.ran(static_cast<std::int64_t>(jobs.size()));
    return std::vector<worker::Outcome>(jobs.size(), worker::Done{});
  }

 private:
  bench::Progress& progress_;
};

class Effect final : public worker::JobHandler {
 public:
  explicit Effect(bench::Progress& progress) : progress_(progress) {}

  worker::Outcome run(const worker::Job& job, worker::Context& context) override {
    static constexpr worker::Statement kInsert{
        "bench_effect", "INSERT INTO bench_effect (job_id) VALUES ($1::bigint)"};
    context.unit().query(kInsert, {std::to_string(job.id)});
    progress_.ran();
    return worker::done();
  }

 private:
  bench::Progress& progress_;
};

// From the INSERT of the job, and from when it was due by the writer's schedule; microseconds.
class Latencies {
 public:
  void add(std::int64_t from_insert, std::int64_t from_due) {
    const std::lock_guard lock(mutex_);
    all_.emplace_back(from_insert, from_due);
  }
  std::vector<std::pair<std::int64_t, std::int64_t>> all() const {
    const std::lock_guard lock(mutex_);
    return all_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::pair<std::int64_t, std::int64_t>> all_;
};

class Latency final : public worker::JobHandler {
 public:
  Latency(bench::Progress& progress, Latencies& latencies)
      : progress_(progress), latencies_(latencies) {}

  worker::Outcome run(const worker::Job& job, worker::Context&) override {
    const auto now = bench::unix_microseconds();
    const auto due = nlohmann::json::parse(job.payload).at("due").get<std::int64_t>();
    latencies_.add(now - job.created_at.time_since_epoch().count(), now - due);
    progress_.ran();
    return worker::done();
  }

 private:
  bench::Progress& progress_;
  Latencies& latencies_;
};

// Each start is a line: worker, job, microseconds since 1970. A file, since suspects run in a child
// process, and what is told by one that is killed must stay.
class Sleep final : public worker::JobHandler {
 public:
  Sleep(bench::Progress& progress, std::string worker, std::string file)
      : progress_(progress), worker_(std::move(worker)), file_(std::move(file)) {}

  worker::Outcome run(const worker::Job& job, worker::Context& context) override {
    const auto line = worker_ + " " + std::to_string(job.id) + " " +
                      std::to_string(bench::unix_microseconds()) + "\n";
    std::ofstream(file_, std::ios::app) << line << std::flush;
    const std::chrono::milliseconds time(
        nlohmann::json::parse(job.payload).at("ms").get<std::int64_t>());
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    (void)wake.wait_for(lock, context.stop(), time, [] { return false; });
    if (context.stop().stop_requested()) return worker::retry("asked to stop");
    progress_.ran();
    return worker::done();
  }

 private:
  bench::Progress& progress_;
  const std::string worker_;
  const std::string file_;
};

class NoMetrics final : public worker::Metrics {
 public:
  void jobs_started(std::span<const worker::StartedJob>) override {}
  void jobs_ended(std::span<const worker::EndedJob>) override {}
  void jobs_running(std::size_t) override {}
  void crash_attempts(std::size_t) override {}
  void results_fenced(std::size_t) override {}
  void lanes_held(std::size_t) override {}
  void lanes_lost(std::size_t) override {}
};

}  // namespace

int main(int argc, char** argv) {
  std::string name = "bench-1", history = "failures", starts = "/dev/null";
  bool isolated = false;
  postgres::ConnectOptions database;
  worker::Options options;
  CLI::App app{"relevo_bench_worker"};
  app.add_option("--postgres", database.url)->required();
  app.add_option("--name", name);
  app.add_option("--history", history)->check(CLI::IsMember({"all", "failures"}));
  app.add_option("--threads", options.threads);
  app.add_option("--starts", starts, "file for the starts of `sleep`");
  app.add_flag("--isolated-job", isolated, "jobs from standard input, as the worker asks for it");
  CLI11_PARSE(app, argc, argv);

  if (isolated) {
    prepare_isolated_job();
  } else {
    bench::block_stop_signals();
  }
  bench::Progress progress;
  Latencies latencies;
  const auto log = logging::make_log({core::Level::kInfo, logging::Format::kText});
  worker::KindPolicy policy;
  policy.history = history == "all" ? worker::History::kAll : worker::History::kFailures;
  worker::Registry registry;
  registry.add("noop", std::make_unique<Noop>(progress), policy);
  registry.add("noop.batch", std::make_unique<NoopBatch>(progress), policy);
  registry.add("effect", std::make_unique<Effect>(progress), policy);
  registry.add("latency", std::make_unique<Latency>(progress, latencies), policy);
  registry.add("sleep", std::make_unique<Sleep>(progress, name, starts), policy);
  if (isolated) {
    const auto units = [&](std::string worker) {
      return std::make_unique<postgres::UnitSource>(database, std::move(worker));
    };
    run_isolated_jobs(registry, units, *log);
  }

  progress.start();
  NoMetrics metrics;
  std::vector<std::string> command(argv, argv + argc);
  command.front() = "/proc/self/exe";
  command.emplace_back("--isolated-job");
  ChildIsolation isolation(std::move(command), name, options.quarantine_after,
                           core::system_clock());
  JobWorker jobs(options, name, std::chrono::seconds(10), database, {"bench", "bench", "worker"},
                 {&isolation, registry, metrics, *log, core::system_clock(), {}});
  jobs.start();
  bench::wait_for_stop_signal();
  jobs.stop();
  progress.finish({{"latencies", latencies.all()}});
  return 0;
}
