// Describes every key, from the same table that parses and prints them. docs/configuration.md and
// config/relevo.yaml are tested against it.
#pragma once

#include <string>
#include <vector>

namespace relevo::config {

struct KeyReference {
  std::string path;         // relay.lease_ttl; handlers[].http.url of each entry of a list
  std::string environment;  // RELEVO_RELAY_LEASE_TTL; empty for a field of an entry
  std::string type;
  std::string initial;  // the default as written in YAML; empty: none
  std::string rule;
  std::string meaning;
  bool required;  // in each entry; in a group such as http, in each that has it
};

std::vector<KeyReference> reference();

}  // namespace relevo::config
