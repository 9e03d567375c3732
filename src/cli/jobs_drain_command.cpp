#include <CLI/App.hpp>
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>

#include "cli/jobs_commands.hpp"
#include "cli/schedules_commands.hpp"
#include "cli/stop_signal.hpp"
#include "cli/table.hpp"
#include "daemon.hpp"
#include "handler_set.hpp"
#include "isolation.hpp"
#include "job_worker.hpp"
#include "relevo/logging/make_log.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kFooter = R"(
For tests: runs with the handlers of this program and its configuration until no job is due and none runs, then
tells what became of them. What these jobs enqueue is run as well. Jobs of a later time, failed ones that wait
for their next attempt, and what a pause holds up are not waited for. Exit code 1 when a job died, or when the
time was over before.

Examples:
  relevo jobs drain --until-empty
  relevo jobs drain --until-empty --queue mail --timeout 30s --json)";

constexpr auto kLookEvery = 10ms;
constexpr auto kPatience = 1s;  // then it tells what it waits for
constexpr int kMostFailed = 20;

struct Options {
  bool until_empty = false;
  std::vector<std::string> queues;
  std::string timeout = "10m";
  bool json = false;
};

// Counts what only the worker itself knows: a kind may leave no trace of what completed.
class Completions final : public worker::Metrics, public webhook::EndpointMetrics {
 public:
  void jobs_started(std::span<const worker::StartedJob>) override {}
  void jobs_ended(std::span<const worker::EndedJob> jobs) override {
    completed += std::ranges::count(jobs, "completed", &worker::EndedJob::outcome);
  }
  void jobs_running(std::size_t) override {}
  void crash_attempts(std::size_t) override {}
  void results_fenced(std::size_t) override {}
  void lanes_held(std::size_t) override {}
  void lanes_lost(std::size_t) override {}
  void http_finished(std::string_view, std::string_view, std::chrono::microseconds) override {}
  void breaker_changed(std::string_view, worker::CircuitBreaker::State) override {}

  std::atomic<std::int64_t> completed{0};
};

struct Summary {
  bool empty = false;
  std::int64_t completed = 0;
  postgres::DrainFigures figures;

  // Due, and not held up by a pause. What fell due since it was empty is none of its business.
  std::int64_t left() const { return empty ? 0 : figures.due - figures.paused; }
  bool good() const { return empty && figures.dead + figures.quarantined == 0; }
};

std::string text_of(const Summary& summary) {
  const auto& figures = summary.figures;
  std::string text = "completed " + std::to_string(summary.completed) + ", retryable " +
                     std::to_string(figures.retryable) + ", dead " + std::to_string(figures.dead) +
                     ", quarantined " + std::to_string(figures.quarantined) + ", cancelled " +
                     std::to_string(figures.cancelled) + "\n";
  if (figures.retry_at) text += "next retry: " + iso_time(*figures.retry_at) + "\n";
  if (figures.scheduled > 0) {
    text += "for later: " + count_text(figures.scheduled, "job") + "\n";
  }
  if (figures.paused > 0) text += "held up by a pause: " + count_text(figures.paused, "job") + "\n";
  return text;
}

std::string json_of(const Summary& summary, const std::vector<postgres::FailedJob>& failed) {
  const auto& figures = summary.figures;
  Json jobs = Json::array();
  for (const auto& job : failed) {
    jobs.push_back(
        {{"id", job.id}, {"state", job.state}, {"kind", job.kind}, {"error", job.error}});
  }
  return json_line(
      {{"empty", summary.empty},
       {"completed", summary.completed},
       {"retryable", figures.retryable},
       {"next_retry_at", figures.retry_at ? Json(iso_time(*figures.retry_at)) : Json()},
       {"dead", figures.dead},
       {"quarantined", figures.quarantined},
       {"cancelled", figures.cancelled},
       {"scheduled", figures.scheduled},
       {"paused", figures.paused},
       {"due", summary.left()},
       {"failed", std::move(jobs)}});
}

// Others run the jobs of their lanes; those of a worker that died wait for its lease to lapse.
void tell_of_others(postgres::JobAdmin& admin, const std::string& me) {
  for (const auto& lanes : admin.lane_holders()) {
    if (!lanes.holder || *lanes.holder == me) continue;
    complain("waits for " + *lanes.holder + ", which holds " + count_text(lanes.lanes, "lane") +
             ": it runs their jobs, or its lease lapses");
  }
}

core::Level level_of(const config::Config& config) {
  return std::max(*logging::parse_level(config.log.level), core::Level::kWarn);
}

class Drain {
 public:
  Drain(const Options& options, const Invocation& invocation)
      : options_(options),
        time_(parse_interval("--timeout", options.timeout)),
        invocation_(invocation),
        loaded_(load_config_with_warnings(invocation)),
        database_(connect_options(loaded_.config)),
        admin_(database_) {
    // A daemon may run under the configured name.
    loaded_.config.instance.clear();
  }

  int run();

 private:
  // True: nothing is left.
  bool work();
  bool wait(StopSignal& stop, const JobWorker& jobs, const std::string& me);

  const Options& options_;
  const std::chrono::milliseconds time_;
  const Invocation& invocation_;
  config::LoadResult loaded_;
  const postgres::ConnectOptions database_;
  postgres::JobAdmin admin_;
  Completions completions_;
  std::atomic<bool> replace_{false};
};

bool Drain::work() {
  StopSignal stop;  // before there are threads
  const auto& config = loaded_.config;
  logging::Options log_options;
  log_options.level = level_of(config);
  log_options.format = *logging::parse_format(config.log.format);
  const auto log = logging::make_log(log_options);
  const auto& clock = core::system_clock();
  const auto me = instance_name(config);
  HandlerSet handlers(config, completions_, *log, clock);
  ChildIsolation isolation(isolated_job_command(loaded_), me, config.worker.quarantine_after,
                           clock);
  auto worker = worker_options(config);
  worker.until_empty = true;
  worker.queues = options_.queues;
  JobWorker jobs(
      worker, me, config.worker.lease_ttl, database_,
      {std::string(version()), host_name(), "worker"},
      {&isolation, handlers.registry(), completions_, *log, clock, [this] { replace_ = true; }});
  handlers.start();
  jobs.start();
  const bool empty = wait(stop, jobs, me);
  jobs.stop();
  handlers.stop();
  return empty;
}

bool Drain::wait(StopSignal& stop, const JobWorker& jobs, const std::string& me) {
  const auto begun = core::BootClock::now();
  bool told = false;
  while (!jobs.worker().finished()) {
    if (stop.wait(kLookEvery)) {
      complain("interrupted");
      return false;
    }
    const auto waited = core::BootClock::now() - begun;
    if (waited >= time_) {
      complain("the time is over (--timeout " + options_.timeout + ")");
      return false;
    }
    if (replace_) {
      complain("a handler does not come back");
      return false;
    }
    if (!told && waited >= kPatience) {
      told = true;
      tell_of_others(admin_, me);
    }
  }
  return true;
}

int Drain::run() {
  (void)admin_.lane_holders();  // fails at once where a worker would wait
  const auto since = admin_.now();
  Summary summary;
  summary.empty = work();
  summary.completed = completions_.completed;
  summary.figures = admin_.drained(since, options_.queues);
  const auto failed = admin_.failed(since, options_.queues, kMostFailed);
  for (const auto& job : failed) {
    complain("job " + std::to_string(job.id) + " (" + job.kind + ") is " + job.state + ": " +
             job.error);
  }
  if (const auto due = summary.left(); due > 0) {
    complain(count_text(due, "job") + " left that " + (due == 1 ? "is" : "are") +
             " due: `relevo jobs list` shows them, `relevo queues` what limits them");
  }
  invocation_.out.print(options_.json ? json_of(summary, failed) : text_of(summary));
  const int code = summary.good() ? exit_code::kOk : exit_code::kFailed;
  // A thread of a handler that never came back would keep the process from ending.
  if (replace_) std::_Exit(code);
  return code;
}

int drain(const Options& options, const Invocation& invocation) {
  if (!options.until_empty) {
    throw UsageError(
        "jobs drain: add --until-empty, which says that it ends; a worker that stays is `relevo "
        "run` with the role worker");
  }
  return Drain(options, invocation).run();
}

}  // namespace

void add_jobs_drain(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("drain", "Run what is due, then exit; for tests");
  command->footer(kFooter);
  // Owners: the parser, which fills it, and the action.
  const auto options = std::make_shared<Options>();
  command->add_flag("--until-empty", options->until_empty, "Until nothing is due (needed)");
  command->add_option("--queue", options->queues, "Of this queue only; may be repeated")
      ->type_name("QUEUE")
      ->allow_extra_args(false);
  command->add_option("--timeout", options->timeout, "Give up after this time: 30s, 5m (10m)")
      ->type_name("TIME");
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([&chosen, options] {
    chosen = [options](Invocation& invocation) { return drain(*options, invocation); };
  });
}

}  // namespace relevo::cli
