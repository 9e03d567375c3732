// Series whose label values come from outside: made when a value is first seen, for at most
// kMostValues values of each label; all later ones share "other". So memory and the size of a
// scrape stay bounded, whatever names somebody invents. References stay valid. Not thread-safe.
#pragma once

#include <prometheus/labels.h>
#include <array>
#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace relevo::metrics {

inline constexpr std::string_view kOther = "other";
inline constexpr std::size_t kMostValues = 200;

template <class Series, std::size_t kLabels>
class OpenLabels {
 public:
  using Values = std::array<std::string_view, kLabels>;
  using Make = std::function<Series(const prometheus::Labels&)>;

  OpenLabels(std::array<std::string_view, kLabels> names, Make make)
      : names_(names), make_(std::move(make)) {}

  Series& of(const Values& values) {
    if (const auto found = series_.find(values); found != series_.end()) return found->second;
    Values bounded = values;
    for (std::size_t i = 0; i < kLabels; ++i) bounded[i] = bounded_value(i, values[i]);
    if (const auto found = series_.find(bounded); found != series_.end()) return found->second;
    Key key;
    prometheus::Labels labels;
    for (std::size_t i = 0; i < kLabels; ++i) {
      key[i] = bounded[i];
      labels.emplace(names_[i], bounded[i]);
    }
    return series_.emplace(std::move(key), make_(labels)).first->second;
  }

  auto begin() { return series_.begin(); }
  auto end() { return series_.end(); }

 private:
  using Key = std::array<std::string, kLabels>;

  struct Hash {
    using is_transparent = void;
    template <class Texts>
    std::size_t operator()(const Texts& texts) const {
      std::size_t hash = 0;
      for (const std::string_view text : texts) {
        hash = hash * 31 + std::hash<std::string_view>{}(text);
      }
      return hash;
    }
  };
  struct Equal {
    using is_transparent = void;
    template <class Left, class Right>
    bool operator()(const Left& left, const Right& right) const {
      for (std::size_t i = 0; i < kLabels; ++i) {
        if (std::string_view(left[i]) != std::string_view(right[i])) return false;
      }
      return true;
    }
  };

  std::string_view bounded_value(std::size_t label, std::string_view value) {
    auto& seen = seen_[label];
    if (seen.contains(value) || value == kOther) return value;
    if (seen.size() >= kMostValues) return kOther;
    seen.emplace(value);
    return value;
  }

  const std::array<std::string_view, kLabels> names_;
  const Make make_;
  std::array<std::set<std::string, std::less<>>, kLabels> seen_;
  std::unordered_map<Key, Series, Hash, Equal> series_;
};

}  // namespace relevo::metrics
