// The whole configuration of the daemon as plain structs. The values here are the defaults; a test
// holds config/relevo.yaml equal to them. Meaning, unit and trade-off of each key stand beside it.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "relevo/config/secret.hpp"

namespace relevo::config {

using std::chrono::milliseconds;

struct Database {
  // libpq URI or key=value string. May come without a password: libpq then looks in PGPASSFILE.
  Secret url{"postgresql:///relevo"};
  // File whose content is used as password; for Kubernetes secrets. Empty: none.
  std::string password_file;
  // Prepared statements plan once per connection. off: for PgBouncer before 1.21 in transaction
  // mode.
  bool prepared_statements = true;
  milliseconds connect_timeout{5'000};
  // A statement without an answer for this long counts as a lost connection.
  milliseconds statement_timeout{30'000};
};

struct KafkaTopics {
  bool create = false;            // create a topic on first use
  std::int32_t partitions = 6;    // of topics created so
  std::int16_t replication = -1;  // -1: the broker's default
};

struct Kafka {
  std::string bootstrap_servers = "localhost:9092";
  KafkaTopics topics;
  // Any librdkafka property, except those the guarantees rest on (refused with the reason).
  std::map<std::string, std::string> properties;
  // Properties whose value is read from a file (passwords): name -> path.
  std::map<std::string, std::string> property_files;
  // For trying things out: a broker inside this process (librdkafka's mock cluster). It keeps
  // nothing.
  bool embedded = false;
};

struct Relay {
  std::string delivery = "at_least_once";
  // Topic of an event that names none. {aggregate_type}, {event_type} and {tenant} are replaced.
  std::string topic = "outbox.event.{aggregate_type}";
  // CloudEvents source (RFC 3986 URI reference) of all events published here.
  std::string source = "/relevo";
  // Unit of work sharing; a power of two. Fixed once the schema is in use.
  int shards = 8;
  // A replica that dies is taken over after this long. Shorter: quicker take-over, more writes.
  milliseconds lease_ttl{10'000};
  // How often positions are saved; what was published since is published again after a crash.
  milliseconds save_interval{250};
  // Looking for new events: shortest interval under load, longest when idle (the latency of the
  // first event after a pause; a look costs some 50 µs of PostgreSQL).
  milliseconds poll_min{1};
  milliseconds poll_max{25};
  // Events handed to Kafka and not yet acknowledged. Bounds memory and the duplicates after a
  // crash.
  std::int64_t max_in_flight = 20'000;
};

struct Worker {
  // Kinds run on this many threads of the process; a handler may block.
  int threads = 8;
  // Jobs claimed and not yet finished. Bounds memory, and the second executions after a crash.
  int max_in_flight = 2'000;
  // A replica that dies is taken over after this long.
  milliseconds lease_ttl{10'000};
  // Looking for new jobs: shortest interval under load, longest when idle.
  milliseconds poll_min{1};
  milliseconds poll_max{25};
  // A job whose process died so often is quarantined.
  int quarantine_after = 3;
  // A handler that ignores for this long that its time limit has asked it to stop is given up: the
  // process then ends and is started anew.
  milliseconds give_up{30'000};
  // How long finished jobs are kept in the history.
  milliseconds history{86'400'000};
};

// Rules of a kind (docs/jobs.md); a kind that ends in * covers all that begin so.
struct Kind {
  std::string kind;
  std::optional<int> max_attempts;
  std::optional<milliseconds> backoff_base;
  std::optional<milliseconds> backoff_cap;
  std::optional<milliseconds> timeout;
  std::optional<std::string> history;  // all, failures
  std::optional<milliseconds> unique_for;
  std::optional<int> key_concurrency;
};

// A handler reached by HTTP.
struct HttpHandler {
  std::string url;
  milliseconds timeout{15'000};
  int concurrency = 10;
  std::string secret_file;  // of the signature: whsec_…; empty: requests are not signed
  // Permits http:// and addresses of private networks.
  bool allow_private = false;
};

struct Handler {
  std::string kind;  // exact, or ending in *
  HttpHandler http;
};

struct Schedule {
  std::string name;
  std::string cron;  // exactly one of cron, every, at
  std::optional<milliseconds> every;
  std::string at;                 // RFC 3339
  std::string time_zone = "UTC";  // IANA name
  std::string kind;
  std::string queue = "default";
  std::string payload = "{}";  // JSON text
  int priority = 0;
  std::string missed = "once";  // skip, once, all
  int missed_max = 100;         // with all: at most so many
  std::optional<std::string> unique_key;
  std::optional<std::string> concurrency_key;
  std::optional<std::string> rate_key;
  std::optional<std::string> tenant;
};

struct Subscription {
  std::string name;
  std::vector<std::string> topics;
  std::string group;                // empty: relevo.<name>
  std::string handler;              // exactly one: a registered message handler, …
  std::string enqueue;              // … the kind of the job each message becomes, …
  std::optional<HttpHandler> http;  // … an endpoint
  std::string envelope = "auto";    // auto, cloudevents, debezium, json
  std::string start = "earliest";   // of a new group: earliest, latest
  std::vector<std::string> types;   // empty: all; else those not listed are unknown
  std::string unknown = "skip";     // unknown types: skip, dead_letter
  int concurrency = 8;              // keys at work at a time
  int batch_size = 500;             // messages in one transaction at most
  int max_attempts = 10;
  milliseconds timeout{300'000};  // of one run of a registered handler
  std::string dead_letter_topic;  // empty: the table only
};

struct Http {
  // Where /livez, /readyz, /metrics are served. Port 0: any free one, printed at start. Empty: no
  // HTTP.
  std::string listen = "0.0.0.0:9464";
};

struct Log {
  std::string level = "info";   // debug, info, warn, error
  std::string format = "auto";  // json, text; auto: text on a terminal, else json
};

struct Shutdown {
  // After SIGTERM: finish what is in flight, hand leases back, exit within this time.
  milliseconds grace{25'000};
};

struct Config {
  std::vector<std::string> roles{"relay"};
  std::string
      instance;  // name of this replica in relevo.replica; empty: host name and a random suffix
  Database database;
  Kafka kafka;
  Relay relay;
  Worker worker;
  std::vector<Kind> kinds;
  std::vector<Handler> handlers;
  std::vector<Schedule> schedules;
  std::vector<Subscription> subscriptions;
  Http http;
  Log log;
  Shutdown shutdown;
};

}  // namespace relevo::config
