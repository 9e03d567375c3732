// From configuration to the options of the parts. No part knows the configuration itself.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "relevo/config/config.hpp"
#include "relevo/config/problem.hpp"
#include "relevo/kafka/client_options.hpp"
#include "relevo/kafka/publisher.hpp"
#include "relevo/postgres/connection.hpp"
#include "relevo/relay/relay.hpp"
#include "relevo/worker/schedule_runner.hpp"
#include "relevo/worker/worker.hpp"

namespace relevo {

std::string_view version();  // of the program, e.g. "0.1.0"

using Observer = std::function<void(std::string_view, std::chrono::nanoseconds)>;

// Each throws core::IntegrationError (kMisconfigured) when a file named in the configuration cannot
// be read.
postgres::ConnectOptions connect_options(const config::Config& config, Observer observe = {});
kafka::ClientOptions kafka_options(const config::Config& config);
kafka::PublisherOptions publisher_options(const config::Config& config);
relay::Options relay_options(const config::Config& config);
worker::Options worker_options(const config::Config& config);
// Throws core::IntegrationError (kMisconfigured) for a cron, time or time zone that is none.
std::vector<worker::ScheduleDefinition> schedules_of(const config::Config& config);

// Crons, intervals, times and zones of the schedules that are none: rules for config::Source.
std::vector<config::Problem> schedule_problems(const config::Config& config);

bool has_role(const config::Config& config, std::string_view role);

// The configured name of this replica, else host name and a random suffix.
std::string instance_name(const config::Config& config);
std::string host_name();

}  // namespace relevo
