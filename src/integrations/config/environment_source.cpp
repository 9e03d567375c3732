#include <unistd.h>
#include <algorithm>
#include <array>
#include <cstddef>
#include <regex>
#include <string_view>

#include "draft.hpp"
#include "nearest.hpp"
#include "text_file.hpp"

namespace relevo::config {

namespace {

constexpr std::string_view kPrefix = "RELEVO_";
constexpr std::string_view kFromFile = "_FILE";

// Known to scripts and tests, or read elsewhere.
bool belongs_to_tools(std::string_view name) {
  constexpr std::array<std::string_view, 4> kNames{"RELEVO_CONFIG", "RELEVO_BIN", "RELEVO_SCRIPTS",
                                                   "RELEVO_PRESET"};
  return name.starts_with("RELEVO_TEST_") ||
         std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

// Kubernetes describes each Service of the namespace in variables; a Service called relevo or
// relevo-x yields names that look like ours.
bool is_service_link(const std::string& name, std::string_view value) {
  static const std::regex kAddress("RELEVO_([A-Z0-9_]+_)?SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)");
  static const std::regex kPort(
      "RELEVO_([A-Z0-9_]+_)?PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?");
  if (std::regex_match(name, kAddress) || std::regex_match(name, kPort)) return true;
  const bool is_url =
      value.starts_with("tcp://") || value.starts_with("udp://") || value.starts_with("sctp://");
  return name.ends_with("_PORT") && is_url;
}

// Splits at commas and line ends; \, is a comma inside an entry. Entries without content are
// dropped.
List split(std::string_view text) {
  List parts;
  std::string part;
  const auto finish = [&] {
    const auto first = part.find_first_not_of(" \t\r");
    if (first != std::string::npos) {
      parts.push_back(part.substr(first, part.find_last_not_of(" \t\r") - first + 1));
    }
    part.clear();
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == ',' || text[i + 1] == '\\')) {
      part += text[++i];
    } else if (text[i] == ',' || text[i] == '\n') {
      finish();
    } else {
      part += text[i];
    }
  }
  finish();
  return parts;
}

void set_map(const Key& key, const std::string& text, const std::string& where, Draft& draft) {
  Map map;
  std::size_t number = 0;
  for (const std::string& entry : split(text)) {
    ++number;
    const auto equals = entry.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return draft.refuse(
          key.path, where,
          "entry " + std::to_string(number) +
              " is not name=value; entries are separated by commas, a comma inside a value is \\,");
    }
    const std::string name = entry.substr(0, equals);
    if (!map.emplace(name, entry.substr(equals + 1)).second) {
      return draft.refuse(key.path, where, in_quotes(name) + " is given twice");
    }
  }
  draft.set(key, map, where);
}

void set_from_text(const Key& key, const std::string& text, const std::string& where,
                   Draft& draft) {
  switch (key.shape) {
    case Shape::kScalar: return draft.set(key, text, where);
    case Shape::kList: return draft.set(key, split(text), where);
    case Shape::kMap: return set_map(key, text, where, draft);
    case Shape::kRecords: return read_records_text(key, text, where, draft);
    case Shape::kJson:
    case Shape::kGroup: break;
  }
}

void warn_unknown(const std::string& name, Draft& draft) {
  std::vector<std::string> known{"RELEVO_CONFIG"};
  for (const Key& key : key_table()) known.push_back(environment_name(key.path));
  std::string message = "unknown variable, ignored";
  if (const auto close = nearest(name, known)) message += "; did you mean " + *close + "?";
  draft.warnings.push_back({name, message});
}

}  // namespace

void read_environment(const Environment& environment, Draft& draft) {
  std::map<std::string, const Key*> plain;
  std::map<std::string, const Key*> from_file;
  for (const Key& key : key_table()) {
    plain[environment_name(key.path)] = &key;
    from_file[environment_name(key.path) + std::string(kFromFile)] = &key;
  }

  for (const auto& [name, value] : environment) {
    if (!name.starts_with(kPrefix) || belongs_to_tools(name)) continue;
    if (const auto found = plain.find(name); found != plain.end()) {
      set_from_text(*found->second, value, name, draft);
    } else if (const auto file = from_file.find(name); file != from_file.end()) {
      const Key& key = *file->second;
      const std::string other = environment_name(key.path);
      if (environment.contains(other)) {
        draft.refuse(key.path, name, "also given by " + other + "; set one of them");
        continue;
      }
      TextFile content = read_text_file(value);
      if (!content.error.empty()) {
        draft.refuse(key.path, name, in_quotes(value) + " cannot be read: " + content.error);
        continue;
      }
      set_from_text(key, without_line_end(std::move(content.text)), name, draft);
    } else if (!is_service_link(name, value)) {
      warn_unknown(name, draft);
    }
  }
}

Environment process_environment() {
  Environment found;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const auto equals = text.find('=');
    if (text.starts_with(kPrefix) && equals != std::string_view::npos) {
      found.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  return found;
}

}  // namespace relevo::config
