#include "queue_series.hpp"

#include <algorithm>

namespace relevo::metrics {
namespace {

constexpr std::string_view kOutbox = "outbox";

auto make_queue(prometheus::Registry& registry) {
  auto& ready =
      gauges(registry, "relevo_jobs_ready", "Jobs that could run now and are not in flight.");
  auto& age = gauges(registry, "relevo_jobs_oldest_ready_age_seconds",
                     "How long the oldest of them has been ready.");
  return [&ready, &age](const auto& labels) {
    return std::pair(&ready.Add(labels), &age.Add(labels));
  };
}

}  // namespace

QueueSeries::QueueSeries(prometheus::Registry& registry, const core::Clock& clock)
    : clock_(clock),
      queues_({"queue"},
              [make = make_queue(registry)](const auto& labels) {
                const auto [ready, age] = make(labels);
                return Queue{ready, age};
              }),
      dead_letters_(open_gauges(registry, "relevo_dead_letters",
                                "What was set aside and waits for a person.", "source")) {
  dead_letters_.of({kOutbox});
}

void QueueSeries::queues(std::span<const QueueDepth> depths,
                         std::chrono::duration<double> fresh_for) {
  const std::lock_guard lock(mutex_);
  for (auto& [name, queue] : queues_) queue.jobs = queue.age = 0;
  for (const auto& depth : depths) {
    auto& queue = queues_.of({depth.queue});
    queue.jobs += static_cast<double>(std::max<std::int64_t>(depth.ready, 0));
    queue.age = std::max(queue.age, depth.oldest_age.count());
  }
  for (auto& [name, queue] : queues_) {
    queue.ready->Set(queue.jobs);
    queue.oldest_age->Set(queue.age);
  }
  fresh_for_ = fresh_for;
  measured_at_ = clock_.now();
}

void QueueSeries::refresh_ages() {
  const std::lock_guard lock(mutex_);
  const std::chrono::duration<double> elapsed = clock_.now() - measured_at_;
  if (elapsed <= fresh_for_) return;
  for (auto& [name, queue] : queues_) {
    if (queue.age > 0) queue.oldest_age->Set(queue.age + elapsed.count());
  }
}

void QueueSeries::dead_letters(std::span<const DeadLetters> letters) {
  const std::lock_guard lock(mutex_);
  of_others_.clear();
  for (const auto& letter : letters) of_others_[std::string(letter.source)] += letter.count;
  show_dead_letters();
}

void QueueSeries::outbox_dead_letters(std::int64_t count) {
  const std::lock_guard lock(mutex_);
  of_outbox_ = count;
  show_dead_letters();
}

// A subscription may have the name of another source, or share "other": hence sums.
void QueueSeries::show_dead_letters() {
  std::map<Gauge*, double> sums{{dead_letters_.of({kOutbox}), static_cast<double>(of_outbox_)}};
  for (const auto& [source, count] : of_others_) {
    sums[dead_letters_.of({source})] += static_cast<double>(count);
  }
  for (const auto& [labels, gauge] : dead_letters_) {
    const auto found = sums.find(gauge);
    gauge->Set(found == sums.end() ? 0 : found->second);
  }
}

}  // namespace relevo::metrics
