#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "cli/queues_commands.hpp"
#include "cli/table.hpp"

namespace relevo::cli {
namespace {

using namespace std::chrono_literals;

bool is_of_one_queue(const worker::QueueState& state) {
  return state.queue != "*" && state.kind == "*";
}

std::optional<std::chrono::microseconds> age_of(const QueueLine& line, core::WallTime now) {
  if (!line.oldest) return std::nullopt;
  return std::max<std::chrono::microseconds>(now - *line.oldest, 0us);
}

std::string pause_text(const worker::QueueState& pause) {
  if (pause.queue == "*" && pause.kind == "*") return "paused: everything\n";
  return "paused: kind " + pause.kind + (pause.queue == "*" ? "" : " in queue " + pause.queue) +
         "\n";
}

template <typename Number>
std::optional<Number> number_or_none(const char* argument, const std::string& text,
                                     const char* wanted) {
  if (text == "none") return std::nullopt;
  Number number{};
  const auto* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc() && rest == end && number > 0) return number;
  throw UsageError(std::string(argument) + ": is \"" + text + "\"; give " + wanted + ", or none");
}

}  // namespace

std::vector<QueueLine> queue_lines(const std::vector<postgres::QueueFigures>& figures,
                                   const std::vector<std::pair<std::string, std::int64_t>>& running,
                                   const std::vector<worker::QueueState>& states) {
  std::map<std::string, QueueLine> lines;
  for (const auto& one : figures) {
    auto& line = lines[one.queue];
    line.ready = one.ready;
    line.oldest = one.ready_since;
    line.dead = one.dead;
    line.exact = one.exact;
  }
  for (const auto& [queue, jobs] : running) lines[queue].running = jobs;
  for (const auto& state : states) {
    if (!is_of_one_queue(state)) continue;
    auto& line = lines[state.queue];
    line.paused = state.paused;
    line.concurrency = state.concurrency;
  }
  std::vector<QueueLine> sorted;
  for (auto& [queue, line] : lines) {
    line.queue = queue;
    sorted.push_back(std::move(line));
  }
  return sorted;
}

QueuesLook look_at_queues(postgres::JobAdmin& admin) {
  QueuesLook look;
  look.now = admin.now();
  const auto states = admin.queue_states();
  look.queues = queue_lines(admin.queue_figures(), admin.running(), states);
  for (const auto& state : states) {
    if (state.paused && !is_of_one_queue(state)) look.pauses.push_back(state);
  }
  return look;
}

std::string queues_text(const QueuesLook& look) {
  std::string text;
  if (look.queues.empty()) {
    text = "no jobs\n";
  } else {
    Table table({"queue", ">ready", ">running", ">oldest", ">dead", ">at once", "state"});
    for (const auto& line : look.queues) {
      const auto age = age_of(line, look.now);
      table.add({line.queue, (line.exact ? "" : "≈ ") + std::to_string(line.ready),
                 std::to_string(line.running), age ? duration_text(*age) : "-",
                 std::to_string(line.dead),
                 line.concurrency ? std::to_string(*line.concurrency) : "-",
                 line.paused ? "paused" : "open"});
    }
    text = table.text();
  }
  for (const auto& pause : look.pauses) text += pause_text(pause);
  return text;
}

Json queues_json(const QueuesLook& look) {
  Json queues = Json::array();
  for (const auto& line : look.queues) {
    const auto age = age_of(line, look.now);
    queues.push_back(
        {{"queue", line.queue},
         {"ready", line.ready},
         {"exact", line.exact},
         {"running", line.running},
         {"oldest_age_seconds", age ? Json(std::chrono::duration<double>(*age).count()) : Json()},
         {"dead", line.dead},
         {"paused", line.paused},
         {"concurrency", json_or_null(line.concurrency)}});
  }
  return queues;
}

Json pauses_json(const QueuesLook& look) {
  Json pauses = Json::array();
  for (const auto& pause : look.pauses) {
    pauses.push_back({{"queue", pause.queue}, {"kind", pause.kind}});
  }
  return pauses;
}

std::optional<int> parse_limit(const char* argument, const std::string& text) {
  return number_or_none<int>(argument, text, "a whole number from 1 on");
}

std::optional<double> parse_rate(const char* argument, const std::string& text) {
  const auto rate = number_or_none<double>(argument, text, "a number above 0, as 0.5 or 100");
  if (rate && !std::isfinite(*rate)) {
    throw UsageError(std::string(argument) + ": is \"" + text + "\"; give a number, or none");
  }
  return rate;
}

}  // namespace relevo::cli
