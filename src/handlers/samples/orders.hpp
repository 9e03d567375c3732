// sample.orders: messages about orders; a paid one welcomes its customer.
#pragma once

#include <nlohmann/json.hpp>

#include "relevo/worker/handler.hpp"

namespace relevo::samples {

class Orders final : public worker::MessageHandler {
 public:
  static constexpr const char* kName = "sample.orders";

  std::vector<worker::Outcome> run(std::span<const worker::Message> messages,
                                   worker::Context& context) override {
    std::vector<worker::Outcome> outcomes;
    for (const auto& message : messages) outcomes.push_back(handle(message, context));
    return outcomes;
  }

 private:
  static worker::Outcome handle(const worker::Message& message, worker::Context& context) {
    if (message.type != "OrderPaid") return worker::done();
    const auto order = nlohmann::json::parse(message.payload.value_or("null"), nullptr, false);
    if (!order.is_object()) return worker::dead("payload: is no JSON object");
    const std::string customer(message.key);
    worker::NewJob job;
    job.kind = "sample.welcome";
    job.payload =
        nlohmann::json{{"customer", customer}, {"name", order.value("name", customer)}}.dump();
    job.unique_key = "welcome " + customer;
    context.unit().enqueue(job);
    return worker::done();
  }
};

}  // namespace relevo::samples
