// What readers of YAML share: where a node stands, and walking a map without trusting it.
#pragma once

#include <yaml-cpp/yaml.h>

#include <map>
#include <optional>
#include <string>

#include "draft.hpp"

namespace relevo::config {

// A file, or a variable that holds YAML; of the latter no lines are told.
struct YamlPlace {
  std::string name;
  bool has_lines = true;

  std::string at(const YAML::Mark& mark) const {
    return !has_lines || mark.is_null() ? name : name + ":" + std::to_string(mark.line + 1);
  }
};

// The one document of this text, which may be null. subject, such as "handlers: ", begins each
// complaint.
std::optional<YAML::Node> parse_yaml(const std::string& text, const YamlPlace& place,
                                     const std::string& subject, Draft& draft);

// For messages. Values are never quoted: a secret may stand at a wrong place. Names are, if they
// look like names.
std::string shown_name(const std::string& name);

// Calls visit(name, key node, value node) for each entry whose name is text and new; false when
// there were others.
template <class Visit>
bool each_entry(const YAML::Node& map, const std::string& path, const YamlPlace& place,
                Draft& draft, Visit visit) {
  bool good = true;
  const auto fail = [&](const YAML::Mark& mark, std::string message) {
    draft.errors.push_back({place.at(mark), std::move(message)});
    good = false;
  };
  std::map<std::string, int> first_lines;
  for (const auto& entry : map) {
    const YAML::Mark mark = entry.first.Mark();
    if (!entry.first.IsScalar()) {
      fail(mark, (path.empty() ? "" : path + ": ") + std::string("a key must be text"));
      continue;
    }
    const std::string& name = entry.first.Scalar();
    const auto [first, is_new] = first_lines.emplace(name, mark.line + 1);
    if (!is_new) {
      fail(mark, (path.empty() ? "" : path + ".") + shown_name(name) + ": given twice" +
                     (place.has_lines ? "; the first is on line " + std::to_string(first->second)
                                      : std::string()));
      continue;
    }
    visit(name, entry.first, entry.second);
  }
  return good;
}

}  // namespace relevo::config
