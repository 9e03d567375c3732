// The rules behind validate(), with the keys each one is about.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "relevo/config/config.hpp"

namespace relevo::config {

struct Broken {
  std::vector<std::string> keys;  // the first is the one to change
  std::string message;
};

std::vector<Broken> broken_rules(const Config& config);
// Those of the lists of records; part of broken_rules().
std::vector<Broken> broken_record_rules(const Config& config);

// Lists that no role of this process uses: legal, since replicas may share one file.
std::vector<Broken> unused_lists(const Config& config);

// Why this librdkafka property may not be set; empty: it may.
std::string_view refusal_of_property(std::string_view name);

}  // namespace relevo::config
