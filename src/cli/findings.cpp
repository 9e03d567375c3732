#include "cli/findings.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "cli/explain.hpp"
#include "cli/printable.hpp"
#include "cli/table.hpp"
#include "daemon.hpp"
#include "relevo/config/secret_file.hpp"
#include "relevo/relay/cloud_events.hpp"

namespace relevo::cli {
namespace {

using namespace std::chrono_literals;

constexpr int kOldestServer = 140'000;
constexpr auto kMostSkew = 1s;
constexpr std::int64_t kFewLeaves = 5;
// Payload 8 MiB, headers 32 KiB, names, the record's and the batch's own bytes.
constexpr std::size_t kLargestEvent = (8U << 20U) + (64U << 10U);
constexpr std::size_t kTinyLimit = 64U << 10U;

Finding ok(std::string what, std::string finding) {
  return {Level::kOk, std::move(what), std::move(finding), {}, 0};
}

Finding note(std::string what, std::string finding, std::string advice = {}) {
  return {Level::kNote, std::move(what), std::move(finding), std::move(advice), 0};
}

Finding warning(std::string what, std::string finding, std::string advice) {
  return {Level::kWarning, std::move(what), std::move(finding), std::move(advice), 0};
}

Finding error(std::string what, std::string finding, std::string advice) {
  return {Level::kError, std::move(what), std::move(finding), std::move(advice),
          exit_code::kMisconfigured};
}

std::string server_version_text(int version) {
  return std::to_string(version / 10'000) + "." + std::to_string(version % 10'000);
}

}  // namespace

std::string_view to_string(Level level) {
  switch (level) {
    case Level::kOk: return "ok";
    case Level::kNote: return "note";
    case Level::kWarning: return "warning";
    case Level::kError: return "error";
  }
  return "error";
}

std::string finding_line(const Finding& finding) {
  std::string line(to_string(finding.level));
  line.resize(9, ' ');
  line += finding.what + ": " + finding.finding;
  if (!finding.advice.empty()) line += "; " + finding.advice;
  return printable(line) + "\n";
}

int exit_code_of(std::span<const Finding> findings) {
  int code = exit_code::kOk;
  for (const auto& finding : findings) {
    if (finding.level != Level::kError) continue;
    if (finding.exit_code == exit_code::kMisconfigured) return finding.exit_code;
    code = finding.exit_code;
  }
  return code;
}

Finding not_looked_at_events() {
  return note(
      "events",
      "this user may not see them (it is no member of relevo_relay): their sequence of ids, "
      "shards, partitions and topics are not looked at");
}

Finding failed(const char* what, const core::IntegrationError& error) {
  return {Level::kError, what, error.what(), advice(error), exit_code_of(error)};
}

std::vector<Finding> judge_server(const postgres::Server& server, std::chrono::microseconds ahead) {
  std::vector<Finding> findings;
  const auto version = "version " + server_version_text(server.version);
  findings.push_back(server.version >= kOldestServer ? ok("PostgreSQL", version)
                                                     : error("PostgreSQL", version + " is too old",
                                                             "upgrade it to 14 or newer"));
  if (server.standby) {
    findings.push_back(
        error("PostgreSQL", "is a standby, where nothing can be written",
              "name the primary in database.url (target_session_attrs=read-write finds it)"));
  }
  findings.push_back(server.system_identifier.empty()
                         ? note("system identifier", "may not be read by this user")
                         : ok("system identifier", server.system_identifier));
  const auto skew = std::chrono::abs(ahead);
  findings.push_back(
      skew > kMostSkew ? warning("clock",
                                 "of this machine is " + duration_text(skew) +
                                     (ahead < 0us ? " behind" : " ahead of") + " the database's",
                                 "set both by NTP; ages and latencies are off by that")
                       : ok("clock", "within " + duration_text(skew + 1ms) + " of the database's"));
  return findings;
}

Finding judge_schema(const postgres::SchemaState& state) {
  const int known = postgres::Migrator::program_version();
  const auto version = "version " + std::to_string(state.version);
  switch (state.fit) {
    case postgres::Fit::kFits:
      if (state.version == known) return ok("schema", version);
      return note("schema", version + " is newer than this program knows, and works with it",
                  "finish the upgrade of relevo");
    case postgres::Fit::kNotMigrated:
      return error("schema",
                   state.version == 0 ? "is not there"
                                      : version + " is older than this program needs (" +
                                            std::to_string(known) + ")",
                   "run `relevo migrate`");
    case postgres::Fit::kProgramTooOld: break;
  }
  return error("schema",
               version + " needs a program of schema version " +
                   std::to_string(state.oldest_program_version) + " or newer; this one has " +
                   std::to_string(known),
               "install a newer relevo");
}

std::vector<Finding> judge_surroundings(const postgres::Surroundings& found, int shards) {
  std::vector<Finding> findings;
  const auto cache = "CACHE " + std::to_string(found.sequence_cache);
  findings.push_back(found.sequence_cache == 1
                         ? ok("sequence of ids", cache)
                         : error("sequence of ids",
                                 cache + " breaks the order of an aggregate's events",
                                 "ALTER SEQUENCE relevo.outbox_id_seq CACHE 1"));
  const auto in_use = std::to_string(found.shards);
  findings.push_back(
      found.shards == shards
          ? ok("shards", in_use)
          : error("shards",
                  "the database has " + in_use + ", relay.shards is " + std::to_string(shards),
                  "set relay.shards to " + in_use));
  if (found.positions != found.shards) {
    findings.push_back(error("positions",
                             std::to_string(found.positions) + " rows for " + in_use + " shards",
                             "restore the rows of relevo.position that were deleted by hand"));
  }
  const auto ahead = std::to_string(found.leaves_ahead) + " ahead";
  findings.push_back(
      found.leaves_ahead >= kFewLeaves
          ? ok("partitions", ahead)
          : warning("partitions", ahead,
                    "start a relay, which creates more, or see its log for what stops it"));
  if (found.default_in_use) {
    findings.push_back(
        warning("partitions", "events were stored in outbox_default, since none was ahead",
                "they are published all the same; see the relay's log for what stopped it"));
  }
  return findings;
}

Finding judge_cluster(const kafka::ClusterDescription& cluster) {
  return ok("Kafka", count_text(static_cast<std::int64_t>(cluster.brokers.size()), "broker") +
                         ", cluster id " +
                         (cluster.cluster_id.empty() ? "unknown" : cluster.cluster_id));
}

Finding judge_topic(const kafka::TopicDescription& topic, bool created_on_use) {
  const auto what = "topic " + topic.name;
  if (!topic.exists) {
    if (created_on_use)
      return note(what, topic.error, "relevo creates it on first use, if that is the cause");
    return warning(what, topic.error,
                   "events for it are parked until it is there; create it, or name another");
  }
  auto text = count_text(topic.partitions, "partition");
  if (!topic.max_message_bytes) return ok(what, text);
  const auto limit = *topic.max_message_bytes;
  text += ", max.message.bytes " + std::to_string(limit);
  if (limit < kTinyLimit) {
    return warning(what, text + " is very small", "larger events are parked; raise it");
  }
  if (limit < kLargestEvent) {
    return note(what, text + ", less than the 8 MiB an event may hold",
                "larger events are parked; raise it if you have such");
  }
  return ok(what, text);
}

Finding judge_source_topic(const kafka::TopicDescription& topic, const std::string& subscription) {
  const auto what = "topic " + topic.name + " of subscription " + subscription;
  if (topic.exists) return ok(what, count_text(topic.partitions, "partition"));
  return warning(what, topic.error,
                 "nothing of it is consumed until it is there; create it, or correct the topics of "
                 "the subscription");
}

Finding judge_dead_letter_topic(const kafka::TopicDescription& topic,
                                const std::string& subscription, bool created_on_use) {
  const auto what = "dead letter topic " + topic.name + " of subscription " + subscription;
  if (topic.exists) return ok(what, count_text(topic.partitions, "partition"));
  if (created_on_use)
    return note(what, topic.error, "relevo creates it on first use, if that is the cause");
  return warning(what, topic.error,
                 "the key of a dead message waits until it is there; create it, or set "
                 "kafka.topics.create");
}

std::vector<Finding> count_lists(const config::Config& config) {
  std::vector<Finding> findings;
  const auto count = [&](const char* what, std::size_t entries) {
    if (entries == 0) return;
    findings.push_back(ok(what, std::to_string(entries) + " configured"));
  };
  count("handlers", config.handlers.size());
  count("schedules", config.schedules.size());
  count("subscriptions", config.subscriptions.size());
  return findings;
}

std::vector<Finding> look_at_secret_files(const config::Config& config) {
  std::map<std::string, std::string> keys;  // path -> the first key that names it
  const auto add = [&](const config::HttpHandler& http, const std::string& entry) {
    if (!http.secret_file.empty()) keys.try_emplace(http.secret_file, entry + ".http.secret_file");
  };
  for (std::size_t i = 0; i < config.handlers.size(); ++i) {
    add(config.handlers[i].http, "handlers[" + std::to_string(i) + "]");
  }
  for (std::size_t i = 0; i < config.subscriptions.size(); ++i) {
    const auto& http = config.subscriptions[i].http;
    if (http) add(*http, "subscriptions[" + std::to_string(i) + "]");
  }

  std::vector<Finding> findings;
  std::size_t readable = 0;
  for (const auto& [path, key] : keys) {
    try {
      if (config::read_secret_file(path).empty()) {
        findings.push_back(error("secret file", path + " is empty",
                                 "write the secret, whsec_…, into it, or correct " + key));
      } else {
        ++readable;
      }
    } catch (const core::IntegrationError& problem) {
      findings.push_back(error("secret file", path + " cannot be read: " + problem.detail(),
                               "let this user read it, or correct " + key));
    }
  }
  if (readable > 0) {
    findings.push_back(ok("secret files", std::to_string(readable) + " can be read"));
  }
  return findings;
}

std::vector<std::string> topics_of(std::span<const postgres::TopicNames> names,
                                   const std::string& topic_template) {
  std::set<std::string> topics;
  if (topic_template.find('{') == std::string::npos) topics.insert(topic_template);
  const relay::TopicTemplate rendered(topic_template);
  for (const auto& name : names) {
    relay::OutboxRow row;
    row.aggregate_type = name.aggregate_type;
    row.event_type = name.event_type;
    if (name.tenant) row.tenant = *name.tenant;
    std::string topic;
    rendered.render(row, topic);
    topics.insert(name.topic.value_or(topic));
  }
  return {topics.begin(), topics.end()};
}

}  // namespace relevo::cli
