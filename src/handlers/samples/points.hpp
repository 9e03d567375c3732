// sample.points: adds up points, many jobs in one call. What is due together becomes one event.
#pragma once

#include <nlohmann/json.hpp>

#include "relevo/worker/registry.hpp"

namespace relevo::samples {

class Points final : public worker::BatchHandler {
 public:
  static constexpr const char* kKind = "sample.points";

  static worker::KindPolicy policy() {
    worker::KindPolicy policy;
    policy.history = worker::History::kFailures;
    policy.batch_size = 200;
    return policy;
  }

  std::vector<worker::Outcome> run(std::span<const worker::Job> jobs,
                                   worker::Context& context) override {
    std::int64_t sum = 0;
    std::vector<worker::Outcome> outcomes;
    for (const auto& job : jobs) {
      const auto payload = nlohmann::json::parse(job.payload);
      const auto points = payload.find("points");
      if (points == payload.end() || !points->is_number_integer()) {
        outcomes.push_back(worker::dead("points: is not a whole number"));
        continue;
      }
      sum += points->get<std::int64_t>();
      outcomes.push_back(worker::done());
    }
    context.unit().publish(
        {.aggregate_type = "points",
         .aggregate_id = "all",
         .type = "PointsAdded",
         .payload = nlohmann::json{{"points", sum}, {"jobs", jobs.size()}}.dump(),
         .topic = std::nullopt,
         .tenant = std::nullopt});
    return outcomes;
  }
};

}  // namespace relevo::samples
