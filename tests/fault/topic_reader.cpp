#include "topic_reader.hpp"

namespace relevo::test {
namespace {

kafka::ReaderOptions options_for(const std::string& bootstrap, std::vector<std::string> topics) {
  kafka::ReaderOptions options;
  options.client.bootstrap_servers = bootstrap;
  options.topics = std::move(topics);
  return options;
}

Received to_received(const kafka::ReadRecord& read) {
  Received record;
  record.topic = read.topic;
  record.partition = read.partition;
  record.offset = read.offset;
  record.key = read.key.value_or("");
  record.value = read.value;
  for (const auto& [name, value] : read.headers) record.headers.emplace_back(name, value);
  return record;
}

}  // namespace

TopicReader::TopicReader(const std::string& bootstrap, std::vector<std::string> topics)
    : reader_(options_for(bootstrap, std::move(topics))) {}

std::vector<Received> TopicReader::poll(std::chrono::milliseconds wait) {
  constexpr std::size_t kMost = 5000;
  std::vector<Received> records;
  while (const auto* read = reader_.poll(records.empty() ? wait : std::chrono::milliseconds(0))) {
    records.push_back(to_received(*read));
    if (records.size() == kMost) break;
  }
  return records;
}

}  // namespace relevo::test
