// Puts the configuration together: defaults, then the YAML file, then RELEVO_* variables; later
// wins. Reports every problem at once, those of validate() included, each with the file and line or
// the variable that set the value. Reads files, touches nothing else; the config is usable only
// when ok().
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "relevo/config/config.hpp"
#include "relevo/config/problem.hpp"

namespace relevo::config {

using Environment = std::map<std::string, std::string>;

// Rules that only others know, such as what a cron expression may be. `where` of a problem is the
// key, as from validate(): schedules[2].cron.
using MoreRules = std::function<std::vector<Problem>(const Config&)>;

struct Source {
  std::optional<std::string> file;  // none: the file named by RELEVO_CONFIG, or no file at all
  Environment environment;
  MoreRules more_rules{};
};

struct LoadResult {
  Config config;
  std::vector<Problem> errors;
  std::vector<Problem> warnings;    // variables that look like ours, lists without their role
  std::optional<std::string> file;  // the one that was read

  bool ok() const { return errors.empty(); }
};

LoadResult load(const Source& source);

// The RELEVO_* variables of this process.
Environment process_environment();

}  // namespace relevo::config
