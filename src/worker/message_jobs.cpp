#include "relevo/worker/message_jobs.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "relevo/worker/json_members.hpp"
#include "utf8.hpp"

namespace relevo::worker {
namespace {

constexpr std::size_t kLongestKey = 1'024;  // as relevo.enqueue() takes it

bool is_text(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto length = utf8_length(bytes);
    const auto first = static_cast<unsigned char>(bytes[0]);
    if (length == 0 || first < 0x20 || first == 0x7F) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

std::string hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "hex:";
  for (const char c : bytes) {
    text += kDigits[static_cast<unsigned char>(c) >> 4U];
    text += kDigits[static_cast<unsigned char>(c) & 15U];
  }
  return text;
}

// A key as the job's concurrency key. One that is too long shares its lane with those that begin
// alike: order is kept, only less runs side by side.
std::optional<std::string> concurrency_key(std::string_view key) {
  if (key.empty()) return std::nullopt;
  auto text = is_text(key) ? std::string(key) : hex(key);
  if (text.size() > kLongestKey) text = hex(key.substr(0, kLongestKey / 2 - 8));
  return text;
}

std::string headers(const Message& message) {
  nlohmann::json headers{{"event_id", message.id}, {"topic", message.topic}};
  if (!message.type.empty()) headers["event_type"] = message.type;
  for (const auto& [name, value] : message.headers) {
    const bool trace = name == "traceparent" || name == "tracestate";
    if (trace && is_text(value)) headers[std::string(name)] = value;
  }
  return headers.dump();
}

// jsonb takes no NUL character, however it is written.
bool has_nul(std::string_view json) {
  for (auto at = json.find("\\u0000"); at != std::string_view::npos;
       at = json.find("\\u0000", at + 1)) {
    std::size_t backslashes = 0;
    while (at > backslashes && json[at - backslashes - 1] == '\\') ++backslashes;
    if (backslashes % 2 == 0) return true;
  }
  return false;
}

}  // namespace

std::vector<Outcome> MessageJobs::run(std::span<const Message> messages, Context& context) {
  std::vector<NewJob> jobs;
  jobs.reserve(messages.size());
  std::vector<Outcome> outcomes;
  outcomes.reserve(messages.size());
  for (const auto& message : messages) {
    const auto payload = message.payload.value_or("null");
    if (!is_json(payload) || has_nul(payload)) {
      outcomes.push_back(dead("its payload is not JSON that a job can hold"));
      continue;
    }
    NewJob job;
    job.kind = kind_;
    job.payload = payload;
    job.concurrency_key = concurrency_key(message.key);
    if (message.tenant) job.tenant = *message.tenant;
    job.headers = headers(message);
    jobs.push_back(std::move(job));
    outcomes.push_back(done());
  }
  // Else the consumer rolls back and calls again without those that are dead.
  if (jobs.size() == messages.size()) context.unit().enqueue_many(jobs);
  return outcomes;
}

}  // namespace relevo::worker
