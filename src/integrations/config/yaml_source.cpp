#include "draft.hpp"
#include "record_reader.hpp"
#include "text_file.hpp"
#include "yaml_tree.hpp"

namespace relevo::config {

namespace {

class YamlReader {
 public:
  YamlReader(std::string file, Draft& draft) : place_{std::move(file)}, draft_(draft) {}

  void read(const std::string& text) {
    const auto document = parse_yaml(text, place_, "", draft_);
    if (!document || document->IsNull()) return;
    if (!document->IsMap())
      return fail(document->Mark(), "expected keys at the top, as in `relay:`");
    read_section("", *document);
  }

 private:
  std::string at(const YAML::Mark& mark) const { return place_.at(mark); }

  void fail(const YAML::Mark& mark, std::string message) {
    draft_.errors.push_back({at(mark), std::move(message)});
  }

  void read_section(const std::string& section, const YAML::Node& map) {
    each_entry(map, section, place_, draft_,
               [&](const std::string& name, const YAML::Node& key_node, const YAML::Node& value) {
                 const YAML::Mark mark = key_node.Mark();
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
    if (key.records) return read_records(key, value, mark, place_, draft_);
    if (value.IsNull()) return draft_.refuse(key.path, at(mark), without_value(key.shape));
    if (value.IsScalar()) return draft_.set(key, value.Scalar(), at(mark));
    if (value.IsSequence()) {
      List list;
      for (const auto& item : value) {
        if (!item.IsScalar())
          return draft_.refuse(key.path, at(item.Mark()), "an entry of the list is not text");
        list.push_back(item.Scalar());
      }
      return draft_.set(key, list, at(mark));
    }
    Map map;
    bool complete = true;
    each_entry(value, key.path, place_, draft_,
               [&](const std::string& name, const YAML::Node& item, const YAML::Node& text) {
                 if (text.IsScalar()) {
                   map[name] = text.Scalar();
                   return;
                 }
                 complete = false;
                 draft_.refuse(key.path, at(item.Mark()),
                               shown_name(name) + " has no single value; write name: value");
               });
    if (complete) draft_.set(key, map, at(mark));
  }

  const YamlPlace place_;
  Draft& draft_;
};

}  // namespace

void read_records_text(const Key& key, const std::string& text, const std::string& variable,
                       Draft& draft) {
  const YamlPlace place{variable, false};
  const auto document = parse_yaml(text, place, key.path + ": ", draft);
  if (!document) {
    draft.failed.insert(key.path);
  } else if (document->IsNull()) {
    draft.start_list(key, variable);
  } else {
    read_records(key, *document, document->Mark(), place, draft);
  }
}

void read_yaml(const std::string& file, Draft& draft) {
  const TextFile content = read_text_file(file);
  if (!content.error.empty()) {
    draft.errors.push_back({file, "cannot be read: " + content.error});
    return;
  }
  YamlReader(file, draft).read(content.text);
}

}  // namespace relevo::config
