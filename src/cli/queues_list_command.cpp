#include "cli/queues_commands.hpp"
#include "cli/table.hpp"
#include "daemon.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

constexpr auto kFooter = R"(
READY: could run now. OLDEST: for how long the oldest of these has been ready. Above 5,000 jobs of a priority class ready
is an estimate (≈). AT ONCE: how many run at a time, over all workers.)";

std::string rate_text(double value) {
  auto text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

int list(bool json, const Invocation& invocation) {
  postgres::JobAdmin admin(connect_options(load_config(invocation)));
  const auto look = look_at_queues(admin);
  const auto rates = admin.rates();
  const auto weights = admin.tenant_weights();
  if (json) {
    Json all_rates = Json::array();
    for (const auto& rate : rates) {
      all_rates.push_back(
          {{"key", rate.key}, {"per_second", rate.per_second}, {"burst", rate.burst}});
    }
    Json all_weights = Json::array();
    for (const auto& [tenant, weight] : weights) {
      all_weights.push_back({{"tenant", tenant}, {"weight", weight}});
    }
    invocation.out.print(json_line({{"queues", queues_json(look)},
                                    {"pauses", pauses_json(look)},
                                    {"rates", std::move(all_rates)},
                                    {"tenant_weights", std::move(all_weights)}}));
    return exit_code::kOk;
  }
  auto text = queues_text(look);
  if (!rates.empty()) {
    Table table({"rate key", ">per second", ">burst"});
    for (const auto& rate : rates) {
      table.add({rate.key, rate_text(rate.per_second), rate_text(rate.burst)});
    }
    text += "\n" + table.text();
  }
  if (!weights.empty()) {
    Table table({"tenant", ">weight"});
    for (const auto& [tenant, weight] : weights) table.add({tenant, std::to_string(weight)});
    text += "\n" + table.text();
  }
  invocation.out.print(text);
  return exit_code::kOk;
}

}  // namespace

void add_queues_list(CLI::App& parent, Action& chosen) {
  add_default_list(parent, chosen,
                   {"All queues, limits and pauses", kFooter, "One JSON object", list});
}

}  // namespace relevo::cli
