// Results of statements that both the inspector and the administration of jobs run.
#pragma once

#include <vector>

#include "relevo/postgres/inspector.hpp"

namespace relevo::postgres {

std::vector<QueueFigures> queue_figures_of(const Result& result);
std::vector<DeadMessageCount> dead_message_counts_of(const Result& result);

}  // namespace relevo::postgres
