// A configuration while its sources are read, one after the other; remembers who set which key.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "key_table.hpp"
#include "relevo/config/config.hpp"
#include "relevo/config/load.hpp"
#include "relevo/config/problem.hpp"

namespace relevo::config {

struct Draft {
  Config config;
  std::vector<Problem> errors;
  std::vector<Problem> warnings;
  std::map<std::string, std::string> origin;  // path -> file:line or variable
  std::set<std::string> failed;               // paths whose value could not be read

  void set(const Key& key, const Raw& raw, const std::string& where);
  // A field of an entry that start_list() and append made room for.
  void set(const Key& list, const Field& field, std::size_t entry, const Raw& raw,
           const std::string& where);
  void refuse(const std::string& path, const std::string& where, const std::string& complaint);
  // Forgets the entries of an earlier source.
  void start_list(const Key& list, const std::string& where);
};

void read_yaml(const std::string& file, Draft& draft);
// A list of records given as text, YAML or JSON, by a variable.
void read_records_text(const Key& key, const std::string& text, const std::string& variable,
                       Draft& draft);
void read_environment(const Environment& environment, Draft& draft);

}  // namespace relevo::config
