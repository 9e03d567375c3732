#include "relevo/worker/attempt_log.hpp"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "relevo/worker/envelope.hpp"

namespace relevo::worker {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

std::optional<FailedAttempt> entry_of(const json& value) {
  const auto attempt = value.find("attempt");
  const auto at = value.find("at");
  const auto error = value.find("error");
  if (attempt == value.end() || !attempt->is_number_integer()) return std::nullopt;
  if (at == value.end() || !at->is_string() || error == value.end() || !error->is_string()) {
    return std::nullopt;
  }
  const auto time = parse_rfc3339(at->get_ref<const std::string&>());
  if (!time) return std::nullopt;
  return FailedAttempt{attempt->get<int>(), *time, error->get<std::string>()};
}

}  // namespace

AttemptLog::AttemptLog(std::string_view text) {
  const auto array = json::parse(text, nullptr, false);
  if (!array.is_array()) return;
  for (const auto& value : array) {
    if (auto entry = entry_of(value)) add(std::move(*entry));
  }
}

void AttemptLog::add(FailedAttempt failed) {
  if (!entries_.empty() && entries_.back().attempt == failed.attempt) {
    entries_.back().error = std::move(failed.error);
    return;
  }
  if (entries_.size() == kFirst + kLast) entries_.erase(entries_.begin() + kFirst);
  entries_.push_back(std::move(failed));
}

std::string attempts_json(std::span<const FailedAttempt> attempts, std::size_t most) {
  std::vector<std::string> entries;
  std::size_t size = 1;  // the brackets, and a comma too few
  for (const auto& [attempt, at, error] : attempts) {
    const ordered_json entry{{"attempt", attempt}, {"at", rfc3339(at)}, {"error", error}};
    entries.push_back(entry.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
    size += entries.back().size() + 1;
  }
  while (size > most && !entries.empty()) {
    const auto middle = entries.begin() + static_cast<std::ptrdiff_t>((entries.size() - 1) / 2);
    size -= middle->size() + 1;
    entries.erase(middle);
  }
  std::string text = "[";
  for (const auto& entry : entries) {
    if (text.size() > 1) text += ',';
    text += entry;
  }
  return text + "]";
}

}  // namespace relevo::worker
