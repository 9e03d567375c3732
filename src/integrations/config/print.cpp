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

using Fields = std::vector<std::pair<std::string, Shown>>;

std::string yaml_block(const Fields& fields, const std::string& indent);

Fields fields_of(const ShownRecord& record) {
  Fields fields;
  for (const auto& [path, shown] : record) {
    fields.emplace_back(path, std::visit([](const auto& value) { return Shown(value); }, shown));
  }
  return fields;
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
  std::string operator()(const std::vector<ShownRecord>& records) const {
    if (records.empty()) return " []";
    std::string out;
    for (const ShownRecord& record : records) {
      std::string block = yaml_block(fields_of(record), indent + "    ");
      block.pop_back();  // the line end, which the list's own line brings
      out += "\n" + indent + "  - " + block.substr(indent.size() + 4);
    }
    return out;
  }
};

std::string yaml_block(const Fields& fields, const std::string& indent) {
  std::string out;
  std::vector<std::string> open;  // sections whose headings stand above
  const auto margin = [&] { return indent + std::string(2 * open.size(), ' '); };
  for (const auto& [path, shown] : fields) {
    const std::vector<std::string> parts = parts_of(path);
    std::size_t shared = 0;
    while (shared < open.size() && shared + 1 < parts.size() && open[shared] == parts[shared])
      ++shared;
    open.resize(shared);
    for (; open.size() + 1 < parts.size(); open.push_back(parts[open.size()])) {
      out += margin() + parts[open.size()] + ":\n";
    }
    out += margin() + parts.back() + ":" + std::visit(YamlValue{margin()}, shown) + "\n";
  }
  return out;
}

Json json_object(const Fields& fields);

struct JsonValue {
  template <class T>
  Json operator()(const T& value) const {
    return value;
  }
  Json operator()(const std::vector<ShownRecord>& records) const {
    Json all = Json::array();
    for (const ShownRecord& record : records) all.push_back(json_object(fields_of(record)));
    return all;
  }
};

Json json_object(const Fields& fields) {
  Json root = Json::object();
  for (const auto& [path, shown] : fields) {
    Json* place = &root;
    for (const std::string& part : parts_of(path)) place = &(*place)[part];
    *place = std::visit(JsonValue{}, shown);
  }
  return root;
}

Fields fields_of(const Config& config) {
  Fields fields;
  for (const Key& key : key_table()) fields.emplace_back(key.path, key.show(config));
  return fields;
}

template <class Value>
std::string initial_text(const Value& shown) {
  return std::visit(YamlValue{}, shown).substr(1);
}

// Of an entry with everything in it that can be.
void add_fields(const Key& key, std::vector<KeyReference>& all) {
  Config config;
  key.records->append(config);
  for (const Field& field : key.records->fields) {
    if (field.shape == Shape::kGroup) (void)field.read(config, 0, Map{});
    const auto shown = field.required ? std::nullopt : field.show(config, 0);
    all.push_back({key.path + "[]." + field.path, "", field.type, shown ? initial_text(*shown) : "",
                   field.rule, field.meaning, field.required});
  }
}

}  // namespace

std::string print_effective(const Config& config) { return yaml_block(fields_of(config), ""); }

std::string print_effective_json(const Config& config) {
  return json_text(json_object(fields_of(config)), 2) + "\n";
}

std::vector<KeyReference> reference() {
  std::vector<KeyReference> all;
  const Config defaults;
  for (const Key& key : key_table()) {
    const std::string initial = initial_text(key.show(defaults));
    all.push_back(
        {key.path, environment_name(key.path), key.type, initial, key.rule, key.meaning, false});
    if (key.records) add_fields(key, all);
  }
  return all;
}

}  // namespace relevo::config
