#include "figures.hpp"

#include <utility>

namespace relevo::postgres {

std::vector<QueueFigures> queue_figures_of(const Result& result) {
  std::vector<QueueFigures> queues;
  for (int i = 0; i < result.rows(); ++i) {
    QueueFigures figures;
    figures.queue = result.string(i, 0);
    figures.ready = result.int8(i, 1);
    if (!result.is_null(i, 2)) figures.ready_since = result.time(i, 2);
    figures.dead = result.int8(i, 3);
    figures.exact = result.boolean(i, 4);
    queues.push_back(std::move(figures));
  }
  return queues;
}

std::vector<DeadMessageCount> dead_message_counts_of(const Result& result) {
  std::vector<DeadMessageCount> counts;
  for (int i = 0; i < result.rows(); ++i) {
    counts.push_back({result.string(i, 0), result.int8(i, 1), result.time(i, 2)});
  }
  return counts;
}

}  // namespace relevo::postgres
