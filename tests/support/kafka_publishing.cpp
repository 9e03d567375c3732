#include "support/kafka_publishing.hpp"

#include <algorithm>
#include <type_traits>

#include "relevo/kafka/reader.hpp"

namespace relevo::test {
namespace {

using Steady = std::chrono::steady_clock;

std::string text_of(const core::Field::Value& value) {
  return std::visit(
      [](const auto& held) -> std::string {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::string_view>) {
          return std::string(held);
        } else {
          return std::to_string(held);
        }
      },
      value);
}

}  // namespace

void LogLines::write(core::Level level, std::string_view message,
                     std::span<const core::Field> fields) {
  constexpr const char* kNames[] = {"debug", "info", "warn", "error"};
  std::string line = kNames[static_cast<int>(level)];
  line.append(" ").append(message);
  for (const auto& field : fields)
    line.append(" ").append(field.key).append("=").append(text_of(field.value));
  const std::lock_guard lock(mutex_);
  lines_.push_back(std::move(line));
}

std::size_t LogLines::count(std::string_view part) const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::ranges::count_if(
      lines_, [part](const std::string& line) { return line.find(part) != std::string::npos; }));
}

std::string LogLines::all() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const auto& line : lines_) text.append(line).append("\n");
  return text;
}

std::vector<relay::Report> collect_reports(relay::Publisher& publisher, std::size_t count,
                                           std::chrono::milliseconds time) {
  std::vector<relay::Report> reports;
  const auto deadline = Steady::now() + time;
  while (reports.size() < count && Steady::now() < deadline) {
    if (!publisher.collect(std::chrono::milliseconds(50), reports)) break;
  }
  return reports;
}

relay::SendResult send_patiently(relay::Publisher& publisher, const relay::Record& record,
                                 relay::Ticket ticket, std::vector<relay::Report>& reports,
                                 std::chrono::milliseconds time) {
  const auto deadline = Steady::now() + time;
  for (;;) {
    auto result = publisher.send(record, ticket);
    const bool later =
        result.status == relay::Send::kFull || result.status == relay::Send::kUnavailable;
    if (!later || Steady::now() > deadline) return result;
    (void)publisher.collect(std::chrono::milliseconds(20), reports);
  }
}

std::vector<StoredRecord> read_topic(const std::string& bootstrap, const std::string& topic,
                                     std::size_t count, std::chrono::milliseconds time) {
  kafka::ReaderOptions options;
  options.client.bootstrap_servers = bootstrap;
  options.topics = {topic};
  kafka::KafkaReader reader(std::move(options));
  std::vector<StoredRecord> records;
  const auto deadline = Steady::now() + time;
  while (records.size() < count && Steady::now() < deadline) {
    const auto* read = reader.poll(std::chrono::milliseconds(50));
    if (read == nullptr) continue;
    StoredRecord record;
    record.partition = read->partition;
    record.offset = read->offset;
    record.key = read->key.value_or("");
    if (read->value) record.value = std::string(*read->value);
    for (const auto& [name, value] : read->headers) record.headers.emplace_back(name, value);
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace relevo::test
