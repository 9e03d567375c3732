#include "key_table.hpp"

#include <algorithm>
#include <cctype>
#include <type_traits>
#include <utility>

#include "nearest.hpp"
#include "redact.hpp"
#include "type_name.hpp"

namespace relevo::config {

namespace {

ShownValue show_field(const Secret& value) { return redact_url(value.reveal()); }
ShownValue show_field(const Map& value) { return redact_properties(value); }
template <class T>
ShownValue show_field(const T& value) {
  return show(value);
}

// field: a generic lambda from Config& to the field, so that reading and showing cannot disagree.
template <class Field>
Key key(std::string path, std::string rule, std::string meaning, Field field) {
  using T = std::remove_cvref_t<decltype(field(std::declval<Config&>()))>;
  return Key{std::move(path),
             kShape<T>,
             std::string(kTypeName<T>),
             std::move(rule),
             std::move(meaning),
             [field](Config& config, const Raw& raw) { return read(raw, field(config)); },
             [field](const Config& config) {
               return std::visit([](auto value) { return Shown(std::move(value)); },
                                 show_field(field(config)));
             },
             std::nullopt};
}

std::vector<ShownRecord> show_records(const RecordList& records, const Config& config) {
  std::vector<ShownRecord> shown(records.size(config));
  for (std::size_t entry = 0; entry < shown.size(); ++entry) {
    for (const Field& field : records.fields) {
      if (auto value = field.show(config, entry)) shown[entry].emplace_back(field.path, *value);
    }
  }
  return shown;
}

Key list_key(std::string path, std::string meaning, const RecordList& records) {
  return Key{std::move(path),
             Shape::kRecords,
             "list of records",
             "see below",
             std::move(meaning),
             nullptr,
             [records](const Config& config) { return show_records(records, config); },
             records};
}

#define RELEVO_FIELD(member) ([](auto& config) -> auto& { return config.member; })

std::vector<Key> build_table() {
  std::vector<Key> table;
  const auto add = [&table](std::string path, std::string rule, std::string meaning, auto field) {
    table.push_back(key(std::move(path), std::move(rule), std::move(meaning), field));
  };

  add("roles", "at least one of `relay`, `worker`, `consumer`, `scheduler`",
      "what this process does", RELEVO_FIELD(roles));
  add("instance", "at most 63 printable characters",
      "name of this replica in `relevo.replica`; empty: host name and a random suffix",
      RELEVO_FIELD(instance));

  add("database.url", "libpq URI or key=value string", "the database that holds the outbox",
      RELEVO_FIELD(database.url));
  add("database.password_file", "", "file whose content is the password; empty: none",
      RELEVO_FIELD(database.password_file));
  add("database.prepared_statements", "",
      "plan statements once per connection; `false` for PgBouncer before 1.21 in transaction mode",
      RELEVO_FIELD(database.prepared_statements));
  add("database.connect_timeout", "1s to 5m", "one attempt to connect",
      RELEVO_FIELD(database.connect_timeout));
  add("database.statement_timeout", "1s to 10m",
      "a statement without an answer counts as a lost connection",
      RELEVO_FIELD(database.statement_timeout));

  add("kafka.bootstrap_servers", "not empty unless `kafka.embedded`",
      "brokers to begin with, host:port,host:port", RELEVO_FIELD(kafka.bootstrap_servers));
  add("kafka.topics.create", "", "create a topic on first use", RELEVO_FIELD(kafka.topics.create));
  add("kafka.topics.partitions", "1 to 10000", "partitions of topics created so",
      RELEVO_FIELD(kafka.topics.partitions));
  add("kafka.topics.replication", "-1, or 1 to 32",
      "replication factor of topics created so; -1: the broker's default",
      RELEVO_FIELD(kafka.topics.replication));
  add("kafka.properties", "see below", "librdkafka properties", RELEVO_FIELD(kafka.properties));
  add("kafka.property_files", "see below", "librdkafka properties read from files: name to path",
      RELEVO_FIELD(kafka.property_files));
  add("kafka.embedded", "",
      "for trying things out: a broker inside this process that keeps nothing",
      RELEVO_FIELD(kafka.embedded));

  add("relay.delivery", "this version: `at_least_once`", "delivery guarantee",
      RELEVO_FIELD(relay.delivery));
  add("relay.topic",
      "letters, digits, `.`, `_`, `-`, `{aggregate_type}`, `{event_type}`, `{tenant}`",
      "topic of an event that names none", RELEVO_FIELD(relay.topic));
  add("relay.source", "a URI reference, not empty",
      "CloudEvents `source` of the events published here", RELEVO_FIELD(relay.source));
  add("relay.shards", "a power of two, 1 to 256",
      "units of work sharing; fixed once the schema is in use", RELEVO_FIELD(relay.shards));
  add("relay.lease_ttl", "2s to 5m", "a replica that dies is taken over after this long",
      RELEVO_FIELD(relay.lease_ttl));
  add("relay.save_interval", "at least 1ms, below a quarter of `relay.lease_ttl`",
      "how often positions are saved; what was published since is published again after a crash",
      RELEVO_FIELD(relay.save_interval));
  add("relay.poll_min", "1ms to `relay.poll_max`", "interval of looking for events under load",
      RELEVO_FIELD(relay.poll_min));
  add("relay.poll_max", "`relay.poll_min` to 1s", "interval of looking for events when idle",
      RELEVO_FIELD(relay.poll_max));
  add("relay.max_in_flight", "100 to 1000000", "events handed to Kafka and not yet acknowledged",
      RELEVO_FIELD(relay.max_in_flight));

  add("worker.threads", "1 to 256", "threads that run handlers", RELEVO_FIELD(worker.threads));
  add("worker.max_in_flight", "10 to 20000", "jobs claimed and not yet finished",
      RELEVO_FIELD(worker.max_in_flight));
  add("worker.lease_ttl", "2s to 5m", "a replica that dies is taken over after this long",
      RELEVO_FIELD(worker.lease_ttl));
  add("worker.poll_min", "1ms to `worker.poll_max`", "interval of looking for jobs under load",
      RELEVO_FIELD(worker.poll_min));
  add("worker.poll_max", "`worker.poll_min` to 1s", "interval of looking for jobs when idle",
      RELEVO_FIELD(worker.poll_max));
  add("worker.quarantine_after", "1 to 100", "a job whose process died so often is quarantined",
      RELEVO_FIELD(worker.quarantine_after));
  add("worker.give_up", "1s to 1h",
      "how long a handler may ignore its time limit before its thread is replaced, then the "
      "process",
      RELEVO_FIELD(worker.give_up));
  add("worker.history", "1h to 365d", "finished jobs are kept in the history for this long",
      RELEVO_FIELD(worker.history));

  table.push_back(list_key("kinds", "rules for kinds of jobs", kind_records()));
  table.push_back(list_key("handlers", "kinds of jobs that HTTP endpoints do", handler_records()));
  table.push_back(list_key("schedules", "jobs made at certain times", schedule_records()));
  table.push_back(list_key("subscriptions", "topics that are consumed", subscription_records()));

  add("http.listen", "host:port, `[::1]:9464` for IPv6",
      "address of probes and metrics; empty: no HTTP", RELEVO_FIELD(http.listen));
  add("log.level", "`debug`, `info`, `warn`, `error`", "least level written",
      RELEVO_FIELD(log.level));
  add("log.format", "`auto`, `json`, `text`", "form of a line; auto: text on a terminal, else JSON",
      RELEVO_FIELD(log.format));
  add("shutdown.grace", "1s to 1h", "time to finish after SIGTERM", RELEVO_FIELD(shutdown.grace));
  return table;
}

#undef RELEVO_FIELD

}  // namespace

const std::vector<Key>& key_table() {
  static const std::vector<Key> kTable = build_table();
  return kTable;
}

const Key* find_key(std::string_view path) {
  const auto& table = key_table();
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const Key& k) { return k.path == path; });
  return found == table.end() ? nullptr : &*found;
}

bool is_section(std::string_view path) {
  const std::string prefix = std::string(path) + ".";
  const auto& table = key_table();
  return std::any_of(table.begin(), table.end(),
                     [&](const Key& k) { return k.path.starts_with(prefix); });
}

std::string environment_name(std::string_view path) {
  std::string name = "RELEVO_";
  for (const char c : path) {
    name += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

std::optional<std::string> nearest_key(std::string_view path) {
  std::vector<std::string> known;
  for (const Key& key : key_table()) known.push_back(key.path);
  return nearest_path(path, known);
}

}  // namespace relevo::config
