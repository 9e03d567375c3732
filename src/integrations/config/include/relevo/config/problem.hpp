// One complaint about the configuration: where to look ("config/relevo.yaml:12",
// "RELEVO_HTTP_LISTEN", or the key when its value is the default) and what to change. Never
// contains the value of a secret.
#pragma once

#include <string>

namespace relevo::config {

struct Problem {
  std::string where;
  std::string message;

  std::string line() const { return where + ": " + message; }
};

}  // namespace relevo::config
