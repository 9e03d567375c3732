#include "cli/operation_watch.hpp"

#include <algorithm>
#include <chrono>
#include <string>

#include "cli/command.hpp"
#include "cli/stop_signal.hpp"
#include "cli/table.hpp"
#include "daemon.hpp"

namespace relevo::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kLookEvery = 100ms;
constexpr auto kTellEvery = 1s;
constexpr auto kPatience = 3s;

std::int64_t free_lanes(postgres::JobAdmin& admin) {
  for (const auto& holder : admin.lane_holders()) {
    if (!holder.holder) return holder.lanes;
  }
  return 0;
}

}  // namespace

const char* past_of(const std::string& what) {
  if (what == "retry") return "released";
  if (what == "edit") return "edited";
  return what == "cancel" ? "cancelled" : "discarded";
}

std::optional<postgres::JobOperation> wait_for(postgres::JobAdmin& admin, std::int64_t operation) {
  StopSignal stop;
  const auto begun = core::BootClock::now();
  auto told_at = begun;
  std::int64_t told = 0;
  bool warned = false;
  while (true) {
    auto now = admin.operation(operation);
    if (!now) {
      throw Failure(exit_code::kFailed, "operation " + std::to_string(operation) +
                                            ": is gone; was it removed by hand?");
    }
    if (now->finished_at) return now;
    const auto time = core::BootClock::now();
    if (now->changed != told && time - told_at >= kTellEvery) {
      told = now->changed;
      told_at = time;
      complain(std::string(past_of(now->what)) + " " + count_text(now->changed, "job") +
               " so far; " + count_text(now->lanes_left, "lane") + " left");
    }
    if (!warned && time - begun >= kPatience) {
      warned = true;
      if (const auto free = free_lanes(admin); free > 0) {
        complain(count_text(free, "lane") +
                 " without a worker, which this waits for: start one (`relevo run`), or leave with "
                 "Ctrl-C; it stays asked for");
      }
    }
    if (stop.wait(kLookEvery)) return std::nullopt;
  }
}

Json operation_json(const postgres::JobOperation& operation) {
  return {{"id", operation.id},
          {"what", operation.what},
          {"filter", Json::parse(operation.filter, nullptr, false)},
          {"requested_at", iso_time(operation.requested_at)},
          {"changed", operation.changed},
          {"stopping", operation.stopping},
          {"lanes_left", operation.lanes_left},
          {"finished_at", operation.finished_at ? Json(iso_time(*operation.finished_at)) : Json()}};
}

}  // namespace relevo::cli
