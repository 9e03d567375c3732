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

// The share of the processors in use during one second. Asked while the servers are idle: what it
// tells is the work of others, which makes figures worthless, and ratios too, since it slows their
// parts unequally.
double busy_share();

nlohmann::ordered_json postgresql_settings(const Options& options);
nlohmann::ordered_json settings(const Options& options);  // of relay and latency
nlohmann::ordered_json versions(const Options& options);

}  // namespace relevo::bench
