// The series of worker::Metrics. Called with every job there is, at 150,000 a second: see
// SampledHistogram.
#pragma once

#include "families.hpp"
#include "relevo/worker/metrics.hpp"
#include "sampled_histogram.hpp"

namespace relevo::metrics {

class WorkerSeries final : public worker::Metrics {
 public:
  explicit WorkerSeries(prometheus::Registry& registry);

  void jobs_started(std::span<const worker::StartedJob> jobs) override;
  void jobs_ended(std::span<const worker::EndedJob> jobs) override;
  void jobs_running(std::size_t jobs) override;
  void crash_attempts(std::size_t jobs) override;
  void results_fenced(std::size_t jobs) override;
  void lanes_held(std::size_t lanes) override;
  void lanes_lost(std::size_t lanes) override;

 private:
  SampledHistogram<1> wait_;
  SampledHistogram<2> duration_;
  Gauge& running_;
  Counter& crash_attempts_;
  Counter& fenced_results_;
  Gauge& lanes_held_;
  Counter& lanes_lost_;
};

}  // namespace relevo::metrics
