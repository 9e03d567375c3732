// A worker with the handlers that are measured: `noop` does nothing, `noop.batch` does nothing to
// many at once, `effect` writes a row in its unit of work. Runs until SIGTERM, then prints what it
// used as one JSON object.

#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "job_worker.hpp"
#include "relevo/logging/make_log.hpp"

namespace {

using namespace relevo;

class Noop final : public worker::JobHandler {
 public:
  worker::Outcome run(const worker::Job&, worker::Context&) override { return worker::done(); }
};

class NoopBatch final : public worker::BatchHandler {
 public:
  std::vector<worker::Outcome> run(std::span<const worker::Job> jobs, worker::Context&) override {
    return std::vector<worker::Outcome>(jobs.size(), worker::Done{});
  }
};

class Effect final : public worker::JobHandler {
 public:
  worker::Outcome run(const worker::Job& job, worker::Context& context) override {
    static constexpr worker::Statement kInsert{
        "bench_effect", "INSERT INTO bench_effect (job_id) VALUES ($1::bigint)"};
    context.unit().query(kInsert, {std::to_string(job.id)});
    return worker::done();
  }
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

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

int main(int argc, char** argv) {
  std::string url, name = "bench-1", history = "failures";
  worker::Options options;
  CLI::App app{"relevo_bench_worker"};
  app.add_option("--postgres", url)->required();
  app.add_option("--name", name);
  app.add_option("--history", history)->check(CLI::IsMember({"all", "failures"}));
  app.add_option("--threads", options.threads);
  CLI11_PARSE(app, argc, argv);

  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);

  const auto log = logging::make_log({core::Level::kInfo, logging::Format::kText});
  NoMetrics metrics;
  worker::KindPolicy policy;
  policy.history = history == "all" ? worker::History::kAll : worker::History::kFailures;
  worker::Registry registry;
  registry.add("noop", std::make_unique<Noop>(), policy);
  registry.add("noop.batch", std::make_unique<NoopBatch>(), policy);
  registry.add("effect", std::make_unique<Effect>(), policy);
  postgres::ConnectOptions database;
  database.url = url;
  JobWorker jobs(options, name, std::chrono::seconds(10), database, {"bench", "bench", "worker"},
                 {nullptr, registry, metrics, *log, core::system_clock(), {}});
  jobs.start();
  int signal = 0;
  sigwait(&stop, &signal);
  jobs.stop();

  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const nlohmann::ordered_json result{
      {"cpu_seconds", seconds_of(used.ru_utime) + seconds_of(used.ru_stime)},
      {"peak_rss_mib", static_cast<double>(used.ru_maxrss) / 1024}};
  std::printf("%s\n", result.dump().c_str());
  return 0;
}
