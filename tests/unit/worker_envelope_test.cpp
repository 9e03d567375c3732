#include "relevo/worker/envelope.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "relevo/worker/json_members.hpp"

namespace relevo::worker {
namespace {

using Headers = std::vector<std::pair<std::string, std::optional<std::string>>>;

RawRecord record(const Headers& headers, const std::optional<std::string>& value,
                 const std::optional<std::string>& key = "k-1") {
  std::vector<RecordHeader> views;
  for (const auto& [name, text] : headers) {
    views.emplace_back(name, text ? std::string_view(*text) : std::string_view());
  }
  RawRecord::Parts parts{"orders", 3, 42, key, value, views, core::WallTime{}};
  parts.timestamp = *parse_rfc3339("2026-05-05T23:59:59Z");
  return RawRecord(parts);
}

std::string why(const RawRecord& given, Envelope envelope = Envelope::kAuto) {
  const auto result = decode(given, envelope);
  const auto* refused = std::get_if<Undecodable>(&result);
  return refused ? refused->reason : "decoded";
}

class Decoded {
 public:
  explicit Decoded(RawRecord given, Envelope envelope = Envelope::kAuto)
      : record_(std::move(given)), result_(decode(record_, envelope)) {
    if (const auto* refused = std::get_if<Undecodable>(&result_)) ADD_FAILURE() << refused->reason;
  }
  const Message* operator->() const { return &std::get<DecodedMessage>(result_).message; }
  core::WallTime day() const { return std::get<DecodedMessage>(result_).day; }

 private:
  RawRecord record_;
  std::variant<DecodedMessage, Undecodable> result_;
};

const Headers kBinary{{"ce_specversion", "1.0"},
                      {"ce_id", "e-1"},
                      {"ce_source", "/shop"},
                      {"ce_type", "OrderPaid"},
                      {"ce_tenant", "acme"},
                      {"ce_time", "2026-03-01T00:30:00+01:00"},
                      {"content-type", "application/json"}};

Headers with(Headers headers, const std::string& name, const std::string& value) {
  for (auto& [n, v] : headers) {
    if (n == name) {
      v = value;
      return headers;
    }
  }
  headers.emplace_back(name, value);
  return headers;
}

TEST(Envelope, cloud_event_in_binary_mode) {
  const Decoded message(record(kBinary, R"({"a": 1.10})"));
  EXPECT_EQ(message->id, "e-1");
  EXPECT_EQ(message->type, "OrderPaid");
  EXPECT_EQ(message->tenant, "acme");
  EXPECT_EQ(message->key, "k-1");
  EXPECT_EQ(message->payload, R"({"a": 1.10})");
  EXPECT_EQ(message->topic, "orders");
  EXPECT_EQ(message->partition, 3);
  EXPECT_EQ(message->offset, 42);
  EXPECT_EQ(message->headers.size(), 7U);
  EXPECT_EQ(message.day(), *parse_rfc3339("2026-02-28T00:00:00Z")) << "of the event, in UTC";
}

TEST(Envelope, a_tombstone_has_no_payload) {
  EXPECT_EQ(Decoded(record(kBinary, std::nullopt))->payload, std::nullopt);
  EXPECT_EQ(Decoded(record({}, std::nullopt))->payload, std::nullopt);
}

TEST(Envelope, cloud_event_in_structured_mode) {
  const std::string value =
      R"( {"specversion":"1.0","id":"e-\u0031","type":"OrderPaid","source":"/s",
           "time":"2026-03-01T00:00:00Z","tenant":"acme","data" : {"n":12345678901234567890.10} } )";
  const Decoded message(
      record({{"content-type", "Application/CloudEvents+JSON; charset=UTF-8"}}, value));
  EXPECT_EQ(message->id, "e-1");
  EXPECT_EQ(message->type, "OrderPaid");
  EXPECT_EQ(message->tenant, "acme");
  EXPECT_EQ(message->payload, R"({"n":12345678901234567890.10})") << "to the last digit";

  const std::vector<std::pair<std::string_view, std::string_view>> as_in_binary_mode{
      {"ce_specversion", "1.0"},
      {"ce_id", "e-1"},
      {"ce_type", "OrderPaid"},
      {"ce_source", "/s"},
      {"ce_time", "2026-03-01T00:00:00Z"},
      {"ce_tenant", "acme"},
      {"content-type", "application/json"}};
  EXPECT_THAT(message->headers, testing::ElementsAreArray(as_in_binary_mode));

  const Headers structured{{"content-type", "application/cloudevents+json"}};
  EXPECT_EQ(Decoded(record(structured, R"({"id":"1","type":"t","data_base64":"aGk="})"))->payload,
            "hi");
  EXPECT_EQ(
      Decoded(record(structured, R"({"id":"1","datacontenttype":"text/plain","data":"a\nb"})"))
          ->payload,
      "a\nb");
  EXPECT_EQ(Decoded(record(structured, R"({"id":"1","type":"t"})"))->payload, std::nullopt);
}

TEST(Envelope, plain_json_takes_its_id_from_a_header_or_its_place) {
  EXPECT_EQ(Decoded(record({{"event_id", "x"}}, "{}"))->id, "x");
  EXPECT_EQ(Decoded(record({{"id", "y"}, {"type", "T"}}, "{}"), Envelope::kJson)->id, "y");
  EXPECT_EQ(Decoded(record({}, "{}"))->id, "orders-3-42");
  EXPECT_EQ(Decoded(record({{"ce_id", ""}}, "{}"))->id, "orders-3-42") << "an empty id is none";
  EXPECT_EQ(Decoded(record({}, "{}")).day(), *parse_rfc3339("2026-05-05T00:00:00Z"));
}

TEST(Envelope, debezium_in_the_forms_of_its_converters) {
  const Headers plain{
      {"__debezium.context.taskId", "0"}, {"id", "u-1"}, {"eventType", "OrderPaid"}};
  EXPECT_EQ(Decoded(record(plain, R"({"a": 1})"))->payload, R"({"a": 1})");
  EXPECT_EQ(Decoded(record(plain, R"({"a": 1})"))->type, "OrderPaid");
  EXPECT_EQ(Decoded(record(plain, R"("{\"a\": 1}")"))->payload, R"({"a": 1})");
  EXPECT_EQ(Decoded(record(plain, R"("a text")"))->payload, R"("a text")");
  EXPECT_EQ(Decoded(record(plain, std::string("\0\1", 2)))->payload, std::string("\0\1", 2));
  EXPECT_EQ(Decoded(record(plain, "{}", "\"agg-0\""))->key, "agg-0");
  EXPECT_EQ(Decoded(record({{"__debezium.context.taskId", "0"},
                            {"id", R"({"schema":{"type":"string"},"payload":"u-2"})"},
                            {"tenant", R"({"schema":{"type":"string"},"payload":null})"}},
                           R"({"schema":{"type":"string","name":"io.debezium.data.Json"},)"
                           R"("payload":"{\"a\": 1}"})",
                           R"({"schema":{"type":"string"},"payload":"agg-0"})"))
                ->id,
            "u-2");
  const Decoded change(
      record({}, R"({"schema":{},"payload":{"op":"c","after":{"x":1},"ts_ms":1709210096123}})"));
  EXPECT_EQ(change->payload, R"({"op":"c","after":{"x":1},"ts_ms":1709210096123})");
  EXPECT_EQ(change.day(), *parse_rfc3339("2024-02-29T00:00:00Z"));
  EXPECT_EQ(change->id, "orders-3-42");
}

TEST(Envelope, what_cannot_be_decoded_says_why) {
  const Headers structured{{"content-type", "application/cloudevents+json"}};
  const std::pair<RawRecord, std::string_view> cases[] = {
      {record({}, "{\"a\":"), "the record's value is not valid JSON"},
      {record({}, ""), "the record's value is not valid JSON"},
      {record({}, "\xff"), "the record's value is not valid JSON"},
      {record({{"id", "x"}}, "{\"a\":"), "the record's value is not valid JSON"},
      {record({}, std::string(1'000'000, '[')), "the record's value is not valid JSON"},
      {record(kBinary, "{"), "the record has content-type JSON, but its value is not valid JSON"},
      {record(with(kBinary, "ce_time", "yesterday"), "{}"),
       "the record's ce_time is no RFC 3339 time"},
      {record(with(kBinary, "ce_specversion", "0.3"), "{}"),
       "the record is a CloudEvent of another version than 1.x"},
      {record(with(kBinary, "ce_id", "a\nb"), "{}"), "the record's id has control characters"},
      {record(with(kBinary, "ce_id", std::string(1'025, 'x')), "{}"),
       "the record's id is too long"},
      {record(with(kBinary, "ce_type", "\xc3"), "{}"), "the record's type is not UTF-8"},
      {record(with(kBinary, "ce_tenant", std::string(256, 'x')), "{}"),
       "the record's tenant is too long"},
      {record({{"ce_id", "1"}, {"ce_id", "2"}}, "{}"), "the record has two different ids"},
      {record(structured, "[]"),
       "the record is a structured CloudEvent whose value is not a JSON object"},
      {record(structured, std::nullopt), "the record is a structured CloudEvent without a value"},
      {record(structured, R"({"id":1})"), "the record's attribute id is not a string"},
      {record(structured, R"({"id":"1","data_base64":"*"})"),
       "the record's data_base64 is not base64"},
      {record({{"content-type", "application/cloudevents-batch+json"}}, "[]"),
       "the record is a batch of CloudEvents; send one event per record"},
      {record({{"content-type", "application/cloudevents+avro"}}, "x"),
       "the record is a CloudEvent in a format other than JSON"},
  };
  for (const auto& [given, reason] : cases) EXPECT_EQ(why(given), reason);
  EXPECT_EQ(why(record({}, "{}"), Envelope::kCloudEvents),
            "the record is no CloudEvent: it has no ce_… headers, and its content-type is not "
            "application/cloudevents");
}

TEST(Envelope, the_same_id_twice_is_one_id) {
  EXPECT_EQ(Decoded(record({{"id", "1"}, {"id", "1"}}, "{}"))->id, "1");
}

TEST(Envelope, any_bytes_are_decoded_or_refused) {
  rc::check([](const std::string& value, const std::string& header) {
    for (const auto* name : {"id", "content-type", "ce_time", "ce_id", "ts_ms"}) {
      for (const auto envelope :
           {Envelope::kAuto, Envelope::kCloudEvents, Envelope::kDebezium, Envelope::kJson}) {
        const auto given = record({{name, header}}, value, value);
        const auto result = decode(given, envelope);
        if (const auto* refused = std::get_if<Undecodable>(&result)) {
          RC_ASSERT(!refused->reason.empty());
        } else {
          RC_ASSERT(!std::get<DecodedMessage>(result).message.id.empty());
        }
      }
    }
  });
}

TEST(Rfc3339, is_read_to_the_microsecond) {
  using namespace std::chrono;
  const core::WallTime day{sys_days{year{2026} / 2 / 28}};
  EXPECT_EQ(parse_rfc3339("2026-02-28T00:00:00Z"), day);
  EXPECT_EQ(parse_rfc3339("2026-02-28t01:00:00.1234567+01:00"), day + 123'456us);
  EXPECT_EQ(parse_rfc3339("2026-02-27 23:00:00-01:00"), day);
  EXPECT_EQ(parse_rfc3339("2026-02-27T23:59:60Z"), day);
  for (const auto* text :
       {"", "2026", "2026-02-29T00:00:00Z", "2026-02-28T24:00:00Z", "2026-02-28T00:00:00",
        "2026-02-28T00:00:00.Z", "2026-02-28T00:00:00Zx", "2026-02-28T00:00:00+1:00"}) {
    EXPECT_EQ(parse_rfc3339(text), std::nullopt) << text;
  }
}

TEST(Rfc3339, is_written_to_the_millisecond) {
  for (const auto* text : {"2026-02-28T00:00:00.000Z", "1969-12-31T23:59:59.999Z"}) {
    EXPECT_EQ(rfc3339(*parse_rfc3339(text)), text);
  }
  EXPECT_EQ(rfc3339(*parse_rfc3339("2026-02-28T01:02:03.456789+01:00")),
            "2026-02-28T00:02:03.456Z");
}

TEST(Rfc3339, years_that_it_cannot_write_have_a_sign) {
  using namespace std::chrono;
  using core::WallTime;
  EXPECT_EQ(rfc3339(WallTime{seconds{253'402'300'799}}), "9999-12-31T23:59:59.000Z");
  EXPECT_EQ(rfc3339(WallTime{seconds{253'402'300'800}}), "+10000-01-01T00:00:00.000Z");
  // As PostgreSQL counts them: extract(epoch FROM '99999-12-31Z'::timestamptz).
  EXPECT_EQ(rfc3339(WallTime{seconds{3'093'527'894'400}}), "+99999-12-31T00:00:00.000Z");
  EXPECT_EQ(rfc3339(WallTime::max()), "+294247-01-10T04:00:54.775Z");
  EXPECT_EQ(rfc3339(WallTime{sys_days{year{0} / 1 / 1}}), "0000-01-01T00:00:00.000Z");
  EXPECT_EQ(rfc3339(WallTime{sys_days{year{-43} / 3 / 15}}), "-0043-03-15T00:00:00.000Z");
}

TEST(JsonMembers, gives_each_value_as_it_stands) {
  std::vector<std::pair<std::string, std::string>> members;
  for_each_member(
      R"( { "a" : [1, {"b":"]}"}] , "c\"" :"\\\"", "d":-1.50e3,"e":{} } )",
      [&](const std::string& name, std::string_view value) { members.emplace_back(name, value); });
  EXPECT_EQ(members,
            (std::vector<std::pair<std::string, std::string>>{
                {"a", R"([1, {"b":"]}"}])"}, {"c\"", R"("\\\"")"}, {"d", "-1.50e3"}, {"e", "{}"}}));
  for_each_member("{}", [](const auto&, auto) { FAIL(); });
}

// Whatever JSON there is: cut into members and put together again it means the same.
TEST(JsonMembers, agrees_with_a_parser) {
  rc::check(
      [](const std::map<std::string, std::string>& texts, const std::vector<double>& numbers) {
        auto object = nlohmann::json::object();
        for (const auto& [name, text] : texts) {
          std::string ascii;
          for (const char c : name + text) ascii += static_cast<char>(c & 0x7f);
          object[ascii] = {{"n", numbers}, {"t", ascii}};
        }
        auto again = nlohmann::json::object();
        for_each_member(object.dump(*rc::gen::element(-1, 2)),
                        [&](const std::string& name, std::string_view value) {
                          again[name] = nlohmann::json::parse(value);
                        });
        RC_ASSERT(again == object);
      });
}

// Records that Debezium 3 itself wrote, one JSON object a line, bytes in base64.
std::string from_base64(const std::string& text) {
  static const std::string kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  unsigned bits = 0;
  int count = 0;
  for (const char c : text) {
    if (c == '=') break;
    bits = (bits << 6U) | static_cast<unsigned>(kDigits.find(c));
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>((bits >> static_cast<unsigned>(count)) & 0xFFU);
  }
  return bytes;
}

std::map<int, std::unique_ptr<Decoded>> golden(const std::string& name, int rows = 1'000) {
  std::ifstream file(std::filesystem::path(RELEVO_SOURCE_DIR) / "tests/golden/debezium" /
                     (name + ".jsonl"));
  std::map<int, std::unique_ptr<Decoded>> messages;
  for (std::string line; std::getline(file, line);) {
    const auto json = nlohmann::json::parse(line);
    if (json.at("row").get<int>() > rows) break;
    const auto bytes = [](const nlohmann::json& value) {
      return value.is_null() ? std::nullopt : std::optional(from_base64(value.get<std::string>()));
    };
    Headers headers;
    for (const auto& header : json.at("headers")) {
      headers.emplace_back(header.at(0).get<std::string>(), bytes(header.at(1)));
    }
    messages[json.at("row").get<int>()] =
        std::make_unique<Decoded>(record(headers, bytes(json.at("value")), bytes(json.at("key"))));
  }
  EXPECT_FALSE(messages.empty()) << name;
  return messages;
}

TEST(DebeziumGolden, every_form_of_a_row_is_the_same_message) {
  const auto text = golden("c01_string_jsonb");
  for (const auto* other : {"c03_json_jsonb", "s01_server_default", "s03_server_string"}) {
    const auto messages = golden(other);
    std::size_t compared = 0;
    for (const auto& [row, message] : messages) {
      const auto same = text.find(row);
      if (same == text.end()) continue;
      const auto& expected = *same->second;
      EXPECT_EQ((*message)->id, expected->id) << other << " row " << row;
      EXPECT_EQ((*message)->key, expected->key) << other << " row " << row;
      const auto payload = expected->payload.value_or("");
      if (!payload.starts_with('{') && !payload.starts_with('[')) continue;  // a text stays quoted
      EXPECT_EQ((*message)->payload, expected->payload) << other << " row " << row;
      ++compared;
    }
    EXPECT_GT(compared, 4U) << other;
  }
}

TEST(DebeziumGolden, headers_bytes_and_names_of_ones_own) {
  const auto headers = golden("c07_headers_string", 2);
  EXPECT_EQ((*headers.at(1))->type, "OrderPlaced");
  EXPECT_EQ((*headers.at(1))->tenant, "acme");
  EXPECT_EQ((*headers.at(2))->tenant, std::nullopt);
  const auto bytes = golden("c11_bytea_binary");
  EXPECT_EQ((*bytes.at(1))->payload, std::string("\0\0\0\0\1\0\n\3abc", 11));
  EXPECT_EQ((*bytes.at(2))->payload, "");
  const auto own = golden("c13_custom_names");
  EXPECT_EQ((*own.at(1))->id, "9007199254740001");
  EXPECT_EQ((*own.at(1))->key, "1000");
  const auto expanded = golden("c05_json_expand_nulls");
  EXPECT_EQ((*expanded.at(1))->key, "agg-0");
  EXPECT_EQ((*expanded.at(1))->payload, R"({"a":1})");
}

}  // namespace
}  // namespace relevo::worker
