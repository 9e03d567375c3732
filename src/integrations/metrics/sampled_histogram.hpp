// A histogram with open labels that is told many samples at once: they are counted here and each
// series is touched once, for its locks and atomics cost more than the counting. Thread-safe.
#pragma once

#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <algorithm>
#include <chrono>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "open_labels.hpp"

namespace relevo::metrics {

template <std::size_t kLabels>
class SampledHistogram {
 public:
  using Values = typename OpenLabels<int, kLabels>::Values;
  using Seconds = std::chrono::duration<double>;

  SampledHistogram(prometheus::Family<prometheus::Histogram>& family,
                   std::array<std::string_view, kLabels> names,
                   prometheus::Histogram::BucketBoundaries bounds)
      : bounds_(std::move(bounds)), labels_(names, [this, &family](const auto& labels) {
          return Series{&family.Add(labels, bounds_), std::vector<double>(bounds_.size() + 1)};
        }) {}

  // read: gives label values and duration of a sample.
  template <class Sample, class Read>
  void observe(std::span<const Sample> samples, const Read& read) {
    const std::lock_guard lock(mutex_);
    for (const Sample& sample : samples) {
      const std::pair<Values, Seconds> one = read(sample);
      Series& series = labels_.of(one.first);
      if (series.samples++ == 0) touched_.push_back(&series);
      // The database's clock may be ahead.
      const double seconds = std::max(one.second.count(), 0.0);
      const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), seconds);
      series.counts[static_cast<std::size_t>(bound - bounds_.begin())] += 1;
      series.sum += seconds;
    }
    for (Series* series : touched_) {
      series->histogram->ObserveMultiple(series->counts, series->sum);
      std::fill(series->counts.begin(), series->counts.end(), 0.0);
      series->sum = 0;
      series->samples = 0;
    }
    touched_.clear();
  }

  void observe(const Values& values, Seconds seconds) {
    observe(std::span<const Seconds>(&seconds, 1),
            [&](Seconds one) { return std::pair(values, one); });
  }

 private:
  struct Series {
    prometheus::Histogram* histogram = nullptr;
    std::vector<double> counts;  // of this call, as sum and samples
    double sum = 0;
    std::size_t samples = 0;
  };

  const prometheus::Histogram::BucketBoundaries bounds_;
  std::mutex mutex_;
  OpenLabels<Series, kLabels> labels_;
  std::vector<Series*> touched_;
};

}  // namespace relevo::metrics
