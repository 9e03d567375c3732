// Columns and parameters that may be NULL.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "relevo/postgres/connection.hpp"
#include "timestamp.hpp"

namespace relevo::postgres {

inline std::optional<std::string> optional_string(const Result& result, int row, int column) {
  return result.is_null(row, column) ? std::nullopt : std::optional(result.string(row, column));
}

inline std::optional<core::WallTime> optional_time(const Result& result, int row, int column) {
  return result.is_null(row, column) ? std::nullopt : std::optional(result.time(row, column));
}

inline std::optional<std::int64_t> optional_int8(const Result& result, int row, int column) {
  return result.is_null(row, column) ? std::nullopt : std::optional(result.int8(row, column));
}

inline std::optional<std::chrono::milliseconds> optional_ms(const Result& result, int row,
                                                            int column) {
  const auto ms = optional_int8(result, row, column);
  return ms ? std::optional(std::chrono::milliseconds(*ms)) : std::nullopt;
}

inline Params& add_optional(Params& params, const std::optional<std::string>& text) {
  return text ? params.add(*text) : params.add(std::nullopt);
}

inline Params& add_optional(Params& params, const std::optional<int>& number) {
  return number ? params.add(std::int64_t{*number}) : params.add(std::nullopt);
}

inline Params& add_optional(Params& params, const std::optional<core::WallTime>& time) {
  return time ? params.add(timestamp(*time)) : params.add(std::nullopt);
}

}  // namespace relevo::postgres
