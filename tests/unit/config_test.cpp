#include <gtest/gtest.h>

#include <unistd.h>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "relevo/config/listen_address.hpp"
#include "relevo/config/load.hpp"
#include "relevo/config/print.hpp"
#include "relevo/config/reference.hpp"
#include "relevo/config/secret_file.hpp"
#include "relevo/config/validate.hpp"
#include "relevo/core/error.hpp"

namespace relevo::config {
namespace {

using namespace std::chrono_literals;

std::filesystem::path repository() {
  return std::filesystem::path(__FILE__).parent_path().parent_path().parent_path();
}

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string all_lines(const std::vector<Problem>& problems) {
  std::string out;
  for (const Problem& problem : problems) out += problem.line() + "\n";
  return out;
}

class ConfigLoad : public testing::Test {
 protected:
  ConfigLoad() {
    std::string name = (std::filesystem::temp_directory_path() / "relevo-config-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~ConfigLoad() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) {
    const std::string path = (folder_ / name).string();
    std::ofstream(path) << text;
    return path;
  }

  LoadResult load_yaml(const std::string& text, Environment environment = {}) {
    return load({write("relevo.yaml", text), std::move(environment)});
  }

  // The errors as lines, with the folder taken out.
  std::string errors(const LoadResult& result) {
    std::string text = all_lines(result.errors);
    const std::string prefix = folder_.string() + "/";
    for (auto at = text.find(prefix); at != std::string::npos; at = text.find(prefix))
      text.erase(at, prefix.size());
    return text;
  }

  std::filesystem::path folder_;
};

TEST_F(ConfigLoad, NothingGivenMeansDefaults) {
  const LoadResult result = load({});
  EXPECT_EQ(all_lines(result.errors), "");
  EXPECT_EQ(print_effective_json(result.config), print_effective_json(Config{}));
  for (const char* empty : {"", "\n", "# only a comment\n", "---\n", "kafka:\nrelay:\n"}) {
    EXPECT_EQ(errors(load_yaml(empty)), "") << empty;
  }
}

TEST_F(ConfigLoad, ReadsEveryKindOfValue) {
  const LoadResult result = load_yaml(R"(roles: [relay]
instance: eu-1
database: {url: "postgresql://relevo@db/shop", prepared_statements: off}
kafka:
  topics:
    create: yes
    replication: 3
  properties:
    linger.ms: 5
    sasl.mechanisms: SCRAM-SHA-512
  property_files: {sasl.password: /run/secrets/kafka}
relay: {lease_ttl: 1m, poll_max: 100ms, max_in_flight: 500}
shutdown:
  grace: 1h
)");
  ASSERT_EQ(errors(result), "");
  const Config& config = result.config;
  EXPECT_EQ(config.instance, "eu-1");
  EXPECT_EQ(config.database.url.reveal(), "postgresql://relevo@db/shop");
  EXPECT_FALSE(config.database.prepared_statements);
  EXPECT_TRUE(config.kafka.topics.create);
  EXPECT_EQ(config.kafka.topics.replication, 3);
  EXPECT_EQ(config.kafka.properties.at("linger.ms"), "5");
  EXPECT_EQ(config.kafka.property_files.at("sasl.password"), "/run/secrets/kafka");
  EXPECT_EQ(config.relay.lease_ttl, 1min);
  EXPECT_EQ(config.relay.poll_max, 100ms);
  EXPECT_EQ(config.relay.max_in_flight, 500);
  EXPECT_EQ(config.shutdown.grace, 1h);
}

TEST_F(ConfigLoad, ReportsEveryMistakeWithItsLine) {
  const LoadResult result = load_yaml(R"(relay:
  lease_tll: 10s
  poll_max: 25
  shards: many
  shards: 7
kafka:
  topics: everything
  properties: [acks]
http:
  listen:
htpp: {}
lease_ttl: 5s
relay.source: /x
log: {level: loud}
)");
  EXPECT_EQ(
      errors(result),
      "relevo.yaml:2: relay.lease_tll: unknown key; did you mean relay.lease_ttl?\n"
      "relevo.yaml:3: relay.poll_max: 25 has no unit; use ms, s, m, h or d, as in 250ms or 10s\n"
      "relevo.yaml:4: relay.shards: expected a whole number, found \"many\"\n"
      "relevo.yaml:5: relay.shards: given twice; the first is on line 4\n"
      "relevo.yaml:7: kafka.topics: expected keys below it, found a value\n"
      "relevo.yaml:8: kafka.properties: expected a map of name: value, found a list\n"
      "relevo.yaml:10: http.listen: has no value; remove the line, or write \"\" for an empty "
      "text\n"
      "relevo.yaml:11: htpp: unknown key; did you mean http?\n"
      "relevo.yaml:12: lease_ttl: unknown key; did you mean relay.lease_ttl?\n"
      "relevo.yaml:13: relay.source: unknown key; write its parts on lines of their own, indented\n"
      "relevo.yaml:14: log.level: must be debug, info, warn or error, is \"loud\"\n");
}

TEST_F(ConfigLoad, RefusesValuesOfTheWrongForm) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"relay: {lease_ttl: ten}", "expected a duration such as 250ms, found \"ten\""},
      {"relay: {lease_ttl: 10sec}", "\"10sec\" has no known unit; use ms, s, m, h or d"},
      {"relay: {lease_ttl: 1.5s}", "\"1.5s\" is not whole"},
      {"relay: {lease_ttl: -5s}", "\"-5s\" is negative"},
      {"relay: {lease_ttl: 99999999999999999999s}", "out of range"},
      {"relay: {lease_ttl: 9999999999999h}", "out of range"},
      {"relay: {shards: 8.5}", "expected a whole number"},
      {"relay: {shards: 99999999999}", "out of range"},
      {"kafka: {topics: {replication: 40000}}", "out of range; at most 32767"},
      {"kafka: {embedded: maybe}", "expected true or false, found \"maybe\""},
      {"kafka: {properties: {a: {b: c}}}", "kafka.properties: a has no single value"},
      {"kafka: {properties: {linger.ms: 1, linger.ms: 2}}", "given twice; the first is on line 1"},
      {"kafka: {properties: {[1]: 2}}", "a key must be text"},
      {"roles: relay", "expected a list such as [relay], found a single value"},
      {"roles: [[relay]]", "an entry of the list is not text"},
      {"instance: [a]", "expected text, found a list"},
      {"just text", "expected keys at the top"},
      {"- roles", "expected keys at the top"},
      {"roles: [relay", "not YAML"},
      {"roles: [relay]\n---\nroles: [relay]", "a second YAML document"},
      {"\tlog: {}", "not YAML"},
  };
  for (const auto& [yaml, message] : cases) {
    const LoadResult result = load_yaml(yaml);
    EXPECT_EQ(result.errors.size(), 1U) << yaml << "\n" << errors(result);
    EXPECT_NE(errors(result).find(message), std::string::npos) << yaml << "\n" << errors(result);
  }
}

TEST_F(ConfigLoad, SurvivesHostileFiles) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  const std::vector<std::string> files{std::string(100'000, '['),
                                       std::string(100'000, '{'),
                                       bytes,
                                       std::string(64, '\0'),
                                       "a: &a [*a, *a]\nroles: *a",
                                       "<<: {roles: []}",
                                       std::string(2 << 20, ' '),
                                       "? [a]\n: b",
                                       std::string(5'000, 'x') + ": 1"};
  for (const std::string& text : files) EXPECT_FALSE(load_yaml(text).ok()) << text.substr(0, 20);
}

TEST_F(ConfigLoad, SaysWhyAFileCannotBeRead) {
  const std::string missing = (folder_ / "none.yaml").string();
  EXPECT_EQ(all_lines(load({missing, {}}).errors),
            missing + ": cannot be read: No such file or directory\n");
  EXPECT_EQ(all_lines(load({folder_.string(), {}}).errors),
            folder_.string() + ": cannot be read: Is a directory\n");
}

TEST_F(ConfigLoad, TheVariableRelevoConfigNamesTheFileUnlessOneIsGiven) {
  const std::string other = write("other.yaml", "instance: other");
  EXPECT_EQ(load({std::nullopt, {{"RELEVO_CONFIG", other}}}).config.instance, "other");
  EXPECT_EQ(load_yaml("instance: given", {{"RELEVO_CONFIG", other}}).config.instance, "given");
}

TEST_F(ConfigLoad, EnvironmentWinsOverFile) {
  const std::string file =
      "instance: file\nrelay: {lease_ttl: 20s}\nkafka: {properties: {linger.ms: 1, a: b}}";
  const LoadResult result =
      load_yaml(file, {{"RELEVO_INSTANCE", "env"},
                       {"RELEVO_ROLES", "relay , "},
                       {"RELEVO_KAFKA_TOPICS_CREATE", "true"},
                       {"RELEVO_KAFKA_PROPERTIES", "linger.ms=5,sasl.jaas.config=a=b\\,c"}});
  ASSERT_EQ(errors(result), "");
  EXPECT_EQ(result.config.instance, "env");
  EXPECT_EQ(result.config.relay.lease_ttl, 20s);
  EXPECT_EQ(result.config.roles, std::vector<std::string>{"relay"});
  EXPECT_TRUE(result.config.kafka.topics.create);
  const std::map<std::string, std::string> merged{
      {"a", "b"}, {"linger.ms", "5"}, {"sasl.jaas.config", "a=b,c"}};
  EXPECT_EQ(result.config.kafka.properties, merged);
}

TEST_F(ConfigLoad, EveryKeyCanComeFromTheEnvironmentAndFromAFile) {
  for (const KeyReference& key : reference()) {
    if (key.environment.empty()) continue;
    const std::string bad = key.type == "list" ? "[]" : "x";
    const LoadResult result = load({std::nullopt, {{key.environment, bad}}});
    EXPECT_TRUE(result.warnings.empty()) << key.environment;
    const LoadResult from_file =
        load({std::nullopt, {{key.environment + "_FILE", write("value", bad + "\n")}}});
    EXPECT_TRUE(from_file.warnings.empty()) << key.environment;
    EXPECT_EQ(result.errors.size(), from_file.errors.size()) << key.environment;
    EXPECT_TRUE(!result.ok() ||
                print_effective_json(result.config) != print_effective_json(Config{}))
        << key.path;
  }
}

TEST_F(ConfigLoad, ReadsValuesFromFilesWithoutTheLineEnd) {
  const LoadResult result =
      load({std::nullopt,
            {{"RELEVO_DATABASE_URL_FILE", write("url", "postgresql://u:p@h/d\r\n")},
             {"RELEVO_KAFKA_PROPERTIES_FILE", write("kafka", "linger.ms=5\nclient.id=x\n")}}});
  ASSERT_EQ(all_lines(result.errors), "");
  EXPECT_EQ(result.config.database.url.reveal(), "postgresql://u:p@h/d");
  EXPECT_EQ(result.config.kafka.properties.size(), 2U);
}

TEST_F(ConfigLoad, ReportsMistakesInTheEnvironment) {
  const LoadResult result = load({std::nullopt,
                                  {{"RELEVO_RELAY_LEASE_TTL", "10"},
                                   {"RELEVO_HTTP_LISTEN", "9464"},
                                   {"RELEVO_KAFKA_PROPERTIES", "linger.ms=5,oops"},
                                   {"RELEVO_DATABASE_URL", "postgresql:///a"},
                                   {"RELEVO_DATABASE_URL_FILE", "/none"},
                                   {"RELEVO_RELAY_SOURCE_FILE", "/none"}}});
  const std::string lines = all_lines(result.errors);
  for (const char* expected :
       {"RELEVO_RELAY_LEASE_TTL: relay.lease_ttl: 10 has no unit",
        "RELEVO_HTTP_LISTEN: http.listen: must be host:port",
        "RELEVO_KAFKA_PROPERTIES: kafka.properties: entry 2 is not name=value",
        "RELEVO_DATABASE_URL_FILE: database.url: also given by RELEVO_DATABASE_URL",
        "RELEVO_RELAY_SOURCE_FILE: relay.source: \"/none\" cannot be read: No such file or "
        "directory"}) {
    EXPECT_NE(lines.find(expected), std::string::npos) << expected << "\n" << lines;
  }
  EXPECT_EQ(result.errors.size(), 5U) << lines;
}

TEST_F(ConfigLoad, WarnsOfUnknownVariablesButNotOfKubernetesOrTools) {
  const LoadResult result = load({std::nullopt,
                                  {{"RELEVO_RELAY_LEASE_TLL", "5s"},
                                   {"RELEVO_HTTP_PORT", "9464"},
                                   {"RELEVO_SERVICE_HOST", "10.0.0.1"},
                                   {"RELEVO_SERVICE_PORT", "9464"},
                                   {"RELEVO_SERVICE_PORT_METRICS", "9464"},
                                   {"RELEVO_PORT", "tcp://10.0.0.1:9464"},
                                   {"RELEVO_PORT_9464_TCP", "tcp://10.0.0.1:9464"},
                                   {"RELEVO_PORT_9464_TCP_ADDR", "10.0.0.1"},
                                   {"RELEVO_METRICS_SERVICE_HOST", "10.0.0.1"},
                                   {"RELEVO_METRICS_PORT", "tcp://10.0.0.1:9464"},
                                   {"RELEVO_METRICS_PORT_9464_TCP_PROTO", "tcp"},
                                   {"RELEVO_TEST_POSTGRES", "x"},
                                   {"RELEVO_BIN", "x"},
                                   {"RELEVO_SCRIPTS", "x"},
                                   {"RELEVO_PRESET", "x"},
                                   {"PATH", "/bin"}}});
  EXPECT_TRUE(result.ok());
  EXPECT_EQ(
      all_lines(result.warnings),
      "RELEVO_HTTP_PORT: unknown variable, ignored; did you mean RELEVO_HTTP_LISTEN?\n"
      "RELEVO_RELAY_LEASE_TLL: unknown variable, ignored; did you mean RELEVO_RELAY_LEASE_TTL?\n");
}

TEST_F(ConfigLoad, ProblemsNeverContainSecrets) {
  const std::string secret = "hunter2";
  const std::vector<std::string> files{
      "database: postgresql://u:hunter2@h/d",
      "database: {url: [postgresql://u:hunter2@h/d]}",
      "database: {url: mysql://u:hunter2@h/d}",
      "database: {url: hunter2}",
      "postgresql://u:hunter2@h/d",
      "{postgresql://u:hunter2@h/d: }",
      "kafka: {properties: {sasl.password: [hunter2]}}",
      "kafka: {properties: \"sasl.password=hunter2\"}",
      "kafka: {properties: {sasl.password: *hunter2}}",
      "kafka: {properties: {sasl.password: hunter2, sasl.password: hunter2, acks: 1}}",
      "kafka: {sasl.password: hunter2}",
  };
  for (const std::string& text : files) {
    const LoadResult result = load_yaml(text);
    EXPECT_FALSE(result.ok()) << text;
    EXPECT_EQ(errors(result).find(secret), std::string::npos) << errors(result);
  }
  const LoadResult result = load({std::nullopt,
                                  {{"RELEVO_DATABASE_URL", "u:hunter2@h"},
                                   {"RELEVO_KAFKA_PROPERTIES", "sasl.password=x,hunter2"},
                                   {"RELEVO_DATABASE_PASWORD", "hunter2"}}});
  EXPECT_EQ(result.errors.size(), 2U);
  EXPECT_EQ(result.warnings.size(), 1U);
  EXPECT_EQ((all_lines(result.errors) + all_lines(result.warnings)).find(secret),
            std::string::npos);
}

TEST_F(ConfigLoad, AFailedKeyDoesNotDragDownOthers) {
  // Against the default lease_ttl the interval would be too long.
  const LoadResult result = load_yaml("relay: {lease_ttl: 60, save_interval: 5s}");
  EXPECT_EQ(
      errors(result),
      "relevo.yaml:1: relay.lease_ttl: 60 has no unit; use ms, s, m, h or d, as in 250ms or 10s\n");
}

TEST_F(ConfigLoad, SecretFilesLoseTheirLineEndAndMissingOnesAreMisconfiguration) {
  EXPECT_EQ(read_secret_file(write("password", " pass word\n")).reveal(), " pass word");
  try {
    read_secret_file((folder_ / "none").string());
    FAIL();
  } catch (const core::IntegrationError& e) {
    EXPECT_EQ(e.kind(), core::ErrorKind::kMisconfigured);
  }
}

struct Rule {
  std::string name;
  std::function<void(Config&)> change;
  std::string problem;  // empty: allowed
};

TEST(ConfigRules, EachBites) {
  const std::vector<Rule> rules{
      {"defaults", [](Config&) {}, ""},
      {"no roles", [](Config& c) { c.roles = {}; }, "roles: at least one role"},
      {"roles of jobs",
       [](Config& c) {
         c.roles = {"relay", "worker", "scheduler"};
       },
       ""},
      {"webhooks",
       [](Config& c) {
         c.roles = {"relay", "webhooks"};
       },
       "roles: role \"webhooks\" is not in this version"},
      {"unknown role", [](Config& c) { c.roles = {"rely"}; }, "roles: unknown role \"rely\""},
      {"instance", [](Config& c) { c.instance = std::string(63, 'x'); }, ""},
      {"long instance", [](Config& c) { c.instance = std::string(64, 'x'); },
       "instance: must be at most 63"},
      {"control in instance", [](Config& c) { c.instance = "a\nb"; },
       "instance: must be at most 63 printable"},
      {"no url", [](Config& c) { c.database.url = Secret(); }, "database.url: must not be empty"},
      {"odd url", [](Config& c) { c.database.url = Secret("mysql://h/d?a=b"); },
       "database.url: must be postgresql"},
      {"keyword url", [](Config& c) { c.database.url = Secret("host=h dbname=d"); }, ""},
      {"connect_timeout", [](Config& c) { c.database.connect_timeout = 10ms; },
       "database.connect_timeout: must be 1s to 5m"},
      {"statement_timeout", [](Config& c) { c.database.statement_timeout = 1h; },
       "database.statement_timeout: must be 1s to 10m, is 1h"},
      {"no brokers", [](Config& c) { c.kafka.bootstrap_servers = ""; },
       "kafka.bootstrap_servers: must not be empty"},
      {"embedded",
       [](Config& c) {
         c.kafka.bootstrap_servers = "";
         c.kafka.embedded = true;
       },
       ""},
      {"partitions", [](Config& c) { c.kafka.topics.partitions = 0; },
       "kafka.topics.partitions: must be 1 to 10000, is 0"},
      {"replication", [](Config& c) { c.kafka.topics.replication = 0; },
       "kafka.topics.replication: must be 1 to 32"},
      {"property", [](Config& c) { c.kafka.properties["allow.auto.create.topics"] = "true"; }, ""},
      {"property name", [](Config& c) { c.kafka.properties["acks "] = "1"; },
       "kafka.properties: \"acks \" is not the name"},
      {"property twice",
       [](Config& c) {
         c.kafka.properties["a"] = "1";
         c.kafka.property_files["a"] = "/f";
       },
       "kafka.property_files: \"a\" is in kafka.properties too"},
      {"property file", [](Config& c) { c.kafka.property_files["a"] = ""; },
       "kafka.property_files: \"a\" names no file"},
      {"refused property file", [](Config& c) { c.kafka.property_files["acks"] = "/f"; },
       "kafka.property_files: acks cannot"},
      {"exactly once", [](Config& c) { c.relay.delivery = "exactly_once"; },
       "relay.delivery: \"exactly_once\" is not in this version"},
      {"delivery", [](Config& c) { c.relay.delivery = "at_most_once"; },
       "relay.delivery: unknown guarantee"},
      {"no topic", [](Config& c) { c.relay.topic = ""; }, "relay.topic: must not be empty"},
      {"fixed topic", [](Config& c) { c.relay.topic = "events"; }, ""},
      {"all placeholders",
       [](Config& c) { c.relay.topic = "{tenant}.{aggregate_type}-{event_type}"; }, ""},
      {"placeholder", [](Config& c) { c.relay.topic = "a.{type}"; },
       "relay.topic: unknown placeholder \"{type}\""},
      {"open placeholder", [](Config& c) { c.relay.topic = "a.{tenant"; },
       "relay.topic: a { is not closed"},
      {"topic character", [](Config& c) { c.relay.topic = "a/b"; }, "relay.topic: a topic holds"},
      {"topic dot", [](Config& c) { c.relay.topic = ".."; }, "relay.topic: Kafka has no topic"},
      {"long topic", [](Config& c) { c.relay.topic = std::string(250, 'a'); },
       "relay.topic: longer than"},
      {"no source", [](Config& c) { c.relay.source = ""; }, "relay.source: must not be empty"},
      {"source space", [](Config& c) { c.relay.source = "/a b"; },
       "relay.source: must be a URI reference"},
      {"source control", [](Config& c) { c.relay.source = "/a\r\n"; },
       "relay.source: must be a URI reference"},
      {"one shard", [](Config& c) { c.relay.shards = 1; }, ""},
      {"no shards", [](Config& c) { c.relay.shards = 0; }, "relay.shards: must be a power of two"},
      {"odd shards", [](Config& c) { c.relay.shards = 12; },
       "relay.shards: must be a power of two"},
      {"many shards", [](Config& c) { c.relay.shards = 512; },
       "relay.shards: must be a power of two"},
      {"short lease", [](Config& c) { c.relay.lease_ttl = 1'999ms; },
       "relay.lease_ttl: must be 2s to 5m, is 1999ms"},
      {"long lease", [](Config& c) { c.relay.lease_ttl = 301s; },
       "relay.lease_ttl: must be 2s to 5m"},
      {"save_interval", [](Config& c) { c.relay.save_interval = 2'500ms; },
       "relay.save_interval: must be less than a quarter"},
      {"no save_interval", [](Config& c) { c.relay.save_interval = 0ms; },
       "relay.save_interval: must be at least 1ms"},
      {"poll order", [](Config& c) { c.relay.poll_min = 50ms; },
       "relay.poll_min: must not exceed relay.poll_max (25ms)"},
      {"poll_min", [](Config& c) { c.relay.poll_min = 0ms; }, "relay.poll_min: must be 1ms to 1s"},
      {"poll_max", [](Config& c) { c.relay.poll_max = 2s; }, "relay.poll_max: must be 1ms to 1s"},
      {"few in flight", [](Config& c) { c.relay.max_in_flight = 99; },
       "relay.max_in_flight: must be 100 to 1000000"},
      {"many in flight", [](Config& c) { c.relay.max_in_flight = 1'000'001; },
       "relay.max_in_flight: must be 100"},
      {"no threads", [](Config& c) { c.worker.threads = 0; },
       "worker.threads: must be 1 to 256, is 0"},
      {"many threads", [](Config& c) { c.worker.threads = 257; }, "worker.threads: must be"},
      {"few jobs", [](Config& c) { c.worker.max_in_flight = 9; },
       "worker.max_in_flight: must be 10 to 20000"},
      {"many jobs", [](Config& c) { c.worker.max_in_flight = 20'001; }, "worker.max_in_flight"},
      {"worker lease", [](Config& c) { c.worker.lease_ttl = 1s; },
       "worker.lease_ttl: must be 2s to 5m"},
      {"worker poll order", [](Config& c) { c.worker.poll_min = 26ms; },
       "worker.poll_min: must not exceed worker.poll_max (25ms), is 26ms"},
      {"worker poll_min", [](Config& c) { c.worker.poll_min = 0ms; },
       "worker.poll_min: must be 1ms to 1s"},
      {"worker poll_max", [](Config& c) { c.worker.poll_max = 2s; },
       "worker.poll_max: must be 1ms to 1s"},
      {"quarantine", [](Config& c) { c.worker.quarantine_after = 0; },
       "worker.quarantine_after: must be 1 to 100"},
      {"give up", [](Config& c) { c.worker.give_up = 999ms; }, "worker.give_up: must be 1s to 1h"},
      {"history", [](Config& c) { c.worker.history = 366 * 24h; },
       "worker.history: must be 1h to 365d, is 366d"},
      {"no http", [](Config& c) { c.http.listen = ""; }, ""},
      {"listen", [](Config& c) { c.http.listen = "localhost"; }, "http.listen: must be host:port"},
      {"level", [](Config& c) { c.log.level = "trace"; }, "log.level: must be debug"},
      {"format", [](Config& c) { c.log.format = "xml"; }, "log.format: must be auto"},
      {"grace", [](Config& c) { c.shutdown.grace = 999ms; }, "shutdown.grace: must be 1s to 1h"},
  };
  for (const Rule& rule : rules) {
    Config config;
    rule.change(config);
    const std::string lines = all_lines(validate(config));
    if (rule.problem.empty()) {
      EXPECT_EQ(lines, "") << rule.name;
    } else {
      EXPECT_EQ(lines.rfind(rule.problem, 0), 0U) << rule.name << ": " << lines;
      EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 1) << rule.name << ": " << lines;
    }
  }
}

TEST(ConfigRules, BrokersAreHostsAndPorts) {
  const auto problems = [](const char* brokers) {
    Config config;
    config.kafka.bootstrap_servers = brokers;
    return all_lines(validate(config));
  };
  for (const auto* good :
       {"kafka", "kafka:9092", " a:1 , b:65535\t", "a:9092,", "SASL_SSL://kafka-1.example:9092",
        "plaintext://10.0.0.1:9092,plaintext://[::1]:9092", "[2001:db8::1]"}) {
    EXPECT_EQ(problems(good), "") << good;
  }
  for (const auto* bad :
       {",,,", " ", "a:99999", "a:0", "a:", ":9092", "a:kafka", "http://a:9092", "a:9092/topic",
        "a:9092;b:9092", "a b:9092", "user:pass@a:9092", "::1", "a:9092,b:9092x"}) {
    EXPECT_EQ(problems(bad).rfind("kafka.bootstrap_servers: must be host:port", 0), 0U) << bad;
  }
}

TEST(ConfigRules, PropertiesTheGuaranteesRestOnAreRefused) {
  for (const char* name : {"enable.idempotence",
                           "acks",
                           "request.required.acks",
                           "max.in.flight",
                           "max.in.flight.requests.per.connection",
                           "retries",
                           "message.send.max.retries",
                           "message.timeout.ms",
                           "delivery.timeout.ms",
                           "partitioner",
                           "partitioner_cb",
                           "enable.gapless.guarantee",
                           "queuing.strategy",
                           "transactional.id",
                           "bootstrap.servers",
                           "metadata.broker.list",
                           "queue.buffering.max.messages",
                           "delivery.report.only.error",
                           "dr_cb",
                           "dr_msg_cb",
                           "opaque",
                           "rebalance_cb"}) {
    Config config;
    config.kafka.properties[name] = "secret-value";
    const auto problems = validate(config);
    ASSERT_EQ(problems.size(), 1U) << name;
    EXPECT_EQ(problems[0].message.rfind(std::string(name) + " cannot be set: ", 0), 0U)
        << problems[0].message;
    EXPECT_EQ(problems[0].message.find("secret-value"), std::string::npos);
  }
}

TEST(ConfigRules, AllProblemsAreReportedAtOnce) {
  Config config;
  config.roles.clear();
  config.relay.shards = 3;
  config.relay.poll_max = 5s;
  config.http.listen = "x";
  EXPECT_EQ(validate(config).size(), 4U);
}

TEST(ListenAddress, IsHostAndPort) {
  const auto v4 = parse_listen_address("0.0.0.0:9464");
  ASSERT_TRUE(v4);
  EXPECT_EQ(v4->host, "0.0.0.0");
  EXPECT_EQ(v4->port, 9464);
  const auto v6 = parse_listen_address("[::1]:0");
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->host, "::1");
  EXPECT_EQ(v6->port, 0);
  for (const char* bad : {"", ":", "localhost", ":9464", "::1:80", "[::1]", "[]:80", "[host]:80",
                          "h:65536", "h:-1", "h:80x", "h:", "a b:80", "h:+80", "[::1:80"}) {
    EXPECT_FALSE(parse_listen_address(bad)) << bad;
  }
}

TEST(ConfigPrint, HidesPasswordsInUrls) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"postgresql:///relevo", "postgresql:///relevo"},
      {"postgresql://user@host:5432/db?sslmode=require",
       "postgresql://user@host:5432/db?sslmode=require"},
      {"postgresql://user:hunter2@host/db", "postgresql://user:***@host/db"},
      {"postgres://user:hun@ter2@host/db", "postgres://user:***@host/db"},
      {"postgresql://user:hun:ter2@h1:1,h2:2/db", "postgresql://user:***@h1:1,h2:2/db"},
      {"postgresql://user:hun/ter2?x@host/db", "postgresql://user:***@host/db"},
      {"postgresql://host/db?password=hunter2&a=b", "postgresql://host/db?password=***&a=b"},
      {"postgresql://host/db?pass%77ord=hunter2", "postgresql://host/db?pass%77ord=***"},
      {"postgresql://host/db?sslpassword=hunter2", "postgresql://host/db?sslpassword=***"},
      {"postgresql://u@host/db?password=hun@ter2", "postgresql://u:***@ter2"},
      {"host=h password=hunter2 user=u", "host=h password=*** user=u"},
      {"host=h password = 'hun \\'ter2' user=u", "host=h password=*** user=u"},
      {"host=h password=hun\\ ter2 user=u", "host=h password=*** user=u"},
      {"PASSWORD=hunter2", "PASSWORD=***"},
      {"host=h password='hunter2", "host=h ***"},
      {"password=hun ter2 host=h", "password=*** ***"},
      {"dbname='postgresql://u:hunter2@h/d'", "dbname='postgresql://u:***@h/d'"},
      {"hunter2", "***"},
      {"u:hunter2@h", "***"},
  };
  for (const auto& [url, shown] : cases) {
    Config config;
    config.database.url = Secret(url);
    const std::string json = print_effective_json(config);
    const auto root = nlohmann::json::parse(json);
    EXPECT_EQ(root["database"]["url"], shown) << url;
    if (url.find("hun@ter2") == std::string::npos || url.rfind("postgres:", 0) == 0) {
      EXPECT_EQ((json + print_effective(config)).find("ter2"), std::string::npos) << url;
    }
  }
}

TEST(ConfigPrint, HidesSecretKafkaProperties) {
  Config config;
  for (const char* name : {"sasl.password", "ssl.keystore.password", "ssl.key.pem",
                           "ssl.key.password", "sasl.jaas.config", "sasl.oauthbearer.client.secret",
                           "sasl.oauthbearer.config", "SASL.PASSWORD"}) {
    config.kafka.properties[name] = "hunter2";
  }
  config.kafka.properties["linger.ms"] = "5";
  config.kafka.properties["some.proxy"] = "http://u:hunter2@proxy";
  const std::string shown = print_effective(config) + print_effective_json(config);
  EXPECT_EQ(shown.find("hunter2"), std::string::npos) << shown;
  EXPECT_NE(shown.find("linger.ms: \"5\""), std::string::npos) << shown;
}

TEST_F(ConfigLoad, WhatIsPrintedCanBeLoadedAgain) {
  Config config;
  config.instance = "a: \"b\" \xc3\xa9 # x";
  config.relay.source = "yes";
  config.kafka.properties = {{"linger.ms", "5"}, {"client.id", "no"}, {"x", "- a\n"}};
  config.relay.lease_ttl = 90s;
  config.http.listen = "[::1]:0";
  const LoadResult result = load_yaml(print_effective(config));
  ASSERT_EQ(errors(result), "") << print_effective(config);
  EXPECT_EQ(print_effective_json(result.config), print_effective_json(config));
  EXPECT_EQ(result.config.instance, config.instance);
}

TEST(ConfigDocuments, TheExampleFileHoldsTheDefaultsAndEveryKey) {
  const std::string path = (repository() / "config" / "relevo.yaml").string();
  const LoadResult result = load({path, {}});
  ASSERT_EQ(all_lines(result.errors), "");
  EXPECT_EQ(print_effective_json(result.config), print_effective_json(Config{}));
  EXPECT_EQ(result.config.database.url, Config{}.database.url);

  // Without one of its keys the file would still load: so look for each.
  const std::string text = content_of(path);
  for (const KeyReference& key : reference()) {
    if (key.environment.empty()) continue;
    const std::string name = key.path.substr(key.path.rfind('.') + 1) + ":";
    EXPECT_NE(text.find(name + " " + key.initial + "\n"), std::string::npos)
        << key.path << ": " << key.initial;
  }
}

// The commented lines that show an entry of this list, as YAML.
std::string example_of(const std::string& list) {
  std::istringstream file(content_of(repository() / "config" / "relevo.yaml"));
  std::string example;
  for (std::string line; std::getline(file, line);) {
    if (example.empty() ? line == "# " + list + ":" : line.rfind("#   ", 0) == 0) {
      example += line.substr(2) + "\n";
    } else if (!example.empty()) {
      break;
    }
  }
  return example;
}

TEST_F(ConfigLoad, TheExamplesOfListsHoldEveryFieldAndLoad) {
  const std::string roles = "roles: [worker, scheduler, consumer]\n";
  std::string all = roles;
  for (const char* list : {"kinds", "handlers", "schedules", "subscriptions"}) {
    const std::string example = example_of(list);
    EXPECT_NE(example, "") << list;
    all += example;
  }
  const LoadResult result = load_yaml(all);
  ASSERT_EQ(errors(result), "");
  EXPECT_EQ(all_lines(result.warnings), "");

  for (const KeyReference& key : reference()) {
    // One of several, or shown elsewhere.
    const bool alternative = key.path == "schedules[].every" || key.path == "schedules[].at" ||
                             key.path == "subscriptions[].handler" ||
                             key.path.starts_with("subscriptions[].http");
    if (!key.environment.empty() || alternative) continue;
    const std::string example = example_of(key.path.substr(0, key.path.find('[')));
    const std::string name = " " + key.path.substr(key.path.rfind('.') + 1) + ":";
    const bool has_default = !key.initial.empty() && key.initial != "\"\"";
    const std::string initial = key.initial == "\"{}\"" ? "{}" : key.initial;
    EXPECT_NE(example.find(has_default ? name + " " + initial + " " : name), std::string::npos)
        << key.path << ": " << key.initial << "\n"
        << example;
  }
}

TEST(ConfigDocuments, TheReferenceListsEveryKey) {
  const std::string text = content_of(repository() / "docs" / "configuration.md");
  std::size_t fields = 0;
  for (const KeyReference& key : reference()) {
    const bool is_field = key.environment.empty();
    fields += is_field ? 1 : 0;
    std::string row = "| `" + key.path + "` | ";
    if (!is_field) row += "`" + key.environment + "` | ";
    row += key.type + " | ";
    if (key.required) {
      row += "required";
    } else if (!key.initial.empty()) {
      row += "`" + key.initial + "`";
    }
    row += " | " + key.rule + " | " + key.meaning + " |\n";
    EXPECT_NE(text.find(row), std::string::npos) << row;
  }
  std::size_t rows = fields;
  for (auto at = text.find("| `RELEVO_"); at != std::string::npos;
       at = text.find("| `RELEVO_", at + 1))
    ++rows;
  EXPECT_EQ(rows, reference().size());
  std::size_t field_rows = 0;
  for (auto at = text.find("[].", 0); at != std::string::npos; at = text.find("[].", at + 1))
    ++field_rows;
  EXPECT_EQ(field_rows, fields);
}

// A field that is added to a struct breaks the line of its struct here: add it to the key table as
// well.
TEST(ConfigDocuments, EveryFieldHasAKey) {
  const Config config;
  [[maybe_unused]] const auto& [roles, instance, database, kafka, relay, worker, kinds, handlers,
                                schedules, subscriptions, http, log, shutdown] = config;
  [[maybe_unused]] const auto& [url, password_file, prepared, connect_timeout, statement_timeout] =
      database;
  [[maybe_unused]] const auto& [servers, topics, properties, files, embedded] = kafka;
  [[maybe_unused]] const auto& [create, partitions, replication] = topics;
  [[maybe_unused]] const auto& [delivery, topic, source, shards, ttl, save, poll_min, poll_max,
                                in_flight] = relay;
  [[maybe_unused]] const auto& [threads, jobs_in_flight, worker_ttl, jobs_min, jobs_max, quarantine,
                                give_up, history] = worker;
  [[maybe_unused]] const auto& [listen] = http;
  [[maybe_unused]] const auto& [level, format] = log;
  [[maybe_unused]] const auto& [grace] = shutdown;
  const Kind kind;
  const HttpHandler endpoint;
  const Schedule schedule;
  const Subscription subscription;
  [[maybe_unused]] const auto& [kind_name, attempts, base, cap, timeout, kept, unique_for, key] =
      kind;
  [[maybe_unused]] const auto& [handler_kind, handler_http] = Handler();
  [[maybe_unused]] const auto& [endpoint_url, endpoint_timeout, at_a_time, secret, is_private] =
      endpoint;
  [[maybe_unused]] const auto& [schedule_name, cron, every, at, zone, job, queue, payload, priority,
                                missed, missed_max] = schedule;
  [[maybe_unused]] const auto& [name, read, group, handler, enqueue, http_target, envelope, start,
                                types, unknown, keys, batch, tries, dead] = subscription;
  constexpr std::size_t kSingle = 2 + 5 + 4 + 3 + 9 + 8 + 1 + 2 + 1;
  constexpr std::size_t kLists = 4;
  constexpr std::size_t kOfRecords = 8 + (2 + 5) + 11 + (14 + 5);
  EXPECT_EQ(reference().size(), kSingle + kLists + kOfRecords);
}

}  // namespace
}  // namespace relevo::config
