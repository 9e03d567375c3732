// A configuration while its sources are read, one after the other; remembers who set which key.
#pragma once

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
  void refuse(const Key& key, const std::string& where, const std::string& complaint);
};

void read_yaml(const std::string& file, Draft& draft);
void read_environment(const Environment& environment, Draft& draft);

}  // namespace relevo::config
