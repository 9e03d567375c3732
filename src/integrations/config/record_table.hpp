// The tables of the lists of records (kinds, handlers, schedules, subscriptions): one line per
// field of an entry. Reading, printing, nearest names and the reference in docs/ all follow from
// them, as they do from the key table for single values.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relevo/config/config.hpp"
#include "value.hpp"

namespace relevo::config {

struct Field {
  std::string path;  // below an entry: "kind", "http", "http.url"
  Shape shape;
  std::string type;
  bool required;  // of a field in a group: once the group is there
  std::string rule;
  std::string meaning;
  // Both take the index of the entry. Reading a group, or a field in it, makes the group exist.
  std::function<Complaint(Config&, std::size_t, const Raw&)> read;
  std::function<std::optional<ShownValue>(const Config&, std::size_t)> show;  // nothing: not set
};

struct RecordList {
  std::vector<Field> fields;  // a group stands before its fields
  std::function<std::size_t(const Config&)> size;
  std::function<void(Config&)> clear;
  std::function<void(Config&)> append;  // an entry of defaults
};

RecordList kind_records();
RecordList handler_records();
RecordList schedule_records();
RecordList subscription_records();

const Field* find_field(const RecordList& records, std::string_view path);
std::optional<std::string> nearest_field(const RecordList& records, std::string_view path);

// "handlers[2]"; counted from 0, as in the JSON that `relevo check` prints.
std::string entry_path(std::string_view list, std::size_t entry);

}  // namespace relevo::config
