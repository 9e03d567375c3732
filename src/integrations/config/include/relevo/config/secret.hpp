// A string that cannot be printed by accident: no conversion, no stream operator; reveal() is easy
// to search for.
#pragma once

#include <string>
#include <utility>

namespace relevo::config {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}

  const std::string& reveal() const { return value_; }
  bool empty() const { return value_.empty(); }
  friend bool operator==(const Secret&, const Secret&) = default;

 private:
  std::string value_;
};

}  // namespace relevo::config
