// The commands that change a queue, a limit or a share.
#include <CLI/App.hpp>
#include <algorithm>
#include <memory>

#include "cli/queues_commands.hpp"
#include "daemon.hpp"
#include "relevo/core/nearest.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

using postgres::JobAdmin;

constexpr auto kPauseFooter = R"(
Its jobs wait until it is resumed, over restarts. QUEUE * means every queue.

Examples:
  relevo queues pause mail
  relevo queues pause mail --kind mail.newsletter
  relevo queues pause '*' --kind 'report.*')";

struct Paused {
  std::string queue;
  std::string kind = "*";
};

std::string name_of(const std::string& queue, const std::string& kind) {
  return "queue \"" + queue + "\"" + (kind == "*" ? "" : ", kind \"" + kind + "\"");
}

int resume(JobAdmin& admin, const Paused& what) {
  std::vector<std::string> paused;
  for (const auto& state : admin.queue_states()) {
    if (!state.paused) continue;
    if (state.queue == what.queue && state.kind == what.kind) {
      admin.resume(what.queue, what.kind);
      return exit_code::kOk;
    }
    if (state.kind == what.kind) paused.push_back(state.queue);
  }
  const auto meant = core::nearest(what.queue, paused);
  throw Failure(exit_code::kFailed,
                name_of(what.queue, what.kind) + ": is not paused; " +
                    (meant ? "did you mean \"" + *meant + "\"?" : "see `relevo queues`"));
}

// The argument that says whose limit it is, and the one that is the limit.
struct Setting {
  std::string name;
  std::string value;
};

}  // namespace

void add_queues_pause(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("pause", "Start no more jobs of a queue, or of a kind");
  command->footer(kPauseFooter);
  // Owners: the parser, which fills it, and the action.
  const auto what = std::make_shared<Paused>();
  command->add_option("QUEUE", what->queue, "Queue; * for all")->required();
  command->add_option("--kind", what->kind, "Only jobs of this kind; may end in *")
      ->type_name("KIND");
  command->callback([&chosen, what] {
    chosen = [what](Invocation& invocation) {
      JobAdmin(connect_options(load_config(invocation))).pause(what->queue, what->kind);
      return exit_code::kOk;
    };
  });
}

void add_queues_resume(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("resume", "Take a pause back");
  command->footer(
      "\nWith the arguments of the pause: a kind stays paused in a queue that is resumed.");
  // Owners: the parser, which fills it, and the action.
  const auto what = std::make_shared<Paused>();
  command->add_option("QUEUE", what->queue, "Queue; * for all")->required();
  command->add_option("--kind", what->kind, "As it was paused")->type_name("KIND");
  command->callback([&chosen, what] {
    chosen = [what](Invocation& invocation) {
      JobAdmin admin(connect_options(load_config(invocation)));
      return resume(admin, *what);
    };
  });
}

void add_queues_concurrency(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("concurrency",
                                        "How many jobs of a queue run at once, over all workers");
  // Owners: the parser, which fills it, and the action.
  const auto setting = std::make_shared<Setting>();
  command->add_option("QUEUE", setting->name, "Queue")->required();
  command->add_option("N", setting->value, "So many, or none: as many as there are workers")
      ->required();
  command->callback([&chosen, setting] {
    chosen = [setting](Invocation& invocation) {
      const auto most = parse_limit("N", setting->value);
      JobAdmin(connect_options(load_config(invocation))).set_concurrency(setting->name, most);
      return exit_code::kOk;
    };
  });
}

void add_queues_rate(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("rate", "How many jobs with a rate key start per second");
  struct Rate : Setting {
    std::optional<double> burst;
  };
  // Owners: the parser, which fills it, and the action.
  const auto rate = std::make_shared<Rate>();
  command->add_option("KEY", rate->name, "Rate key of the jobs")->required();
  command->add_option("PER_SECOND", rate->value, "So many, also 0.5, or none: no limit")
      ->required();
  command->add_option("--burst", rate->burst, "So many at once after a pause (1)")
      ->type_name("N")
      ->check(CLI::Range(1.0, 1e9));
  command->callback([&chosen, rate] {
    chosen = [rate](Invocation& invocation) {
      const auto per_second = parse_rate("PER_SECOND", rate->value);
      JobAdmin(connect_options(load_config(invocation)))
          .set_rate(rate->name, per_second, rate->burst.value_or(1));
      return exit_code::kOk;
    };
  });
}

void add_queues_weight(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("weight", "A tenant's share of the workers beside others");
  // Owners: the parser, which fills it, and the action.
  const auto setting = std::make_shared<Setting>();
  command->add_option("TENANT", setting->name, "Tenant")->required();
  command->add_option("N", setting->value, "So many times the share of others, or none: 1")
      ->required();
  command->callback([&chosen, setting] {
    chosen = [setting](Invocation& invocation) {
      const auto weight = parse_limit("N", setting->value);
      JobAdmin(connect_options(load_config(invocation))).set_weight(setting->name, weight);
      return exit_code::kOk;
    };
  });
}

}  // namespace relevo::cli
