// Port to the log: one event = one line, written where it is handled; keys and ids, never payloads
// or secrets. error = a person must act, warn = degraded, info = life cycle, debug = each item.
// Implementations are thread-safe.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <variant>

namespace relevo::core {

enum class Level { kDebug, kInfo, kWarn, kError };

struct Field {
  using Value = std::variant<std::string_view, std::int64_t, double, bool>;

  Field(std::string_view name, bool v) : key(name), value(v) {}
  Field(std::string_view name, std::string_view v) : key(name), value(v) {}
  Field(std::string_view name, const char* v) : key(name), value(std::string_view(v)) {}
  Field(std::string_view name, std::floating_point auto v)
      : key(name), value(static_cast<double>(v)) {}
  Field(std::string_view name, std::integral auto v)
      : key(name), value(static_cast<std::int64_t>(v)) {}

  std::string_view key;
  Value value;
};

class Log {
 public:
  virtual ~Log() = default;
  virtual void write(Level level, std::string_view message, std::span<const Field> fields) = 0;

  void debug(std::string_view m, std::initializer_list<Field> f = {}) { put(Level::kDebug, m, f); }
  void info(std::string_view m, std::initializer_list<Field> f = {}) { put(Level::kInfo, m, f); }
  void warn(std::string_view m, std::initializer_list<Field> f = {}) { put(Level::kWarn, m, f); }
  void error(std::string_view m, std::initializer_list<Field> f = {}) { put(Level::kError, m, f); }

 private:
  void put(Level level, std::string_view message, std::initializer_list<Field> fields) {
    write(level, message, {fields.begin(), fields.size()});
  }
};

}  // namespace relevo::core
