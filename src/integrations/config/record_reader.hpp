// Reads one of the lists of records from YAML, into the draft in place of what an earlier source
// set. Every entry is read, and every field of it, whatever is wrong with others.
#pragma once

#include "yaml_tree.hpp"

namespace relevo::config {

// key: of a list of records. mark: where its name stands.
void read_records(const Key& key, const YAML::Node& list, const YAML::Mark& mark,
                  const YamlPlace& place, Draft& draft);

}  // namespace relevo::config
