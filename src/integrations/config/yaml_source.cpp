#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <string_view>

#include "draft.hpp"
#include "text_file.hpp"

namespace relevo::config {

namespace {

// Values are never quoted here: a secret may stand at a wrong place. Names are, if they look like
// names.
std::string shown_name(const std::string& name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  const bool is_name =
      !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), plain);
  return is_name ? name : "(not a plain name)";
}

class YamlReader {
 public:
  YamlReader(std::string file, Draft& draft) : file_(std::move(file)), draft_(draft) {}

  void read(const std::string& text) {
    std::vector<YAML::Node> documents;
    try {
      documents = YAML::LoadAll(text);
    } catch (const YAML::Exception& e) {
      // The part behind a colon repeats text of the file.
      const std::string what = e.msg.substr(0, e.msg.find(':'));
      fail(e.mark,
           "not YAML: " + what + "; a value that starts with a special character needs quotes");
      return;
    }
    if (documents.size() > 1)
      return fail(documents[1].Mark(), "a second YAML document; only one is read");
    if (documents.empty() || documents[0].IsNull()) return;
    if (!documents[0].IsMap())
      return fail(documents[0].Mark(), "expected keys at the top, as in `relay:`");
    read_section("", documents[0]);
  }

 private:
  std::string at(const YAML::Mark& mark) const {
    return mark.is_null() ? file_ : file_ + ":" + std::to_string(mark.line + 1);
  }

  void fail(const YAML::Mark& mark, std::string message) {
    draft_.errors.push_back({at(mark), std::move(message)});
  }

  // Calls visit(name, key node, value node) for each entry whose name is text and new.
  template <class Visit>
  void each_entry(const std::string& path, const YAML::Node& map, Visit visit) {
    std::map<std::string, int> first_lines;
    const std::string prefix = path.empty() ? "" : path + ".";
    for (const auto& entry : map) {
      const YAML::Mark mark = entry.first.Mark();
      if (!entry.first.IsScalar()) {
        fail(mark, (path.empty() ? "" : path + ": ") + std::string("a key must be text"));
        continue;
      }
      const std::string& name = entry.first.Scalar();
      const auto [first, is_new] = first_lines.emplace(name, mark.line + 1);
      if (!is_new) {
        fail(mark, prefix + shown_name(name) + ": given twice; the first is on line " +
                       std::to_string(first->second));
        continue;
      }
      visit(name, mark, entry.second);
    }
  }

  void read_section(const std::string& section, const YAML::Node& map) {
    each_entry(section, map,
               [&](const std::string& name, const YAML::Mark& mark, const YAML::Node& value) {
                 const std::string path = section.empty() ? name : section + "." + name;
                 const bool nested_in_name = name.find('.') != std::string::npos;
                 if (const Key* key = find_key(path); key != nullptr && !nested_in_name) {
                   read_key(*key, mark, value);
                 } else if (is_section(path) && !nested_in_name) {
                   if (value.IsMap()) return read_section(path, value);
                   if (!value.IsNull())
                     fail(mark, path + ": expected keys below it, found a value");
                 } else {
                   unknown(section, name, mark);
                 }
               });
  }

  void unknown(const std::string& section, const std::string& name, const YAML::Mark& mark) {
    const std::string path = (section.empty() ? "" : section + ".") + shown_name(name);
    std::string message = path + ": unknown key";
    if (const auto close = nearest_key(path)) {
      message += *close == path ? "; write its parts on lines of their own, indented"
                                : "; did you mean " + *close + "?";
    }
    fail(mark, message);
  }

  void read_key(const Key& key, const YAML::Mark& mark, const YAML::Node& value) {
    if (value.IsNull()) {
      return draft_.refuse(key, at(mark),
                           "has no value; remove the line, or write \"\" for an empty text");
    }
    if (value.IsScalar()) return draft_.set(key, value.Scalar(), at(mark));
    if (value.IsSequence()) {
      List list;
      for (const auto& item : value) {
        if (!item.IsScalar())
          return draft_.refuse(key, at(item.Mark()), "an entry of the list is not text");
        list.push_back(item.Scalar());
      }
      return draft_.set(key, list, at(mark));
    }
    Map map;
    bool complete = true;
    each_entry(key.path, value,
               [&](const std::string& name, const YAML::Mark& item, const YAML::Node& text) {
                 if (text.IsScalar()) {
                   map[name] = text.Scalar();
                   return;
                 }
                 complete = false;
                 draft_.refuse(key, at(item),
                               shown_name(name) + " has no single value; write name: value");
               });
    if (complete) draft_.set(key, map, at(mark));
  }

  std::string file_;
  Draft& draft_;
};

}  // namespace

void read_yaml(const std::string& file, Draft& draft) {
  const TextFile content = read_text_file(file);
  if (!content.error.empty()) {
    draft.errors.push_back({file, "cannot be read: " + content.error});
    return;
  }
  YamlReader(file, draft).read(content.text);
}

}  // namespace relevo::config
