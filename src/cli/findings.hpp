// What `relevo check` finds, and how it judges what PostgreSQL and Kafka told. Pure, except for the
// secret files.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "relevo/config/config.hpp"
#include "relevo/core/error.hpp"
#include "relevo/kafka/cluster.hpp"
#include "relevo/postgres/inspector.hpp"
#include "relevo/postgres/migrator.hpp"

namespace relevo::cli {

enum class Level { kOk, kNote, kWarning, kError };

struct Finding {
  Level level = Level::kOk;
  std::string what;
  std::string finding;
  std::string advice;  // empty: nothing to do
  int exit_code = 0;   // of an error
};

std::string finding_line(const Finding& finding);  // "warning  clock: is 3 s ahead; run NTP"
std::string_view to_string(Level level);
// 0 without errors; an error of the configuration wins over one of the network.
int exit_code_of(std::span<const Finding> findings);

Finding failed(const char* what, const core::IntegrationError& error);
// For a user without the right to read them, as a worker's own role.
Finding not_looked_at_events();

// ahead: of this machine's clock before the database's.
std::vector<Finding> judge_server(const postgres::Server& server, std::chrono::microseconds ahead);
Finding judge_schema(const postgres::SchemaState& state);
std::vector<Finding> judge_surroundings(const postgres::Surroundings& found, int shards);
Finding judge_cluster(const kafka::ClusterDescription& cluster);
Finding judge_topic(const kafka::TopicDescription& topic, bool created_on_use);
// The topics a subscription reads, and its dead letter topic.
Finding judge_source_topic(const kafka::TopicDescription& topic, const std::string& subscription);
Finding judge_dead_letter_topic(const kafka::TopicDescription& topic,
                                const std::string& subscription, bool created_on_use);

// How many handlers, schedules and subscriptions there are; nothing of those there are not.
std::vector<Finding> count_lists(const config::Config& config);
// Whether the files that sign requests can be read and hold something. Reads them.
std::vector<Finding> look_at_secret_files(const config::Config& config);

// Topics of these events, each once, sorted; that of the template, too, if it is a plain name.
std::vector<std::string> topics_of(std::span<const postgres::TopicNames> names,
                                   const std::string& topic_template);

}  // namespace relevo::cli
