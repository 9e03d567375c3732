// The one table of all keys: reading (YAML and environment), printing, nearest names and the
// reference in docs/ all follow from it. A new field of Config needs one line here; a test counts
// them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "record_table.hpp"
#include "relevo/config/config.hpp"
#include "value.hpp"

namespace relevo::config {

struct Key {
  std::string path;
  Shape shape;
  std::string type;
  std::string rule;
  std::string meaning;
  std::function<Complaint(Config&, const Raw&)> read;  // empty for a list of records
  std::function<Shown(const Config&)> show;            // secrets hidden
  std::optional<RecordList> records;
};

const std::vector<Key>& key_table();
const Key* find_key(std::string_view path);
// A path some keys lie below: "kafka", "kafka.topics".
bool is_section(std::string_view path);

std::string environment_name(std::string_view path);

std::optional<std::string> nearest_key(std::string_view path);

}  // namespace relevo::config
