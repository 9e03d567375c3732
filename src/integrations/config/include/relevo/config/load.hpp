// Puts the configuration together: defaults, then the YAML file, then RELEVO_* variables; later
// wins. Reports every problem at once, those of validate() included, each with the file and line or
// the variable that set the value. Reads files, touches nothing else; the config is usable only
// when ok().
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "relevo/config/config.hpp"
#include "relevo/config/problem.hpp"

namespace relevo::config {

using Environment = std::map<std::string, std::string>;

struct Source {
  std::optional<std::string> file;  // none: the file named by RELEVO_CONFIG, or no file at all
  Environment environment;
};

struct LoadResult {
  Config config;
  std::vector<Problem> errors;
  std::vector<Problem> warnings;    // variables that look like ours and mean nothing
  std::optional<std::string> file;  // the one that was read

  bool ok() const { return errors.empty(); }
};

LoadResult load(const Source& source);

// The RELEVO_* variables of this process.
Environment process_environment();

}  // namespace relevo::config
