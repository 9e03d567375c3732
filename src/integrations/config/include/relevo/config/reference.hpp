// Describes every key, from the same table that parses and prints them. docs/configuration.md and
// config/relevo.yaml are tested against it.
#pragma once

#include <string>
#include <vector>

namespace relevo::config {

struct KeyReference {
  std::string path;         // relay.lease_ttl
  std::string environment;  // RELEVO_RELAY_LEASE_TTL
  std::string type;
  std::string initial;  // the default as written in YAML
  std::string rule;
  std::string meaning;
};

std::vector<KeyReference> reference();

}  // namespace relevo::config
