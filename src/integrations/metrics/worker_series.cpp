#include "worker_series.hpp"

namespace relevo::metrics {

WorkerSeries::WorkerSeries(prometheus::Registry& registry)
    : wait_(histograms(registry, "relevo_job_wait_seconds",
                       "From the time a job is due to its claim, by queue."),
            {"queue"}, work_bounds()),
      duration_(histograms(registry, "relevo_job_duration_seconds",
                           "Runs of jobs, by kind as registered and outcome."),
                {"kind", "outcome"}, work_bounds()),
      running_(
          gauges(registry, "relevo_jobs_running", "Jobs claimed and not yet finished.").Add({})),
      crash_attempts_(counters(registry, "relevo_job_crash_attempts_total",
                               "Attempts that ended with the death of their process.")
                          .Add({})),
      fenced_results_(counters(registry, "relevo_fenced_results_total",
                               "Results refused: the attempt was somebody else's by then.")
                          .Add({})),
      lanes_held_(
          gauges(registry, "relevo_lanes_held", "Lanes this replica holds the lease of.").Add({})),
      lanes_lost_(counters(registry, "relevo_lanes_lost_total",
                           "Leases of lanes lost other than by handing back.")
                      .Add({})) {}

void WorkerSeries::jobs_started(std::span<const worker::StartedJob> jobs) {
  wait_.observe(jobs, [](const worker::StartedJob& job) {
    return std::pair(SampledHistogram<1>::Values{job.queue},
                     std::chrono::duration<double>(job.waited));
  });
}

void WorkerSeries::jobs_ended(std::span<const worker::EndedJob> jobs) {
  duration_.observe(jobs, [](const worker::EndedJob& job) {
    return std::pair(SampledHistogram<2>::Values{job.kind, job.outcome},
                     std::chrono::duration<double>(job.ran));
  });
}

void WorkerSeries::jobs_running(std::size_t jobs) { running_.Set(static_cast<double>(jobs)); }
void WorkerSeries::crash_attempts(std::size_t jobs) {
  crash_attempts_.Increment(static_cast<double>(jobs));
}
void WorkerSeries::results_fenced(std::size_t jobs) {
  fenced_results_.Increment(static_cast<double>(jobs));
}
void WorkerSeries::lanes_held(std::size_t lanes) { lanes_held_.Set(static_cast<double>(lanes)); }
void WorkerSeries::lanes_lost(std::size_t lanes) {
  lanes_lost_.Increment(static_cast<double>(lanes));
}

}  // namespace relevo::metrics
