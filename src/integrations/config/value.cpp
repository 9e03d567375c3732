#include "value.hpp"

#include <array>
#include <charconv>
#include <limits>
#include <utility>

namespace relevo::config {

namespace {

using std::chrono::milliseconds;

struct Unit {
  std::string_view name;
  std::int64_t in_ms;
};

constexpr std::array<Unit, 5> kUnits{
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};
constexpr std::string_view kUnitHint = "use ms, s, m, h or d, as in 250ms or 10s";

const std::string* scalar(const Raw& raw) { return std::get_if<std::string>(&raw); }

std::string form_of(const Raw& raw) {
  if (std::holds_alternative<List>(raw)) return "a list";
  if (std::holds_alternative<Map>(raw)) return "a map";
  return "a single value";
}

Complaint expected(std::string_view what, const Raw& raw) {
  return "expected " + std::string(what) + ", found " + form_of(raw);
}

template <class Integer>
Complaint read_integer(const Raw& raw, Integer& target) {
  const std::string* text = scalar(raw);
  if (text == nullptr) return expected("a whole number", raw);
  Integer value{};
  const char* const end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, value);
  if (error == std::errc::result_out_of_range && stop == end) {
    return in_quotes(*text) + " is out of range; at most " +
           std::to_string(std::numeric_limits<Integer>::max());
  }
  if (error != std::errc() || stop != end)
    return "expected a whole number, found " + in_quotes(*text);
  target = value;
  return std::nullopt;
}

}  // namespace

Complaint read(const Raw& raw, std::string& target) {
  const std::string* text = scalar(raw);
  if (text == nullptr) return expected("text", raw);
  if (text->find('\0') != std::string::npos) return "contains a NUL character";
  target = *text;
  return std::nullopt;
}

Complaint read(const Raw& raw, Secret& target) {
  std::string text;
  if (auto complaint = read(raw, text)) return complaint;
  target = Secret(std::move(text));
  return std::nullopt;
}

Complaint read(const Raw& raw, bool& target) {
  const std::string* text = scalar(raw);
  if (text == nullptr) return expected("true or false", raw);
  if (*text == "true" || *text == "on" || *text == "yes") {
    target = true;
  } else if (*text == "false" || *text == "off" || *text == "no") {
    target = false;
  } else {
    return "expected true or false, found " + in_quotes(*text);
  }
  return std::nullopt;
}

Complaint read(const Raw& raw, std::int16_t& target) { return read_integer(raw, target); }
Complaint read(const Raw& raw, std::int32_t& target) { return read_integer(raw, target); }
Complaint read(const Raw& raw, std::int64_t& target) { return read_integer(raw, target); }

Complaint read(const Raw& raw, milliseconds& target) {
  const std::string* text = scalar(raw);
  if (text == nullptr) return expected("a duration such as 250ms", raw);
  std::int64_t number = 0;
  const char* const end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, number);
  if (error == std::errc::result_out_of_range) return in_quotes(*text) + " is out of range";
  if (error != std::errc()) return "expected a duration such as 250ms, found " + in_quotes(*text);
  const std::string_view unit(stop, static_cast<std::size_t>(end - stop));
  if (unit.empty()) return *text + " has no unit; " + std::string(kUnitHint);
  for (const Unit& known : kUnits) {
    if (unit != known.name) continue;
    if (number < 0) return in_quotes(*text) + " is negative";
    if (number > std::numeric_limits<std::int32_t>::max() * std::int64_t{1'000} / known.in_ms) {
      return in_quotes(*text) + " is out of range";
    }
    target = milliseconds(number * known.in_ms);
    return std::nullopt;
  }
  if (unit.starts_with('.'))
    return in_quotes(*text) + " is not whole; write it in a smaller unit, as in 1500ms";
  return in_quotes(*text) + " has no known unit; " + std::string(kUnitHint);
}

Complaint read(const Raw& raw, List& target) {
  const List* list = std::get_if<List>(&raw);
  if (list == nullptr) return expected("a list such as [a, b]", raw);
  target = *list;
  return std::nullopt;
}

Complaint read(const Raw& raw, Map& target) {
  const Map* map = std::get_if<Map>(&raw);
  if (map == nullptr) return expected("a map of name: value", raw);
  for (const auto& [name, value] : *map) target[name] = value;
  return std::nullopt;
}

ShownValue show(milliseconds value) { return to_text(value); }

std::string to_text(milliseconds value) {
  for (const Unit& unit : kUnits) {
    if (value.count() != 0 && value.count() % unit.in_ms == 0) {
      return std::to_string(value.count() / unit.in_ms) + std::string(unit.name);
    }
  }
  return "0ms";
}

std::string without_value(Shape shape) {
  std::string message = "has no value; remove the line";
  switch (shape) {
    case Shape::kScalar: return message + ", or write \"\" for an empty text";
    case Shape::kList:
    case Shape::kRecords: return message + ", or write []";
    case Shape::kMap: return message + ", or write {}";
    case Shape::kJson:
    case Shape::kGroup: break;
  }
  return message;
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kLongest = 40;
  std::string out = "\"";
  for (const char c : text.substr(0, kLongest)) {
    const bool printable = static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
    out += printable ? c : '?';
  }
  if (text.size() > kLongest) out += "...";
  return out + "\"";
}

}  // namespace relevo::config
