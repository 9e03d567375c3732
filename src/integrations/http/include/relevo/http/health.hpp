// What a probe answers: the checks behind it, each with its name and, when it fails, the reason.
// Reasons are served to anyone who asks: no addresses of others, no secrets.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

namespace relevo::http {

struct Check {
  std::string name;
  bool ok = false;
  std::string detail;  // may be empty
};

struct Health {
  std::vector<Check> checks;

  bool ok() const {
    return std::all_of(checks.begin(), checks.end(), [](const Check& check) { return check.ok; });
  }
};

}  // namespace relevo::http
