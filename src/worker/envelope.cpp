#include "relevo/worker/envelope.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "relevo/core/civil_time.hpp"
#include "relevo/worker/json_members.hpp"
#include "utf8.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono;

constexpr std::size_t kLongestId = 1'024;
constexpr std::size_t kLongestName = 255;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), text.begin(),
                                                    [](char a, char b) { return a == lower(b); });
}

bool says_json(std::string_view content_type) {
  const auto media = trim_json(content_type.substr(0, content_type.find(';')));
  return starts_with_ignoring_case(media, "application/json") ||
         starts_with_ignoring_case(media, "text/json") ||
         (media.size() > 5 && starts_with_ignoring_case(media.substr(media.size() - 5), "+json"));
}

// Why the text cannot be a name; nullptr: it can.
const char* objection(std::string_view text, std::size_t longest) {
  if (text.size() > longest) return "is too long";
  while (!text.empty()) {
    const auto first = static_cast<unsigned char>(text[0]);
    if (first < 0x20 || first == 0x7F) return "has control characters";
    const auto length = utf8_length(text);
    if (length == 0) return "is not UTF-8";
    text.remove_prefix(length);
  }
  return nullptr;
}

struct Refusal {
  std::string reason;  // a sentence of its own: people read it in relevo dead
};

// The headers that mean something here; a NULL or empty one counts as missing.
struct Known {
  std::optional<std::string_view> ce_id, ce_type, ce_time, ce_tenant, ce_specversion, content_type;
  std::optional<std::string_view> id, event_id, type, event_type, event_type_snake, tenant, ts_ms;
  bool debezium = false;  // it is named as the writer
};

Known read_headers(std::span<const RecordHeader> headers) {
  Known known;
  const std::array<std::pair<std::string_view, std::optional<std::string_view>*>, 13> names{{
      {"ce_id", &known.ce_id},
      {"ce_type", &known.ce_type},
      {"ce_time", &known.ce_time},
      {"ce_tenant", &known.ce_tenant},
      {"ce_specversion", &known.ce_specversion},
      {"content-type", &known.content_type},
      {"id", &known.id},
      {"event_id", &known.event_id},
      {"type", &known.type},
      {"eventType", &known.event_type},
      {"event_type", &known.event_type_snake},
      {"tenant", &known.tenant},
      {"ts_ms", &known.ts_ms},
  }};
  for (const auto& [name, value] : headers) {
    if (name.starts_with("__debezium.context.")) known.debezium = true;
    if (value.empty()) continue;
    for (const auto& [wanted, place] : names) {
      if (wanted != name) continue;
      const bool is_id = place == &known.ce_id || place == &known.id || place == &known.event_id;
      if (is_id && *place && **place != value) throw Refusal{"the record has two different ids"};
      if (!*place) *place = value;
      break;
    }
  }
  return known;
}

// {"schema": …, "payload": …} as Kafka Connect's JSON converter writes it.
struct Schemaful {
  std::string_view schema;
  std::string_view payload;
};

std::optional<Schemaful> schemaful(std::string_view text) {
  if (!text.starts_with('{') || text.find("\"schema\"") == std::string_view::npos ||
      !is_json(text)) {
    return std::nullopt;
  }
  Schemaful found;
  int others = 0;
  for_each_member(text, [&](const std::string& name, std::string_view value) {
    if (name == "schema") {
      found.schema = value;
    } else if (name == "payload") {
      found.payload = value;
    } else {
      ++others;
    }
  });
  const bool both = !found.schema.empty() && !found.payload.empty();
  // A schema is an object, or null.
  const bool plausible = found.schema.starts_with('{') || found.schema == "null";
  if (!both || others > 0 || !plausible) return std::nullopt;
  return found;
}

class Decoder {
 public:
  Decoder(const RawRecord& record, Envelope envelope)
      : record_(record), envelope_(envelope), known_(read_headers(record.headers())) {}

  DecodedMessage run() {
    auto& message = out_.message;
    message.topic = record_.topic();
    message.partition = record_.partition();
    message.offset = record_.offset();
    message.headers = record_.headers();
    message.key = record_.key().value_or("");
    message.payload = record_.value();
    if (known_.ce_tenant) {
      message.tenant = known_.ce_tenant;
    } else {
      message.tenant = known_.tenant;
    }
    switch (detect()) {
      case Kind::kStructured: structured(); break;
      case Kind::kBinary: binary(); break;
      case Kind::kDebezium: debezium(); break;
      case Kind::kJson: json(); break;
    }
    finish();
    return std::move(out_);
  }

 private:
  enum class Kind { kStructured, kBinary, kDebezium, kJson };

  Kind detect() const {
    const bool is_structured =
        starts_with_ignoring_case(known_.content_type.value_or(""), "application/cloudevents");
    const bool is_binary = known_.ce_specversion || known_.ce_id || known_.ce_type;
    switch (envelope_) {
      case Envelope::kDebezium: return Kind::kDebezium;
      case Envelope::kJson: return Kind::kJson;
      case Envelope::kCloudEvents:
        if (is_structured) return Kind::kStructured;
        if (is_binary) return Kind::kBinary;
        throw Refusal{
            "the record is no CloudEvent: it has no ce_… headers, and its content-type is not "
            "application/cloudevents"};
      case Envelope::kAuto: break;
    }
    if (is_structured) return Kind::kStructured;
    if (is_binary) return Kind::kBinary;
    if (known_.debezium) return Kind::kDebezium;
    // Written by an older Debezium, or by hand: unwrapped alike where it is JSON.
    if (known_.id && (!record_.value() || is_json(*record_.value()))) return Kind::kDebezium;
    if (record_.value() && schemaful(*record_.value())) return Kind::kDebezium;
    return Kind::kJson;
  }

  void check_version(std::string_view version) {
    if (!version.starts_with("1."))
      throw Refusal{"the record is a CloudEvent of another version than 1.x"};
  }

  void binary() {
    if (known_.ce_specversion) check_version(*known_.ce_specversion);
    out_.message.id = known_.ce_id.value_or("");
    out_.message.type = known_.ce_type.value_or("");
    if (known_.ce_time) set_time(*known_.ce_time, "ce_time");
    if (record_.value() && known_.content_type && says_json(*known_.content_type) &&
        !is_json(*record_.value())) {
      throw Refusal{"the record has content-type JSON, but its value is not valid JSON"};
    }
  }

  void structured() {
    const auto media = known_.content_type->substr(0, known_.content_type->find(';'));
    if (!says_json(media) && media.size() > std::string_view("application/cloudevents").size()) {
      throw Refusal{"the record is a CloudEvent in a format other than JSON"};
    }
    if (starts_with_ignoring_case(media, "application/cloudevents-batch")) {
      throw Refusal{"the record is a batch of CloudEvents; send one event per record"};
    }
    if (!record_.value()) throw Refusal{"the record is a structured CloudEvent without a value"};
    if (!is_json(*record_.value()) || !is_json_object(*record_.value())) {
      throw Refusal{"the record is a structured CloudEvent whose value is not a JSON object"};
    }
    auto& message = out_.message;
    message.payload.reset();
    // What stands in the envelope reaches a handler as in binary mode.
    for (const auto& one : record_.headers()) {
      if (one.first != "content-type") out_.headers.push_back(one);
    }
    std::string_view data_type;
    std::optional<std::string_view> data;
    for_each_member(*record_.value(), [&](const std::string& name, std::string_view value) {
      if (name == "data") {
        data = value;
      } else if (name == "data_base64") {
        message.payload = own(from_base64(attribute(name, value)));
      } else if (name == "datacontenttype") {
        data_type = attribute(name, value);
      } else if (name == "specversion") {
        check_version(as_header(name, value));
      } else if (name == "id") {
        message.id = as_header(name, value);
      } else if (name == "type") {
        message.type = as_header(name, value);
      } else if (name == "time") {
        set_time(as_header(name, value), "time");
      } else if (name == "tenant") {
        message.tenant = as_header(name, value);
      } else if (is_json_string(value)) {
        (void)as_header(name, value);
      }
    });
    const std::string_view json_type = data ? "application/json" : "";
    const auto content_type = data_type.empty() ? json_type : data_type;
    if (!content_type.empty()) out_.headers.emplace_back("content-type", content_type);
    message.headers = out_.headers;
    if (!data) return;
    const bool text = !data_type.empty() && !says_json(data_type);
    message.payload = text && is_json_string(*data) ? own(json_string(*data)) : *data;
  }

  void debezium() {
    auto& message = out_.message;
    message.id = plain(known_.id);
    message.type = plain(known_.type);
    if (message.type.empty()) message.type = plain(known_.event_type);
    if (message.type.empty()) message.type = plain(known_.event_type_snake);
    if (message.tenant) message.tenant = plain(message.tenant);
    if (message.tenant && message.tenant->empty()) message.tenant.reset();
    message.key = plain(record_.key());
    if (known_.ts_ms) set_milliseconds(plain(known_.ts_ms));
    if (!message.payload) return;
    bool is_json_text = false;
    if (const auto found = schemaful(*message.payload)) {
      is_json_text = found->schema.find("io.debezium.data.Json") != std::string_view::npos;
      message.payload = found->payload;
      if (found->payload == "null") message.payload.reset();
    }
    if (!message.payload) return;
    // A converter for JSON that was given JSON as text: the text is what was meant. A payload that
    // is a text by itself stays one.
    if (is_json_string(*message.payload) && is_json(*message.payload)) {
      auto text = json_string(*message.payload);
      const bool meant = is_json_text || text.starts_with('{') || text.starts_with('[');
      if (meant && is_json(text)) message.payload = own(std::move(text));
    } else if (!message.time && is_change(*message.payload)) {
      for_each_member(*message.payload, [&](const std::string& name, std::string_view value) {
        if (name == "ts_ms") set_milliseconds(value);
      });
    }
  }

  // A change event of Debezium's without the event router.
  static bool is_change(std::string_view payload) {
    return payload.starts_with('{') && payload.find("\"ts_ms\"") != std::string_view::npos &&
           payload.find("\"op\"") != std::string_view::npos && is_json(payload);
  }

  void json() {
    auto& message = out_.message;
    message.id = known_.id.value_or(known_.ce_id.value_or(known_.event_id.value_or("")));
    message.type = known_.type.value_or(
        known_.event_type.value_or(known_.event_type_snake.value_or(known_.ce_type.value_or(""))));
    if (known_.ce_time) set_time(*known_.ce_time, "ce_time");
    if (record_.value() && !is_json(*record_.value()))
      throw Refusal{"the record's value is not valid JSON"};
  }

  void finish() {
    auto& message = out_.message;
    if (const auto* why = objection(message.id, kLongestId)) throw Refusal{name_problem("id", why)};
    if (const auto* why = objection(message.type, kLongestName)) {
      throw Refusal{name_problem("type", why)};
    }
    if (const auto* why = objection(message.tenant.value_or(""), kLongestName)) {
      throw Refusal{name_problem("tenant", why)};
    }
    if (message.id.empty()) {
      message.id = own(std::string(record_.topic()) + "-" + std::to_string(record_.partition()) +
                       "-" + std::to_string(record_.offset()));
    }
    out_.day = floor<days>(message.time.value_or(record_.timestamp()));
  }

  static std::string name_problem(const char* what, const char* why) {
    return std::string("the record's ") + what + " " + why;
  }

  std::string_view own(std::string text) { return out_.owned.emplace_front(std::move(text)); }

  std::string_view attribute(const std::string& name, std::string_view value) {
    if (value == "null") return {};
    if (!is_json_string(value))
      throw Refusal{"the record's attribute " + name + " is not a string"};
    return own(json_string(value));
  }

  // The same; a handler sees it among the headers too.
  std::string_view as_header(const std::string& name, std::string_view value) {
    const auto text = attribute(name, value);
    if (value != "null") out_.headers.emplace_back(own("ce_" + name), text);
    return text;
  }

  // What a header or key says, with or without the wrapping of Connect's JSON converter.
  std::string_view plain(const std::optional<std::string_view>& text) {
    if (!text) return {};
    auto value = *text;
    if (const auto found = schemaful(value)) value = found->payload;
    if (value == "null" && value.size() != text->size()) return {};
    if (value.size() >= 2 && value.front() == '"' && is_json(value)) {
      return own(json_string(value));
    }
    return value;
  }

  void set_time(std::string_view text, const char* name) {
    out_.message.time = parse_rfc3339(text);
    if (!out_.message.time)
      throw Refusal{std::string("the record's ") + name + " is no RFC 3339 time"};
  }

  void set_milliseconds(std::string_view text) {
    std::int64_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    constexpr std::int64_t kYear9999 = 253'402'300'799'999;
    if (error != std::errc{} || end != text.data() + text.size() || count < -kYear9999 ||
        count > kYear9999) {
      throw Refusal{"the record's ts_ms is no number of milliseconds"};
    }
    out_.message.time = core::WallTime{milliseconds(count)};
  }

  static std::string from_base64(std::string_view text) {
    static constexpr std::string_view kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    while (text.ends_with('=')) text.remove_suffix(1);
    std::string bytes;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
      const auto digit = kDigits.find(c);
      if (digit == std::string_view::npos) throw Refusal{"the record's data_base64 is not base64"};
      bits = (bits << 6U) | static_cast<std::uint32_t>(digit);
      count += 6;
      if (count < 8) continue;
      count -= 8;
      bytes += static_cast<char>((bits >> static_cast<unsigned>(count)) & 0xFFU);
    }
    return bytes;
  }

  const RawRecord& record_;
  const Envelope envelope_;
  const Known known_;
  DecodedMessage out_;
};

template <class Integer>
bool take_number(std::string_view& text, std::size_t digits, Integer& number) {
  if (text.size() < digits) return false;
  number = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
    number = number * 10 + static_cast<Integer>(text[i] - '0');
  }
  text.remove_prefix(digits);
  return true;
}

bool take(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text[0]) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::optional<Envelope> envelope_of(std::string_view name) {
  if (name == "auto") return Envelope::kAuto;
  if (name == "cloudevents") return Envelope::kCloudEvents;
  if (name == "debezium") return Envelope::kDebezium;
  if (name == "json") return Envelope::kJson;
  return std::nullopt;
}

std::optional<core::WallTime> parse_rfc3339(std::string_view text) {
  int y = 0, hour = 0, minute = 0, second = 0;
  unsigned m = 0, d = 0;
  if (!take_number(text, 4, y) || !take(text, "-") || !take_number(text, 2, m) ||
      !take(text, "-") || !take_number(text, 2, d) || !take(text, "Tt ") ||
      !take_number(text, 2, hour) || !take(text, ":") || !take_number(text, 2, minute) ||
      !take(text, ":") || !take_number(text, 2, second)) {
    return std::nullopt;
  }
  const year_month_day date{year(y), month(m), day(d)};
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  microseconds fraction{0};
  if (take(text, ".")) {
    const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
    if (digits == 0) return std::nullopt;
    for (std::size_t i = 0; i < 6; ++i) {
      fraction = fraction * 10 + microseconds(i < digits ? text[i] - '0' : 0);
    }
    text.remove_prefix(digits);
  }
  minutes zone{0};
  if (!take(text, "Zz")) {
    const bool west = text.starts_with('-');
    int zone_hours = 0, zone_minutes = 0;
    if (!take(text, "+-") || !take_number(text, 2, zone_hours) || !take(text, ":") ||
        !take_number(text, 2, zone_minutes) || zone_hours > 23 || zone_minutes > 59) {
      return std::nullopt;
    }
    zone = hours(zone_hours) + minutes(zone_minutes);
    if (west) zone = -zone;
  }
  if (!text.empty()) return std::nullopt;
  return core::WallTime{sys_days{date}} + hours(hour) + minutes(minute) + seconds(second) +
         fraction - zone;
}

std::string rfc3339(core::WallTime time) {
  const auto at = core::civil_time(time);
  const auto* sign = at.year > 9999 ? "+" : at.year < 0 ? "-" : "";
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%s%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", sign,
                std::abs(at.year), at.month, at.day, at.hour, at.minute, at.second,
                at.microsecond / 1'000);
  return text.data();
}

std::variant<DecodedMessage, Undecodable> decode(const RawRecord& record, Envelope envelope) {
  try {
    return Decoder(record, envelope).run();
  } catch (Refusal& refusal) {
    // An exception only inside this file: a dozen places may refuse, one answers.
    return Undecodable{std::move(refusal.reason)};
  }
}

}  // namespace relevo::worker
