// sample.welcome: greets a new customer. One transaction writes the audit line, publishes
// CustomerWelcomed and enqueues the job that counts the points; the job itself ends in it too.
#pragma once

#include <nlohmann/json.hpp>

#include "relevo/worker/registry.hpp"
#include "relevo/worker/typed.hpp"

namespace relevo::samples {

struct NewCustomer {
  std::string customer;
  std::string name;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(NewCustomer, customer, name)

class Welcome final : public worker::TypedHandler<NewCustomer> {
 public:
  static constexpr const char* kKind = "sample.welcome";

  static worker::KindPolicy policy() {
    worker::KindPolicy policy;
    policy.max_attempts = 5;
    policy.timeout = std::chrono::seconds(30);
    return policy;
  }

  worker::Outcome handle(const NewCustomer& customer, const worker::Job& job,
                         worker::Context& context) override {
    if (customer.name.empty()) return worker::dead("name: is empty");
    const nlohmann::json event{{"customer", customer.customer},
                               {"greeting", "Hello " + customer.name}};
    auto& unit = context.unit();
    unit.publish({.aggregate_type = "customer",
                  .aggregate_id = customer.customer,
                  .type = "CustomerWelcomed",
                  .payload = event.dump(),
                  .topic = std::nullopt,
                  .tenant = std::nullopt});
    worker::AuditEntry entry;
    entry.action = "welcome";
    entry.subject_type = "customer";
    entry.subject_id = customer.customer;
    entry.to_state = "welcomed";
    entry.actor = "job " + std::to_string(job.id);
    unit.audit(entry);
    worker::NewJob points;
    points.kind = "sample.points";
    points.payload = nlohmann::json{{"customer", customer.customer}, {"points", 10}}.dump();
    unit.enqueue(points);
    return worker::done(event.dump());
  }
};

}  // namespace relevo::samples
