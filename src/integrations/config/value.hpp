// How a value of each type is read from text and shown again. One overload per type of a field in
// Config. read() changes its target only when it has no complaint.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "relevo/config/secret.hpp"

namespace relevo::config {

using List = std::vector<std::string>;
using Map = std::map<std::string, std::string>;

// What a source holds for a key, before its type is known.
using Raw = std::variant<std::string, List, Map>;
// What an output writes for a value; durations are text.
using ShownValue = std::variant<bool, std::int64_t, std::string, List, Map>;
// One entry of a list of records: path below it -> value, without the fields that are not set.
using ShownRecord = std::vector<std::pair<std::string, ShownValue>>;
using Shown = std::variant<bool, std::int64_t, std::string, List, Map, std::vector<ShownRecord>>;
using Complaint = std::optional<std::string>;

// kJson: text that is JSON, also written as a map. kGroup: a heading with fields below it.
enum class Shape { kScalar, kList, kMap, kJson, kGroup, kRecords };

Complaint read(const Raw& raw, std::string& target);
Complaint read(const Raw& raw, Secret& target);
Complaint read(const Raw& raw, bool& target);
Complaint read(const Raw& raw, std::int16_t& target);
Complaint read(const Raw& raw, std::int32_t& target);
Complaint read(const Raw& raw, std::int64_t& target);
Complaint read(const Raw& raw, std::chrono::milliseconds& target);
Complaint read(const Raw& raw, List& target);
// Adds to the entries already there; the same name is replaced.
Complaint read(const Raw& raw, Map& target);

template <class T>
Complaint read(const Raw& raw, std::optional<T>& target) {
  T value{};
  if (auto complaint = read(raw, value)) return complaint;
  target = std::move(value);
  return std::nullopt;
}

inline ShownValue show(const std::string& value) { return value; }
inline ShownValue show(bool value) { return value; }
inline ShownValue show(std::int16_t value) { return std::int64_t{value}; }
inline ShownValue show(std::int32_t value) { return std::int64_t{value}; }
inline ShownValue show(std::int64_t value) { return value; }
inline ShownValue show(const List& value) { return value; }
inline ShownValue show(const Map& value) { return value; }
ShownValue show(std::chrono::milliseconds value);

std::string to_text(
    std::chrono::milliseconds value);  // in the largest unit that is exact: 250ms, 10s, 5m

// The complaint about a key with nothing behind it.
std::string without_value(Shape shape);

// Text of a complaint about a value: quoted, cut, without control characters.
std::string in_quotes(std::string_view text);

}  // namespace relevo::config
