// A worker with handlers as bad as they come, for fault tests. Every run leaves a line in
// test_run at once, whatever becomes of it; `audit` writes its effect into test_effect in its unit
// of work. Neither table has a unique key: what happens twice shows.
//
//   test_worker --postgres URL --name N [--lease MS] [--threads N] [--give-up MS]
//               [--quarantine-after N] [--memory MB]

#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <thread>

#include "isolation.hpp"
#include "job_worker.hpp"
#include "relevo/logging/make_log.hpp"
#include "relevo/postgres/jobs.hpp"
#include "support/database.hpp"

namespace {

using namespace relevo;
using namespace std::chrono_literals;

std::string postgres_url;
std::string worker_name;

// The thread's own.
std::unique_ptr<test::Connection>& connection_here() {
  thread_local std::unique_ptr<test::Connection> connection;
  return connection;
}

// Committed before the handler does anything else.
void leave_line(const worker::Job& job) {
  auto& connection = connection_here();
  for (int attempt = 0;; ++attempt) {
    try {
      if (!connection) connection = std::make_unique<test::Connection>(postgres_url);
      connection->query(
          "INSERT INTO test_run (job_id, attempt, worker, pid) VALUES ($1, $2, $3, $4)",
          {std::to_string(job.id), std::to_string(job.attempt), worker_name,
           std::to_string(::getpid())});
      return;
    } catch (const test::SqlError& error) {
      connection.reset();
      if (!error.disconnected() || attempt == 100) throw;
      std::this_thread::sleep_for(50ms);  // the server restarts
    }
  }
}

nlohmann::json payload_of(const worker::Job& job) { return nlohmann::json::parse(job.payload); }

class Handler : public worker::JobHandler {
 public:
  worker::Outcome run(const worker::Job& job, worker::Context& context) final {
    leave_line(job);
    return work(job, context);
  }
  virtual worker::Outcome work(const worker::Job& job, worker::Context& context) = 0;
};

template <class Work>
class Lambda final : public Handler {
 public:
  explicit Lambda(Work work) : work_(work) {}
  worker::Outcome work(const worker::Job& job, worker::Context& context) override {
    return work_(job, context);
  }

 private:
  Work work_;
};

template <class Work>
std::unique_ptr<worker::JobHandler> handler(Work work) {
  return std::make_unique<Lambda<Work>>(work);
}

void write_effect(const worker::Job& job, worker::Context& context) {
  static constexpr worker::Statement kEffect{
      "test_effect", "INSERT INTO test_effect (job_id) VALUES ($1::bigint)"};
  context.unit().query(kEffect, {std::to_string(job.id)});
}

void sleep_while_wanted(std::chrono::milliseconds time, const std::stop_token& stop) {
  const auto until = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < until && !stop.stop_requested()) {
    std::this_thread::sleep_for(std::min<std::chrono::milliseconds>(time, 5ms));
  }
}

class AuditBatch final : public worker::BatchHandler {
 public:
  std::vector<worker::Outcome> run(std::span<const worker::Job> jobs,
                                   worker::Context& context) override {
    std::vector<worker::Outcome> outcomes;
    for (const auto& job : jobs) {
      leave_line(job);
      write_effect(job, context);
      outcomes.push_back(payload_of(job).value("bad", false) ? worker::dead("bad")
                                                             : worker::done());
    }
    return outcomes;
  }
};

void add_handlers(worker::Registry& registry) {
  worker::KindPolicy quick;
  quick.backoff_base = 10ms;
  quick.backoff_cap = 200ms;
  const auto add = [&](const char* kind, auto work) { registry.add(kind, handler(work), quick); };
  add("run", [](const worker::Job&, worker::Context&) { return worker::done(R"({"ran": true})"); });
  add("audit", [](const worker::Job& job, worker::Context& context) {
    write_effect(job, context);
    return worker::done();
  });
  add("sleep", [](const worker::Job& job, worker::Context& context) {
    sleep_while_wanted(std::chrono::milliseconds(payload_of(job).value("ms", 100)), context.stop());
    return context.stop().stop_requested() ? worker::retry("asked to stop") : worker::done();
  });
  add("throw", [](const worker::Job&, worker::Context&) -> worker::Outcome {
    throw std::runtime_error("thrown on purpose");
  });
  add("throw_int", [](const worker::Job&, worker::Context&) -> worker::Outcome { throw 42; });
  add("abort", [](const worker::Job&, worker::Context&) -> worker::Outcome { std::abort(); });
  add("leak", [](const worker::Job&, worker::Context&) -> worker::Outcome {
    // Reserves far more than there is and writes to it, as a leak would in the end.
    for (;;) {
      auto* memory = static_cast<char*>(std::malloc(16 << 20));
      if (!memory) std::abort();
      for (std::size_t i = 0; i < (16U << 20); i += 4096) memory[i] = 1;
    }
  });
  add("fail_until", [](const worker::Job& job, worker::Context&) {
    return job.attempt < payload_of(job).value("attempt", 2) ? worker::retry("not yet")
                                                             : worker::done();
  });
  add("dead", [](const worker::Job&, worker::Context&) { return worker::dead("never"); });
  add("cancel", [](const worker::Job&, worker::Context&) { return worker::cancel("not wanted"); });
  add("snooze_once", [](const worker::Job& job, worker::Context& context) {
    static constexpr worker::Statement kSeen{
        "test_seen", "SELECT count(*) FROM test_run WHERE job_id = $1::bigint"};
    const auto rows = context.unit().query(kSeen, {std::to_string(job.id)});
    return rows[0][0] == "1" ? worker::snooze(50ms) : worker::done();
  });
  // Not allowed to be two at once: whoever meets another one is dead.
  add("alone", [](const worker::Job&, worker::Context&) {
    auto& connection = *connection_here();
    if (connection.value("SELECT pg_try_advisory_lock(1)") != "t") {
      return worker::dead("met another one");
    }
    connection.query("SELECT pg_advisory_unlock(1)");
    return worker::done();
  });
  worker::KindPolicy deaf = quick;
  deaf.timeout = 300ms;
  deaf.max_attempts = 1;
  registry.add("loop", handler([](const worker::Job&, worker::Context&) -> worker::Outcome {
                 std::atomic<bool> never{false};
                 while (!never) std::this_thread::sleep_for(10ms);
                 return worker::done();
               }),
               deaf);
  worker::KindPolicy short_time = quick;
  short_time.timeout = 200ms;
  short_time.max_attempts = 2;
  registry.add("slow", handler([](const worker::Job&, worker::Context& context) {
                 sleep_while_wanted(60s, context.stop());
                 return worker::retry("ran out of time");
               }),
               short_time);
  registry.add("audit_batch", std::make_unique<AuditBatch>(), quick);
  worker::KindPolicy hold = quick;
  hold.unique_for = 2s;
  registry.add("held", handler([](const worker::Job&, worker::Context&) { return worker::done(); }),
               hold);
}

class NoMetrics final : public worker::Metrics {
 public:
  void jobs_started(std::span<const worker::StartedJob>) override {}
  void jobs_ended(std::span<const worker::EndedJob>) override {}
  void jobs_running(std::size_t) override {}
  void crash_attempts(std::size_t jobs) override { crashes += jobs; }
  void results_fenced(std::size_t jobs) override { fenced += jobs; }
  void lanes_held(std::size_t) override {}
  void lanes_lost(std::size_t) override {}

  std::atomic<std::size_t> crashes{0};
  std::atomic<std::size_t> fenced{0};
};

}  // namespace

int main(int argc, char** argv) {
  int lease = 2'000;
  int give_up = 30'000;
  rlim_t memory = 0;
  bool isolated = false;
  worker::Options options;
  CLI::App app{"test_worker"};
  app.add_option("--postgres", postgres_url)->required();
  app.add_option("--name", worker_name)->required();
  app.add_option("--lease", lease);
  app.add_option("--threads", options.threads);
  app.add_option("--give-up", give_up);
  app.add_option("--quarantine-after", options.quarantine_after);
  app.add_option("--memory", memory);
  app.add_flag("--isolated-job", isolated);
  CLI11_PARSE(app, argc, argv);
  if (memory > 0) {  // of the children, too
    const rlimit limit{memory << 20, memory << 20};
    ::setrlimit(RLIMIT_AS, &limit);
  }
  options.give_up = std::chrono::milliseconds(give_up);
  options.drain = 10s;

  const auto log = logging::make_log({core::Level::kInfo, logging::Format::kText});
  worker::Registry registry;
  add_handlers(registry);
  postgres::ConnectOptions database;
  database.url = postgres_url;
  if (isolated) {
    prepare_isolated_job();
    run_isolated_jobs(
        registry,
        [&](std::string worker) {
          return std::make_unique<postgres::UnitSource>(database, std::move(worker));
        },
        *log);
  }
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  sigaddset(&stop, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);

  NoMetrics metrics;
  ChildIsolation isolation(
      {"/proc/self/exe", "--postgres", postgres_url, "--name", worker_name, "--isolated-job"},
      worker_name, options.quarantine_after, core::system_clock());
  JobWorker jobs(options, worker_name, std::chrono::milliseconds(lease), database,
                 {"test", "test", "worker"},
                 {&isolation, registry, metrics, *log, core::system_clock(),
                  [] { ::kill(::getpid(), SIGUSR1); }});
  jobs.start();
  int signal = 0;
  sigwait(&stop, &signal);
  jobs.stop();
  log->info("ended", {{"crashes", metrics.crashes.load()}, {"fenced", metrics.fenced.load()}});
  std::_Exit(signal == SIGUSR1 ? 1 : 0);  // a handler that never comes back holds its thread
}
