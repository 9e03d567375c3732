// The conditions a figure was taken under. Throws std::runtime_error.
#pragma once

#include <sys/types.h>

#include <nlohmann/json.hpp>
#include <string>

#include "options.hpp"
#include "support/daemon.hpp"

namespace relevo::bench {

// A relevo as it is configured by default, writing to one topic.
test::DaemonOptions daemon_options(const std::string& database_url, const Options& options,
                                   const std::string& topic);

double peak_rss_mib(pid_t process);

nlohmann::ordered_json settings(const Options& options);
nlohmann::ordered_json versions(const Options& options);

}  // namespace relevo::bench
