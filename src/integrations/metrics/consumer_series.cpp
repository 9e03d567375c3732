#include "consumer_series.hpp"

#include <algorithm>

namespace relevo::metrics {
namespace {

constexpr std::array<std::string_view, 6> kOutcomes{"done",    "cancelled", "snoozed",
                                                    "retried", "dead",      kOther};

}  // namespace

ConsumerSeries::ConsumerSeries(prometheus::Registry& registry)
    : lag_(open_gauges(registry, "relevo_consumer_lag",
                       "Messages this replica has yet to consume, by subscription.",
                       "subscription")),
      parked_(open_counters(registry, "relevo_messages_parked_total",
                            "Messages set aside as dead letters, by subscription.",
                            "subscription")),
      unknown_type_(open_counters(registry, "relevo_messages_unknown_type_total",
                                  "Messages of a type that the subscription does not know.",
                                  "subscription")),
      duration_(histograms(registry, "relevo_message_duration_seconds",
                           "The run each message was in, from its transaction's begin to its end.")
                    .Add({}, bounds_)),
      duplicates_(counters(registry, "relevo_inbox_duplicates_total",
                           "Messages skipped since they were consumed before.")
                      .Add({})) {
  auto& finished =
      counters(registry, "relevo_messages_total", "Runs of messages by their outcome.");
  for (const auto outcome : kOutcomes) {
    finished_.emplace(outcome, &finished.Add({{"outcome", std::string(outcome)}}));
  }
}

void ConsumerSeries::consumer_lag(std::string_view subscription, std::int64_t messages) {
  const std::lock_guard lock(mutex_);
  lag_.of({subscription})->Set(static_cast<double>(messages));
  // There with 0, so that the first ones are an increase.
  parked_.of({subscription});
  unknown_type_.of({subscription});
}

void ConsumerSeries::inbox_duplicates(std::size_t messages) {
  duplicates_.Increment(static_cast<double>(messages));
}

void ConsumerSeries::dead_letter(std::string_view source) {
  const std::lock_guard lock(mutex_);
  parked_.of({source})->Increment();
}

void ConsumerSeries::messages_finished(std::string_view outcome, std::size_t messages,
                                       std::chrono::duration<double> duration) {
  const auto found = finished_.find(outcome);
  const auto count = static_cast<double>(messages);
  (found == finished_.end() ? finished_.find(kOther) : found)->second->Increment(count);
  if (duration.count() <= 0) return;  // counted apart from their run
  std::vector<double> counts(bounds_.size() + 1);
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), duration.count());
  counts[static_cast<std::size_t>(bound - bounds_.begin())] = count;
  duration_.ObserveMultiple(counts, duration.count() * count);
}

void ConsumerSeries::unknown_type(std::string_view subscription) {
  const std::lock_guard lock(mutex_);
  unknown_type_.of({subscription})->Increment();
}

}  // namespace relevo::metrics
