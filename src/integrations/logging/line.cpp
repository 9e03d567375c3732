#include "line.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "escape.hpp"

namespace relevo::logging {

namespace {

using core::Level;

std::string timestamp(core::WallTime time) {
  using namespace std::chrono;
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  std::array<char, 64> text{};
  const int length = std::snprintf(
      text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ",
      static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
      static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
      static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()),
      static_cast<int>(clock.subseconds().count()));
  return {text.data(), static_cast<std::size_t>(length)};
}

std::string_view json_level(Level level) {
  switch (level) {
    case Level::kDebug: return "debug";
    case Level::kInfo: return "info";
    case Level::kWarn: return "warn";
    case Level::kError: return "error";
  }
  return "error";
}

struct TextLevel {
  std::string_view padded;
  std::string_view colour;
};

TextLevel text_level(Level level) {
  switch (level) {
    case Level::kDebug: return {"DEBUG", "\033[2m"};
    case Level::kInfo: return {"INFO ", "\033[32m"};
    case Level::kWarn: return {"WARN ", "\033[33m"};
    case Level::kError: return {"ERROR", "\033[31m"};
  }
  return {"ERROR", "\033[31m"};
}

template <class Number>
void append_number(std::string& out, Number value) {
  std::array<char, 32> text{};
  const auto result = std::to_chars(text.data(), text.data() + text.size(), value);
  out.append(text.data(), result.ptr);
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  append_escaped(out, text, Quotes::kEscape);
  out += '"';
}

struct JsonValue {
  std::string& out;

  void operator()(std::string_view value) const { append_json_string(out, value); }
  void operator()(std::int64_t value) const { append_number(out, value); }
  void operator()(bool value) const { out += value ? "true" : "false"; }
  void operator()(double value) const {
    if (std::isfinite(value)) {
      append_number(out, value);
    } else {
      out += "null";  // JSON has no word for it
    }
  }
};

struct TextValue {
  std::string& out;

  void operator()(std::int64_t value) const { append_number(out, value); }
  void operator()(bool value) const { out += value ? "true" : "false"; }
  void operator()(double value) const { append_number(out, value); }
  void operator()(std::string_view value) const {
    const bool plain = !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
      return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7f &&
             c != '"' && c != '=' && c != '\\';
    });
    if (plain) {
      out += value;
    } else {
      append_json_string(out, value);
    }
  }
};

// A field must not take the place of the line's own keys.
bool is_reserved(std::string_view key) { return key == "ts" || key == "level" || key == "msg"; }

}  // namespace

std::string json_line(const Event& event) {
  std::string out;
  out.reserve(128 + event.message.size() + 32 * event.fields.size());
  out.append("{\"ts\":\"").append(timestamp(event.time)).append("\",\"level\":\"");
  out.append(json_level(event.level)).append("\",\"msg\":");
  append_json_string(out, event.message);
  for (const core::Field& field : event.fields) {
    out += ",\"";
    if (is_reserved(field.key)) out += "field_";
    append_escaped(out, field.key, Quotes::kEscape);
    out += "\":";
    std::visit(JsonValue{out}, field.value);
  }
  return out + "}";
}

std::string text_line(const Event& event, bool colour) {
  const TextLevel level = text_level(event.level);
  std::string out = timestamp(event.time) + " ";
  if (colour) out += level.colour;
  out += level.padded;
  if (colour) out += "\033[0m";
  out += ' ';
  append_escaped(out, event.message, Quotes::kKeep);
  for (const core::Field& field : event.fields) {
    out += ' ';
    append_escaped(out, field.key, Quotes::kKeep);
    out += '=';
    std::visit(TextValue{out}, field.value);
  }
  return out;
}

}  // namespace relevo::logging
