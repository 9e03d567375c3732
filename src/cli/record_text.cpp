#include "cli/record_text.hpp"

#include <algorithm>
#include <cstdint>

#include "cli/json_text.hpp"
#include "cli/printable.hpp"
#include "cli/table.hpp"

namespace relevo::cli {
namespace {

std::string_view header(const kafka::ReadRecord& record, std::string_view name) {
  const auto found = std::ranges::find(record.headers, name, [](const auto& h) { return h.first; });
  return found == record.headers.end() ? std::string_view() : found->second;
}

std::string or_dash(std::string_view text) { return text.empty() ? "-" : printable(text); }

bool is_utf8(std::string_view text) {
  try {
    (void)Json(text).dump();
    return true;
  } catch (const Json::type_error&) {
    return false;
  }
}

std::string base64(std::string_view bytes) {
  static constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = i; j < i + 3; ++j) {
      group = group << 8U | (j < bytes.size() ? static_cast<unsigned char>(bytes[j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      out += i + j > bytes.size() ? '=' : kLetters[group >> (18 - 6 * j) & 0x3fU];
    }
  }
  return out;
}

}  // namespace

std::string record_line(const kafka::ReadRecord& record, bool with_payload) {
  std::string line = iso_time(record.timestamp) + "  " + std::string(record.topic) + "/" +
                     std::to_string(record.partition) + "@" + std::to_string(record.offset) + "  " +
                     or_dash(record.key.value_or("")) + "  " + or_dash(header(record, "ce_type")) +
                     "  " + or_dash(header(record, "ce_id")) + "  ";
  line += record.value ? size_text(static_cast<std::int64_t>(record.value->size())) : "tombstone";
  if (with_payload && record.value) line += "  " + printable(*record.value);
  return line + "\n";
}

std::string record_json(const kafka::ReadRecord& record, bool with_payload) {
  Json headers = Json::object();
  for (const auto& [name, value] : record.headers) headers[std::string(name)] = value;
  const auto text = [](std::string_view value) { return value.empty() ? Json() : Json(value); };
  Json out{{"time", iso_time(record.timestamp)},
           {"topic", record.topic},
           {"partition", record.partition},
           {"offset", record.offset},
           {"key", json_or_null(record.key)},
           {"type", text(header(record, "ce_type"))},
           {"id", text(header(record, "ce_id"))},
           {"size", record.value ? Json(record.value->size()) : Json()},
           {"headers", std::move(headers)}};
  if (with_payload) {
    const bool as_text = !record.value || is_utf8(*record.value);
    if (as_text) {
      out["payload"] = json_or_null(record.value);
    } else {
      out["payload_base64"] = base64(*record.value);
    }
  }
  return json_line(out);
}

std::string topic_pattern(std::string_view topic_template) {
  std::string pattern;
  while (!topic_template.empty()) {
    const auto open = topic_template.find('{');
    pattern += topic_template.substr(0, open);
    if (open == std::string_view::npos) break;
    if (!pattern.ends_with('*')) pattern += '*';
    const auto close = topic_template.find('}', open);
    topic_template.remove_prefix(close == std::string_view::npos ? topic_template.size()
                                                                 : close + 1);
  }
  return pattern;
}

}  // namespace relevo::cli
