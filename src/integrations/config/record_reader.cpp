#include "record_reader.hpp"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "json_value.hpp"

namespace relevo::config {

namespace {

// More than any file holds; aliases can multiply it.
constexpr std::size_t kMostText = 2U << 20U;

constexpr std::string_view kNoMerges =
    "YAML's merge (<<) is not understood; write the keys out, or name a whole map by an alias";

bool is_merge(const YAML::Node& key) { return key.Scalar() == "<<" && key.Tag() == "?"; }

// An alias stands for all it names, and may even name itself: looks before anything is copied.
Complaint measure(const YAML::Node& node, int depth, std::size_t& left) {
  if (depth > kDeepestNesting) {
    return "is nested deeper than " + std::to_string(kDeepestNesting) + " levels";
  }
  const std::size_t size = 1 + (node.IsScalar() ? node.Scalar().size() : 0);
  if (size > left) {
    return "its aliases make more than " + std::to_string(kMostText >> 20U) + " MiB of it";
  }
  left -= size;
  for (const auto& item : node) {
    if (!node.IsMap()) {
      if (auto complaint = measure(item, depth + 1, left)) return complaint;
      continue;
    }
    if (auto complaint = measure(item.first, depth + 1, left)) return complaint;
    if (auto complaint = measure(item.second, depth + 1, left)) return complaint;
  }
  return std::nullopt;
}

class RecordReader {
 public:
  RecordReader(const Key& key, const YamlPlace& place, Draft& draft)
      : key_(key), records_(*key.records), place_(place), draft_(draft) {}

  void read(const YAML::Node& list, const YAML::Mark& mark) {
    if (list.IsNull()) {
      return draft_.refuse(key_.path, place_.at(mark), without_value(Shape::kRecords));
    }
    if (!list.IsSequence()) {
      return draft_.refuse(key_.path, place_.at(mark),
                           std::string("expected a list of entries, each with keys such as ") +
                               records_.fields.front().path + ", found a " +
                               (list.IsMap() ? "map; write - before each entry" : "single value"));
    }
    std::size_t left = kMostText;
    if (const auto complaint = measure(list, 0, left)) {
      return draft_.refuse(key_.path, place_.at(mark), *complaint);
    }
    draft_.start_list(key_, place_.at(mark));
    for (const auto& item : list) read_entry(item);
  }

 private:
  struct Entry {
    std::size_t index;
    std::string path;             // handlers[2]
    std::set<std::string> given;  // fields, also those whose value was refused
    bool merges = false;          // then what is missing is not known
  };

  void read_entry(const YAML::Node& node) {
    Entry entry{records_.size(draft_.config), {}, {}};
    entry.path = entry_path(key_.path, entry.index);
    const std::string where = place_.at(node.Mark());
    records_.append(draft_.config);
    draft_.origin[entry.path] = where;
    if (!node.IsMap()) {
      return draft_.refuse(entry.path, where,
                           "expected keys such as " + records_.fields.front().path);
    }
    read_keys(entry, "", node);
    for (const Field& field : records_.fields) {
      const auto dot = field.path.rfind('.');
      const bool in_group = dot != std::string::npos;
      if (!field.required || entry.merges || entry.given.contains(field.path)) continue;
      if (in_group && !entry.given.contains(field.path.substr(0, dot))) continue;
      give_up_on(entry, field.path);
      draft_.refuse(entry.path + "." + field.path, where, "is needed");
    }
  }

  void read_keys(Entry& entry, const std::string& group, const YAML::Node& map) {
    const std::string path = entry.path + (group.empty() ? "" : "." + group);
    each_entry(map, path, place_, draft_,
               [&](const std::string& name, const YAML::Node& key, const YAML::Node& value) {
                 const std::string inside = group.empty() ? name : group + "." + name;
                 const Field* const field = find_field(records_, inside);
                 const bool nested_in_name = name.find('.') != std::string::npos;
                 if (field == nullptr || nested_in_name) return unknown(entry, group, key);
                 entry.given.insert(field->path);
                 read_field(entry, *field, place_.at(key.Mark()), value);
               });
  }

  void unknown(Entry& entry, const std::string& group, const YAML::Node& key) {
    const std::string inside = (group.empty() ? "" : group + ".") + shown_name(key.Scalar());
    std::string message = entry.path + "." + inside + ": unknown key";
    if (is_merge(key)) {
      message = entry.path + ": " + std::string(kNoMerges);
      entry.merges = true;
      draft_.failed.insert(entry.path);
    } else if (const auto close = nearest_field(records_, inside)) {
      message += *close == inside ? "; write its parts on lines of their own, indented"
                                  : "; did you mean " + entry.path + "." + *close + "?";
      give_up_on(entry, *close);
    }
    draft_.errors.push_back({place_.at(key.Mark()), message});
  }

  // What is known to be wrong: that it, its group or what lies below it is missing is no news.
  void give_up_on(Entry& entry, const std::string& path) {
    for (const Field& field : records_.fields) {
      const bool is_near = field.path == path || field.path.starts_with(path + ".") ||
                           path.starts_with(field.path + ".");
      if (!is_near) continue;
      entry.given.insert(field.path);
      draft_.failed.insert(entry.path + "." + field.path);
    }
  }

  static std::string without_field_value(const Field& field) {
    if (field.required) return "has no value";
    return field.type == "text" ? without_value(Shape::kScalar) : "has no value; remove the line";
  }

  void read_field(Entry& entry, const Field& field, const std::string& where,
                  const YAML::Node& value) {
    const std::string path = entry.path + "." + field.path;
    if (value.IsNull() || (field.shape == Shape::kGroup && !value.IsMap())) {
      give_up_on(entry, field.path);
      return draft_.refuse(path, where,
                           value.IsNull() ? without_field_value(field) : "expected keys below it");
    }
    if (field.shape == Shape::kGroup) {
      draft_.set(key_, field, entry.index, Map{}, where);
      return read_keys(entry, field.path, value);
    }
    if (value.IsScalar()) return draft_.set(key_, field, entry.index, value.Scalar(), where);
    if (field.shape == Shape::kJson) {
      const auto json = json_of(value, path);
      if (!json) {
        draft_.failed.insert(path);
        return;
      }
      return draft_.set(key_, field, entry.index, *json, where);
    }
    if (value.IsMap()) return draft_.set(key_, field, entry.index, Map{}, where);
    List list;
    for (const auto& item : value) {
      if (!item.IsScalar()) {
        return draft_.refuse(path, place_.at(item.Mark()), "an entry of the list is not text");
      }
      list.push_back(item.Scalar());
    }
    draft_.set(key_, field, entry.index, list, where);
  }

  // What JSON would write so is taken so (5, true, null), all other text as text: 007 and yes stay
  // what they are.
  std::optional<std::string> json_of(const YAML::Node& node, const std::string& path) {
    if (node.IsNull()) return "null";
    if (node.IsScalar()) {
      const std::string& text = node.Scalar();
      return node.Tag() == "?" && is_json_literal(text) ? text : json_string(text);
    }
    std::string out;
    bool good = true;
    const auto append = [&](const std::string& before, const YAML::Node& value,
                            const std::string& at) {
      const auto json = json_of(value, at);
      good = good && json;
      out += (out.empty() ? "" : ",") + before + json.value_or("");
    };
    if (node.IsSequence()) {
      for (const auto& item : node) append("", item, path);
      return good ? std::optional("[" + out + "]") : std::nullopt;
    }
    const bool all_text = each_entry(
        node, path, place_, draft_,
        [&](const std::string& name, const YAML::Node& key, const YAML::Node& value) {
          if (is_merge(key)) {
            draft_.errors.push_back({place_.at(key.Mark()), path + ": " + std::string(kNoMerges)});
            good = false;
            return;
          }
          append(json_string(name) + ":", value, path + "." + shown_name(name));
        });
    return good && all_text ? std::optional("{" + out + "}") : std::nullopt;
  }

  const Key& key_;
  const RecordList& records_;
  const YamlPlace& place_;
  Draft& draft_;
};

}  // namespace

void read_records(const Key& key, const YAML::Node& list, const YAML::Mark& mark,
                  const YamlPlace& place, Draft& draft) {
  RecordReader(key, place, draft).read(list, mark);
}

}  // namespace relevo::config
