#include "relevo/config/print.hpp"

#include <nlohmann/json.hpp>
#include <regex>

#include "key_table.hpp"
#include "relevo/config/reference.hpp"

namespace relevo::config {

namespace {

using Json = nlohmann::ordered_json;

std::string json_text(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

// Plain where YAML reads it back as the same text, else in double quotes (JSON's escapes are
// YAML's).
std::string yaml_text(const std::string& text) {
  static const std::regex kPlain("[A-Za-z_/][A-Za-z0-9_./+-]*(:[A-Za-z0-9_./+-]+)*");
  static const std::regex kSpecial("true|false|null|yes|no|on|off|y|n", std::regex::icase);
  const bool plain =
      text.size() < 1'000 && std::regex_match(text, kPlain) && !std::regex_match(text, kSpecial);
  return plain ? text : json_text(text, -1);
}

struct YamlValue {
  std::string indent;

  std::string operator()(bool value) const { return value ? " true" : " false"; }
  std::string operator()(std::int64_t value) const { return " " + std::to_string(value); }
  std::string operator()(const std::string& value) const {
    static const std::regex kDuration("[0-9]+(ms|s|m|h|d)");
    return " " + (std::regex_match(value, kDuration) ? value : yaml_text(value));
  }
  std::string operator()(const List& list) const {
    std::string out;
    for (const std::string& item : list) out += (out.empty() ? "" : ", ") + yaml_text(item);
    return " [" + out + "]";
  }
  std::string operator()(const Map& map) const {
    if (map.empty()) return " {}";
    std::string out;
    for (const auto& [name, value] : map)
      out += "\n" + indent + "  " + yaml_text(name) + ": " + yaml_text(value);
    return out;
  }
};

std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (auto dot = path.find('.'); dot != std::string::npos; dot = path.find('.', begin)) {
    parts.push_back(path.substr(begin, dot - begin));
    begin = dot + 1;
  }
  parts.push_back(path.substr(begin));
  return parts;
}

}  // namespace

std::string print_effective(const Config& config) {
  std::string out;
  std::vector<std::string> open;  // sections whose headings stand above
  for (const Key& key : key_table()) {
    const std::vector<std::string> parts = parts_of(key.path);
    std::size_t shared = 0;
    while (shared < open.size() && shared + 1 < parts.size() && open[shared] == parts[shared])
      ++shared;
    open.resize(shared);
    for (; open.size() + 1 < parts.size(); open.push_back(parts[open.size()])) {
      out += std::string(2 * open.size(), ' ') + parts[open.size()] + ":\n";
    }
    const std::string indent(2 * open.size(), ' ');
    out += indent + parts.back() + ":" + std::visit(YamlValue{indent}, key.show(config)) + "\n";
  }
  return out;
}

std::string print_effective_json(const Config& config) {
  Json root = Json::object();
  for (const Key& key : key_table()) {
    Json* place = &root;
    for (const std::string& part : parts_of(key.path)) place = &(*place)[part];
    std::visit([&](const auto& value) { *place = value; }, key.show(config));
  }
  return json_text(root, 2) + "\n";
}

std::vector<KeyReference> reference() {
  std::vector<KeyReference> all;
  const Config defaults;
  for (const Key& key : key_table()) {
    const std::string initial = std::visit(YamlValue{}, key.show(defaults)).substr(1);
    all.push_back({key.path, environment_name(key.path), key.type, initial, key.rule, key.meaning});
  }
  return all;
}

}  // namespace relevo::config
