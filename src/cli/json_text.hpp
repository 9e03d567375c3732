// JSON of the commands: one line, keys in the order they were set, invalid UTF-8 replaced.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace relevo::cli {

using Json = nlohmann::ordered_json;

inline std::string json_line(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

template <typename Value>
Json json_or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
}

}  // namespace relevo::cli
