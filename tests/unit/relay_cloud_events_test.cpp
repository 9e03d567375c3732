#include <gtest/gtest.h>

#include <map>
#include <stdexcept>

#include "relevo/relay/cloud_events.hpp"

namespace relevo::relay {
namespace {

using namespace std::chrono;

OutboxRow row() {
  OutboxRow row;
  row.id = 7;
  row.event_id = {0x97, 0xef, 0xb6, 0xf9, 0x95, 0xc6, 0x48, 0x74,
                  0x8e, 0xc2, 0xbe, 0xfe, 0xcb, 0x55, 0x70, 0xf5};
  row.aggregate_type = "order";
  row.aggregate_id = "8342";
  row.event_type = "OrderCreated";
  row.content_type = "application/json";
  row.payload = R"({"total": 5})";
  row.payload_bytes = 12;
  row.created_at = sys_days{2026y / January / 31} + 12h + 34min + 56s + 7us;
  return row;
}

std::vector<std::pair<std::string, std::string>> headers_of(const Record& record) {
  std::vector<std::pair<std::string, std::string>> headers;
  for (const auto& header : record.headers) headers.emplace_back(header.name, header.value);
  return headers;
}

TEST(CloudEvents, BecomeARecordInBinaryMode) {
  CloudEvents format(TopicTemplate("outbox.event.{aggregate_type}"), "/shop");
  const auto event = row();
  const auto& record = format.record(event, event.payload);
  EXPECT_EQ(record.topic, "outbox.event.order");
  EXPECT_EQ(record.key, "8342");
  EXPECT_EQ(record.value, R"({"total": 5})");
  const std::vector<std::pair<std::string, std::string>> expected{
      {"ce_specversion", "1.0"},
      {"ce_id", "97efb6f9-95c6-4874-8ec2-befecb5570f5"},
      {"ce_source", "/shop"},
      {"ce_type", "OrderCreated"},
      {"ce_subject", "8342"},
      {"ce_time", "2026-01-31T12:34:56.000007Z"},
      {"content-type", "application/json"}};
  EXPECT_EQ(headers_of(record), expected);
}

TEST(CloudEvents, CarryTheRowsOwnHeadersAndItsTenant) {
  CloudEvents format(TopicTemplate("t"), "/shop");
  auto event = row();
  event.tenant = "acme";
  const Header own[] = {{"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
                        {"x", ""}};
  event.headers = own;
  const auto headers = headers_of(format.record(event, event.payload));
  ASSERT_EQ(headers.size(), 10U);
  EXPECT_EQ(headers[7], (std::pair<std::string, std::string>("ce_tenant", "acme")));
  EXPECT_EQ(headers[8].first, "traceparent");
  EXPECT_EQ(headers[9], (std::pair<std::string, std::string>("x", "")));
}

TEST(CloudEvents, KeepATombstoneWithoutValue) {
  CloudEvents format(TopicTemplate("t"), "/shop");
  EXPECT_FALSE(format.record(row(), std::nullopt).value.has_value());
}

TEST(CloudEvents, PreferTheRowsTopic) {
  CloudEvents format(TopicTemplate("outbox.event.{aggregate_type}"), "/shop");
  auto event = row();
  event.topic = "elsewhere";
  EXPECT_EQ(format.record(event, {}).topic, "elsewhere");
}

TEST(CloudEvents, WriteEveryTimeAsRfc3339) {
  CloudEvents format(TopicTemplate("t"), "/s");
  const std::map<std::string, core::WallTime> cases{
      {"1970-01-01T00:00:00.000000Z", core::WallTime{}},
      {"1969-12-31T23:59:59.999999Z", core::WallTime{} - 1us},
      {"2024-02-29T23:59:59.500000Z", sys_days{2024y / February / 29} + 23h + 59min + 59s + 500ms},
      {"9999-12-31T23:59:59.999999Z", core::WallTime::max()},
      {"0000-01-01T00:00:00.000000Z", core::WallTime::min()}};
  for (const auto& [text, time] : cases) {
    auto event = row();
    event.created_at = time;
    EXPECT_EQ(format.record(event, {}).headers[5].value, text);
  }
}

TEST(TopicTemplate, ReplacesEveryPlaceholder) {
  auto event = row();
  event.tenant = "acme";
  const std::map<std::string, std::string> cases{
      {"plain", "plain"},
      {"{aggregate_type}", "order"},
      {"{tenant}.{aggregate_type}.{event_type}.v1", "acme.order.OrderCreated.v1"},
      {"a}b", "a}b"}};
  for (const auto& [text, topic] : cases) {
    std::string rendered = "left over";
    TopicTemplate(text).render(event, rendered);
    EXPECT_EQ(rendered, topic);
  }
}

TEST(TopicTemplate, RefusesWhatItDoesNotKnow) {
  EXPECT_THROW(TopicTemplate("x.{aggregate}"), std::invalid_argument);
  EXPECT_THROW(TopicTemplate("x.{aggregate_type"), std::invalid_argument);
  EXPECT_THROW(TopicTemplate("x.{}"), std::invalid_argument);
}

}  // namespace
}  // namespace relevo::relay
