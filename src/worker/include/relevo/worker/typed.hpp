// A handler whose payload is a struct. Payload needs `from_json(const nlohmann::json&, Payload&)`
// (NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE writes it). A payload that does not fit makes the job dead
// with the reason, since trying again would not help.
#pragma once

#include <nlohmann/json.hpp>

#include "relevo/worker/handler.hpp"

namespace relevo::worker {

template <class Payload>
class TypedHandler : public JobHandler {
 public:
  Outcome run(const Job& job, Context& context) final {
    std::optional<Payload> payload;
    try {
      payload.emplace(nlohmann::json::parse(job.payload).template get<Payload>());
    } catch (const nlohmann::json::exception& error) {
      // Its text names a key that is missing, or two types, and no value, but for parse errors: the
      // payload comes from PostgreSQL's jsonb, so those cannot occur.
      return dead(std::string("payload does not fit this kind: ") + error.what());
    }
    return handle(*payload, job, context);
  }

  virtual Outcome handle(const Payload& payload, const Job& job, Context& context) = 0;
};

}  // namespace relevo::worker
