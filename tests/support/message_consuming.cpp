#include "support/message_consuming.hpp"

#include <stdexcept>

namespace relevo::test {

TestRecord event_record(const std::string& key, const std::string& id, const std::string& type,
                        const std::string& value) {
  return {key,
          value,
          {{"ce_specversion", "1.0"},
           {"ce_id", id},
           {"ce_source", "/test"},
           {"ce_type", type},
           {"ce_time", "2026-03-01T10:00:00Z"},
           {"content-type", "application/json"}}};
}

void write_records(const std::string& bootstrap, const std::string& topic,
                   std::span<const TestRecord> records) {
  LogLines log;
  kafka::PublisherOptions options;
  options.client.bootstrap_servers = bootstrap;
  kafka::KafkaPublisher publisher(options, log);
  std::vector<relay::Report> reports;
  relay::Ticket ticket = 0;
  for (const auto& record : records) {
    std::vector<relay::Header> headers;
    for (const auto& [name, value] : record.headers) headers.push_back({name, value});
    const auto result =
        send_patiently(publisher, {topic, record.key, record.value, headers}, ++ticket, reports);
    if (result.status != relay::Send::kAccepted) throw std::runtime_error(result.error);
  }
  if (reports.size() < records.size()) {
    const auto rest = collect_reports(publisher, records.size() - reports.size());
    reports.insert(reports.end(), rest.begin(), rest.end());
  }
  for (const auto& report : reports) {
    if (report.outcome != relay::Outcome::kDelivered) {
      throw std::runtime_error(publisher.last_error());
    }
  }
  if (reports.size() < records.size()) throw std::runtime_error("records were not acknowledged");
}

}  // namespace relevo::test
