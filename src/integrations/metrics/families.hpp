// How this folder declares series: a name and its help text in a registry. A name declared twice is
// one family. Also the bounds of histograms.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <array>
#include <string>
#include <string_view>

#include "open_labels.hpp"

namespace relevo::metrics {

using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;

inline prometheus::Family<Counter>& counters(prometheus::Registry& registry,
                                             const std::string& name, const std::string& help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}
inline prometheus::Family<Gauge>& gauges(prometheus::Registry& registry, const std::string& name,
                                         const std::string& help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}
inline prometheus::Family<Histogram>& histograms(prometheus::Registry& registry,
                                                 const std::string& name, const std::string& help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
}

using OpenCounters = OpenLabels<Counter*, 1>;
using OpenGauges = OpenLabels<Gauge*, 1>;

inline OpenCounters open_counters(prometheus::Registry& registry, const std::string& name,
                                  const std::string& help, std::string_view label) {
  auto& family = counters(registry, name, help);
  return {{label}, [&family](const auto& labels) { return &family.Add(labels); }};
}
inline OpenGauges open_gauges(prometheus::Registry& registry, const std::string& name,
                              const std::string& help, std::string_view label) {
  auto& family = gauges(registry, name, help);
  return {{label}, [&family](const auto& labels) { return &family.Add(labels); }};
}

// Of work that may last: 1 ms to half an hour.
inline Histogram::BucketBoundaries work_bounds() {
  return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
          1,     2.5,    5,     10,   30,    60,   300, 1'800};
}

}  // namespace relevo::metrics
