#include <gtest/gtest.h>

#include <unistd.h>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
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

// Not by __FILE__, which ccache may make relative.
std::filesystem::path repository() { return RELEVO_SOURCE_DIR; }

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
      {"roles: relay", "expected a list such as [a, b], found a single value"},
      {"roles: [[relay]]", "an entry of the list is not text"},
      {"instance: [a]", "expected text, found a list"},
      {"just text", "expected keys at the top"},
      {"- roles", "expected keys at the top"},
      {"roles: [relay", "not YAML"},
      {"roles: [relay]\n---\nroles: [relay]", "a second YAML document"},
      {"\tlog: {}", "not YAML"},
      {", a: b", "not YAML: nothing can begin so"},
      {"]", "not YAML"},
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
      "roles: [worker]\nhandlers: [{kind: a, http: {url: \"https://u:hunter2@h/\"}}]",
      "roles: [worker]\nhandlers: [{kind: a, http: {url: \"https://u:hun/hunter2@h/\"}}]",
      "roles: [worker]\nhandlers: [{kind: a, http: \"https://u:hunter2@h/\"}]",
      "roles: [worker]\nhandlers: [{kind: a, http: {url: \"https://h/\", secret: hunter2}}]",
      "roles: [worker]\nhandlers: [{kind: a, http: {url: \"https://h/\", "
      "secret_file: whsec_hunter2}}]",
      "roles: [worker]\nhandlers: [\"https://u:hunter2@h/\"]",
      "schedules: [{name: a, kind: k, every: 1s, payload: \"password=hunter2\"}]",
      "schedules: [{name: a, kind: k, every: 1s, payload: {a: {? hunter2 x : 1, hunter2 x: 1}}}]",
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

TEST_F(ConfigLoad, ReadsListsOfRecords) {
  const LoadResult result = load_yaml(R"(roles: [worker, scheduler, consumer]
kinds:
  - {kind: report.*, max_attempts: 3, backoff_base: 2s, unique_for: 1d, history: failures}
  - kind: mail.send
handlers: [{kind: 'report.*', http: {url: "https://reports.example.com/jobs", timeout: 30s, concurrency: 4, secret_file: /run/secrets/reports}}]
schedules:
  - name: nightly
    cron: "0 3 * * *"
    time_zone: Europe/Madrid
    kind: report.daily
    payload:
      n: 5
      big: 12345678901234567890123
      text: [007, yes, "5", 2027-01-31, "a\"b"]
      none: [null, ~]
      "true": true
      deep: {"x": {}, y: []}
  - {name: often, every: 90s, kind: tick, payload: '{"a": 1}', priority: -3}
  - {name: once, at: 2027-01-31T08:00:00+01:00, kind: tick, payload: 5}
subscriptions:
  - name: invoices
    topics: [orders, payments]
    enqueue: invoice.write
    types: [OrderPaid]
  - name: hooks
    topics: [orders]
    http:
      url: http://10.0.0.7:8080/in
      allow_private: true
)");
  ASSERT_EQ(errors(result), "");
  EXPECT_EQ(all_lines(result.warnings), "");
  const Config& config = result.config;
  ASSERT_EQ(config.kinds.size(), 2U);
  EXPECT_EQ(config.kinds[0].kind, "report.*");
  EXPECT_EQ(config.kinds[0].max_attempts, 3);
  EXPECT_EQ(config.kinds[0].backoff_base, 2s);
  EXPECT_EQ(config.kinds[0].unique_for, 24h);
  EXPECT_EQ(config.kinds[0].history, "failures");
  EXPECT_FALSE(config.kinds[0].timeout || config.kinds[1].max_attempts);
  ASSERT_EQ(config.handlers.size(), 1U);
  EXPECT_EQ(config.handlers[0].kind, "report.*");
  EXPECT_EQ(config.handlers[0].http.url, "https://reports.example.com/jobs");
  EXPECT_EQ(config.handlers[0].http.timeout, 30s);
  EXPECT_EQ(config.handlers[0].http.concurrency, 4);
  EXPECT_EQ(config.handlers[0].http.secret_file, "/run/secrets/reports");
  EXPECT_FALSE(config.handlers[0].http.allow_private);
  ASSERT_EQ(config.schedules.size(), 3U);
  EXPECT_EQ(config.schedules[0].payload,
            R"({"n":5,"big":12345678901234567890123,"text":["007","yes","5","2027-01-31","a\"b"],)"
            R"("none":[null,null],"true":true,"deep":{"x":{},"y":[]}})");
  EXPECT_EQ(config.schedules[0].time_zone, "Europe/Madrid");
  EXPECT_EQ(config.schedules[1].every, 90s);
  EXPECT_EQ(config.schedules[1].payload, "{\"a\": 1}");
  EXPECT_EQ(config.schedules[1].priority, -3);
  EXPECT_EQ(config.schedules[2].at, "2027-01-31T08:00:00+01:00");
  EXPECT_EQ(config.schedules[2].payload, "5");
  ASSERT_EQ(config.subscriptions.size(), 2U);
  EXPECT_EQ(config.subscriptions[0].topics, (std::vector<std::string>{"orders", "payments"}));
  EXPECT_EQ(config.subscriptions[0].types, std::vector<std::string>{"OrderPaid"});
  EXPECT_FALSE(config.subscriptions[0].http);
  ASSERT_TRUE(config.subscriptions[1].http);
  EXPECT_TRUE(config.subscriptions[1].http->allow_private);
}

TEST_F(ConfigLoad, ReportsEveryMistakeInRecordsWithItsLine) {
  const LoadResult result = load_yaml(R"(roles: [worker, scheduler, consumer]
handlers:
  - kind: report.*
    htp: {url: x}
  - kind: report.*
    http: {ulr: x, timeout: 5}
  - just text
  -
  - kind:
    http: []
  - kind: k
    kind: l
    http: {url: x, concurrency: [1], concurency: 3}
  - {url: "https://h/"}
  - {kind: q, http.url: x}
  - {kind: r}
schedules:
  - {name: a, kind: k}
  - {name: a, kind: k, every: 5s, priority: high, payload: hello}
  - {name: c, kind: k, every: 5s, payload: {a: 1, a: 2, [x]: 1}}
  - &d {name: d, kind: k, every: 5s}
  - {<<: *d, name: e}
subscriptions:
  - {name: s, topics: t, handler: h}
  - {name: u, topics: [t, [z]], handler: h}
  - {topics: [t], types:}
)");
  EXPECT_EQ(
      errors(result),
      "relevo.yaml:4: handlers[0].htp: unknown key; did you mean handlers[0].http?\n"
      "relevo.yaml:6: handlers[1].http.ulr: unknown key; did you mean handlers[1].http.url?\n"
      "relevo.yaml:6: handlers[1].http.timeout: 5 has no unit; use ms, s, m, h or d, as in 250ms "
      "or 10s\n"
      "relevo.yaml:7: handlers[2]: expected keys such as kind\n"
      "relevo.yaml:9: handlers[3]: expected keys such as kind\n"
      "relevo.yaml:9: handlers[4].kind: has no value\n"
      "relevo.yaml:10: handlers[4].http: expected keys below it\n"
      "relevo.yaml:12: handlers[5].kind: given twice; the first is on line 11\n"
      "relevo.yaml:13: handlers[5].http.concurrency: expected a whole number, found a list\n"
      "relevo.yaml:13: handlers[5].http.concurency: unknown key; did you mean "
      "handlers[5].http.concurrency?\n"
      "relevo.yaml:14: handlers[6].url: unknown key; did you mean handlers[6].http.url?\n"
      "relevo.yaml:14: handlers[6].kind: is needed\n"
      "relevo.yaml:15: handlers[7].http.url: unknown key; write its parts on lines of their own, "
      "indented\n"
      "relevo.yaml:16: handlers[8].http: is needed\n"
      "relevo.yaml:19: schedules[1].priority: expected a whole number, found \"high\"\n"
      "relevo.yaml:19: schedules[1].payload: is not JSON; write a map, or JSON text in quotes\n"
      "relevo.yaml:20: schedules[2].payload.a: given twice; the first is on line 20\n"
      "relevo.yaml:20: schedules[2].payload: a key must be text\n"
      "relevo.yaml:22: schedules[4]: YAML's merge (<<) is not understood; write the keys out, or "
      "name a whole map by an alias\n"
      "relevo.yaml:24: subscriptions[0].topics: expected a list such as [a, b], found a single "
      "value\n"
      "relevo.yaml:25: subscriptions[1].topics: an entry of the list is not text\n"
      "relevo.yaml:26: subscriptions[2].types: has no value; remove the line\n"
      "relevo.yaml:26: subscriptions[2].name: is needed\n"
      "relevo.yaml:5: handlers[1].kind: \"report.*\" is also that of handlers[0].kind\n"
      "relevo.yaml:13: handlers[5].http.url: must be a URL such as https://host/path\n"
      "relevo.yaml:18: schedules[0].cron: one of cron, every and at is needed\n"
      "relevo.yaml:19: schedules[1].name: \"a\" is also that of schedules[0].name\n"
      "relevo.yaml:26: subscriptions[2].handler: one of handler, enqueue and http is needed\n");
}

TEST_F(ConfigLoad, RefusesListsOfTheWrongForm) {
  const std::string deep = std::string(150, '[') + std::string(150, ']');
  const std::vector<std::pair<std::string, std::string>> cases{
      {"handlers: {kind: a}",
       "handlers: expected a list of entries, each with keys such as kind, "
       "found a map; write - before each entry"},
      {"handlers: report.*",
       "handlers: expected a list of entries, each with keys such as kind, "
       "found a single value"},
      {"handlers:", "handlers: has no value; remove the line, or write []"},
      {"handlers: [[{kind: a}]]", "handlers[0]: expected keys such as kind"},
      {"handlers: &a [*a]", "handlers: is nested deeper than 100 levels"},
      {"handlers: &a [{kind: x, http: *a}]", "handlers: is nested deeper than 100 levels"},
      {"schedules: [&a {name: n, kind: k, every: 1s, payload: *a}]",
       "schedules: is nested deeper than 100 levels"},
      {"schedules: [{name: n, kind: k, every: 1s, payload: " + deep + "}]",
       "schedules: is nested deeper than 100 levels"},
      {"schedules: [{name: n, kind: k, every: 1s, payload: '" + deep + "'}]",
       "schedules[0].payload: is nested deeper than 100 levels"},
      {"schedules: [{name: n, kind: k, every: 1s, payload: '\"a\\u0000\"'}]",
       "schedules[0].payload: holds a NUL character"},
      {"schedules: [{name: n, kind: k, every: 1s, payload: {\"a\\0\": 1}}]",
       "schedules[0].payload: holds a NUL character"},
      {"schedules: [{name: n, kind: k, every: 1s, payload: {a: {<<: {}}}}]",
       "schedules[0].payload.a: YAML's merge"},
      {"schedules: [{name: n, kind: k, every: 1s, payload:}]",
       "schedules[0].payload: has no value; remove the line"},
      {"kinds: [{kind: \"a\\0\"}]", "kinds[0].kind: contains a NUL character"},
      {"kinds: [{kind: a, max_attempts: }]", "kinds[0].max_attempts: has no value; remove"},
      {"kinds: [{? [a] : b, kind: c}]", "kinds[0]: a key must be text"},
      {"kinds: [{kind: {a: b}}]", "kinds[0].kind: expected text, found a map"},
      {"kinds: [{kind: *nobody}]", "not YAML"},
      {"kind: [{kind: a}]", "kind: unknown key; did you mean kinds?"},
  };
  for (const auto& [yaml, message] : cases) {
    const LoadResult result = load_yaml("roles: [worker, scheduler]\n" + yaml);
    EXPECT_EQ(result.errors.size(), 1U) << yaml << "\n" << errors(result);
    EXPECT_NE(errors(result).find(message), std::string::npos) << yaml << "\n" << errors(result);
  }
}

TEST_F(ConfigLoad, AliasesStandForWholeValuesButCannotMultiplyWithoutEnd) {
  const LoadResult result = load_yaml(R"(roles: [worker]
handlers:
  - kind: a
    http: &own {url: "https://h.example.com/", timeout: 1m}
  - {kind: b, http: *own}
)");
  ASSERT_EQ(errors(result), "");
  EXPECT_EQ(result.config.handlers[1].http.timeout, 1min);

  std::string bomb = "schedules:\n  - name: a\n    payload:\n      a0: &a0 [1, 2, 3, 4, 5, 6, 7]\n";
  for (int i = 1; i < 40; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    bomb += "      a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last + ", " + last +
            "]\n";
  }
  EXPECT_EQ(errors(load_yaml(bomb)),
            "relevo.yaml:1: schedules: its aliases make more than 2 MiB of it\n");

  std::string wide = "subscriptions:\n  - topics: &t [" + std::string(100'000, 't') + "]\n";
  for (int i = 0; i < 1'000; ++i) wide += "  - topics: *t\n";
  EXPECT_EQ(errors(load_yaml(wide)),
            "relevo.yaml:1: subscriptions: its aliases make more than 2 MiB of it\n");
}

TEST_F(ConfigLoad, AThousandHandlersLoadAndTheLastIsFoundByItsLine) {
  std::string yaml = "roles: [worker]\nhandlers:\n";
  for (int i = 0; i < 1'000; ++i) {
    yaml += "  - kind: k" + std::to_string(i) + "\n    http: {url: \"https://h.example.com/\"}\n";
  }
  const LoadResult result = load_yaml(yaml);
  ASSERT_EQ(errors(result), "");
  EXPECT_EQ(result.config.handlers.size(), 1'000U);
  EXPECT_EQ(print_effective_json(load_yaml(print_effective(result.config)).config),
            print_effective_json(result.config));
  EXPECT_EQ(errors(load_yaml(yaml + "  - kind: k0\n    http: {url: \"https://h.example.com/\"}\n")),
            "relevo.yaml:2003: handlers[1000].kind: \"k0\" is also that of handlers[0].kind\n");
}

TEST_F(ConfigLoad, AListFromTheEnvironmentTakesThePlaceOfTheFiles) {
  const std::string file =
      "roles: [worker, scheduler]\n"
      "handlers:\n"
      "  - {kind: a, http: {url: \"https://a.example.com/\"}}\n"
      "  - {kind: b, http: {url: \"https://b.example.com/\"}}\n"
      "schedules: [{name: n, kind: k, every: 1s}]\n";
  const LoadResult result = load_yaml(
      file, {{"RELEVO_HANDLERS", R"([{"kind": "c", "http": {"url": "https://c.example.com/"}}])"},
             {"RELEVO_SCHEDULES", ""},
             {"RELEVO_KINDS_FILE", write("kinds", "- kind: c\n  timeout: 5s\n- kind: d\n")}});
  ASSERT_EQ(errors(result), "");
  ASSERT_EQ(result.config.handlers.size(), 1U);
  EXPECT_EQ(result.config.handlers[0].kind, "c");
  EXPECT_TRUE(result.config.schedules.empty());
  EXPECT_EQ(result.config.kinds.size(), 2U);

  EXPECT_EQ(errors(load_yaml(file, {{"RELEVO_HANDLERS", "[{kind: c}"},
                                    {"RELEVO_KINDS", "[{kind: c, kind: d, timeout: 5}]"},
                                    {"RELEVO_SCHEDULES", "[{name: m, kind: k}]"}})),
            "RELEVO_HANDLERS: handlers: not YAML: end of sequence flow not found; a value that "
            "starts with a special character needs quotes\n"
            "RELEVO_KINDS: kinds[0].kind: given twice\n"
            "RELEVO_KINDS: kinds[0].timeout: 5 has no unit; use ms, s, m, h or d, as in 250ms or "
            "10s\n"
            "RELEVO_SCHEDULES: schedules[0].cron: one of cron, every and at is needed\n");
}

TEST_F(ConfigLoad, WarnsOfListsWhoseRoleIsNotAmongTheRoles) {
  const LoadResult result = load_yaml(R"(kinds: [{kind: a}]
handlers: [{kind: a, http: {url: "https://h.example.com/"}}]
schedules: [{name: n, kind: k, every: 1s}]
subscriptions: [{name: n, topics: [t], enqueue: k}]
)");
  EXPECT_TRUE(result.ok());
  std::string lines = all_lines(result.warnings);
  EXPECT_EQ(result.warnings.size(), 4U) << lines;
  EXPECT_NE(lines.find("relevo.yaml:3: schedules: has no effect here: roles does not name "
                       "scheduler\n"),
            std::string::npos)
      << lines;
  EXPECT_EQ(errors(load_yaml("roles: [consumer]")),
            "relevo.yaml:1: subscriptions: at least one is needed by the role consumer\n");
  // What could not be read is not called missing.
  EXPECT_EQ(load_yaml("roles: [consumer]\nsubscriptions: x").errors.size(), 1U);
}

TEST_F(ConfigLoad, RulesOfOthersAreToldWithTheSamePlaces) {
  const std::string path = write("relevo.yaml", R"(roles: [scheduler]
schedules:
  - name: a
    cron: "never"
    kind: k
  - {name: b, cron: [], kind: k}
)");
  const MoreRules rules = [](const Config& config) {
    std::vector<Problem> problems;
    for (std::size_t i = 0; i < config.schedules.size(); ++i) {
      problems.push_back({"schedules[" + std::to_string(i) + "].cron", "is not cron"});
    }
    problems.push_back({"schedules[0].time_zone", "is not a time zone"});
    return problems;
  };
  EXPECT_EQ(errors(load({path, {}, rules})),
            "relevo.yaml:6: schedules[1].cron: expected text, found a list\n"
            "relevo.yaml:4: schedules[0].cron: is not cron\n"
            "relevo.yaml:3: schedules[0].time_zone: is not a time zone\n");
}

TEST_F(ConfigLoad, DamagedListsNeitherCrashNorSlipThrough) {
  const std::string whole = R"(roles: [worker, scheduler, consumer]
kinds: [{kind: a.*, max_attempts: 3, timeout: 5m, history: all}]
handlers:
  - &h
    kind: report.*
    http: {url: "https://h.example.com/x?y=1", timeout: 30s, secret_file: /run/s}
schedules:
  - {name: n, cron: "0 3 * * *", kind: k, payload: {a: [1, null, {b: "c"}], d: 1.5}}
subscriptions:
  - {name: s, topics: [t, u], types: [X], http: {url: "https://h.example.com/"}}
)";
  ASSERT_EQ(errors(load_yaml(whole)), "");
  const std::string signs = "[]{},:-*&?!|>'\"%@`#\n \t<~\\0a9\x80\xff";
  std::mt19937 random(7);
  const auto below = [&](std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(random);
  };
  int loaded = 0;
  for (int round = 0; round < 2'000; ++round) {
    std::string text = whole;
    for (std::size_t change = below(4); change < 4; ++change) {
      const std::size_t at = below(text.size());
      switch (below(3)) {
        case 0: text[at] = signs[below(signs.size())]; break;
        case 1: text.erase(at, 1 + below(20)); break;
        default: text.insert(at, text.substr(below(text.size()), below(30)));
      }
    }
    // A name of its own: to write the same file again and again waits for the disk.
    const std::string name = "damaged" + std::to_string(round);
    const LoadResult result = load({write(name, text), {}});
    if (!result.ok()) continue;
    ++loaded;
    const std::string shown = print_effective(result.config);
    const LoadResult again = load_yaml(shown);
    ASSERT_EQ(errors(again), "") << text << "\n" << shown;
    EXPECT_EQ(print_effective_json(again.config), print_effective_json(result.config)) << text;
  }
  EXPECT_GT(loaded, 20);
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

// One entry of each list that obeys all rules.
Config with_records() {
  Config config;
  config.roles = {"worker", "scheduler", "consumer"};
  Kind kind;
  kind.kind = "report.*";
  config.kinds = {kind};
  config.handlers = {{"report.*", {"https://h.example.com/jobs", 15s, 10, "", false}}};
  Schedule schedule;
  schedule.name = "nightly";
  schedule.cron = "0 3 * * *";
  schedule.kind = "report.daily";
  config.schedules = {schedule};
  Subscription subscription;
  subscription.name = "invoices";
  subscription.topics = {"orders"};
  subscription.enqueue = "invoice.write";
  config.subscriptions = {subscription};
  return config;
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

TEST(ConfigRules, EachOfRecordsBites) {
  const auto kind = [](auto change) { return [=](Config& c) { change(c.kinds[0]); }; };
  const auto http = [](auto change) { return [=](Config& c) { change(c.handlers[0].http); }; };
  const auto schedule = [](auto change) { return [=](Config& c) { change(c.schedules[0]); }; };
  const auto subscription = [](auto change) {
    return [=](Config& c) { change(c.subscriptions[0]); };
  };
  const std::vector<Rule> rules{
      {"good", [](Config&) {}, ""},
      {"all kinds", kind([](Kind& k) { k.kind = "*"; }), ""},
      {"no kind", kind([](Kind& k) { k.kind = ""; }), "kinds[0].kind: must not be empty"},
      {"star within", kind([](Kind& k) { k.kind = "a*b"; }),
       "kinds[0].kind: a * stands at the end"},
      {"two stars", kind([](Kind& k) { k.kind = "a**"; }), "kinds[0].kind: a * stands at the end"},
      {"control", kind([](Kind& k) { k.kind = "a\n"; }), "kinds[0].kind: must be at most 255"},
      {"long kind", kind([](Kind& k) { k.kind = std::string(256, 'a'); }),
       "kinds[0].kind: must be at most 255"},
      {"kind twice", [](Config& c) { c.kinds.push_back(c.kinds[0]); },
       "kinds[1].kind: \"report.*\" is also that of kinds[0].kind"},
      {"attempts", kind([](Kind& k) { k.max_attempts = 0; }),
       "kinds[0].max_attempts: must be 1 to 10000, is 0"},
      {"many attempts", kind([](Kind& k) { k.max_attempts = 10'001; }), "kinds[0].max_attempts"},
      {"base", kind([](Kind& k) { k.backoff_base = 0ms; }),
       "kinds[0].backoff_base: must be 1ms to 7d"},
      {"cap", kind([](Kind& k) { k.backoff_cap = 8 * 24h; }), "kinds[0].backoff_cap: must be 1ms"},
      {"base above cap", kind([](Kind& k) {
         k.backoff_base = 2s;
         k.backoff_cap = 1s;
       }),
       "kinds[0].backoff_base: must not exceed backoff_cap (1s), is 2s"},
      {"kind timeout", kind([](Kind& k) { k.timeout = 0ms; }), "kinds[0].timeout: must be 1ms"},
      {"kind history", kind([](Kind& k) { k.history = "none"; }),
       "kinds[0].history: must be all or failures, is \"none\""},
      {"unique_for", kind([](Kind& k) { k.unique_for = 366 * 24h; }),
       "kinds[0].unique_for: must be 0ms to 365d"},
      {"key_concurrency", kind([](Kind& k) { k.key_concurrency = 1'001; }),
       "kinds[0].key_concurrency: must be 1 to 1000"},
      {"handler twice", [](Config& c) { c.handlers.push_back(c.handlers[0]); },
       "handlers[1].kind: \"report.*\" is also that of handlers[0].kind"},
      {"handler kind", [](Config& c) { c.handlers[0].kind = "*a"; },
       "handlers[0].kind: a * stands"},
      {"no url", http([](HttpHandler& h) { h.url = ""; }), "handlers[0].http.url: must be a URL"},
      {"http timeout", http([](HttpHandler& h) { h.timeout = 999ms; }),
       "handlers[0].http.timeout: must be 1s to 15m"},
      {"long http timeout", http([](HttpHandler& h) { h.timeout = 16min; }),
       "handlers[0].http.timeout: must be"},
      {"http concurrency", http([](HttpHandler& h) { h.concurrency = 0; }),
       "handlers[0].http.concurrency: must be 1 to 1000"},
      {"secret", http([](HttpHandler& h) { h.secret_file = "whsec_x"; }),
       "handlers[0].http.secret_file: must be the path of a file, not the secret itself"},
      {"no name", schedule([](Schedule& s) { s.name = ""; }),
       "schedules[0].name: must not be empty"},
      {"name twice", [](Config& c) { c.schedules.push_back(c.schedules[0]); },
       "schedules[1].name: \"nightly\" is also that of schedules[0].name"},
      {"never", schedule([](Schedule& s) { s.cron = ""; }),
       "schedules[0].cron: one of cron, every and at is needed"},
      {"two times", schedule([](Schedule& s) { s.every = 1s; }),
       "schedules[0].cron: only one of cron, every and at"},
      {"often", schedule([](Schedule& s) {
         s.cron = "";
         s.every = 999ms;
       }),
       "schedules[0].every: must be 1s to 365d"},
      {"no zone", schedule([](Schedule& s) { s.time_zone = ""; }),
       "schedules[0].time_zone: must not be empty"},
      {"pattern", schedule([](Schedule& s) { s.kind = "report.*"; }),
       "schedules[0].kind: must be one kind of job, without *"},
      {"no queue", schedule([](Schedule& s) { s.queue = ""; }),
       "schedules[0].queue: must not be empty"},
      {"missed", schedule([](Schedule& s) { s.missed = "twice"; }),
       "schedules[0].missed: must be skip, once or all, is \"twice\""},
      {"missed_max", schedule([](Schedule& s) { s.missed_max = 0; }),
       "schedules[0].missed_max: must be 1 to 10000"},
      {"empty key", schedule([](Schedule& s) { s.unique_key = ""; }),
       "schedules[0].unique_key: must not be empty"},
      {"long key", schedule([](Schedule& s) { s.concurrency_key = std::string(1'025, 'k'); }),
       "schedules[0].concurrency_key: must be at most 1024 printable characters"},
      {"odd key", schedule([](Schedule& s) { s.rate_key = "a\n"; }),
       "schedules[0].rate_key: must be at most 1024 printable characters"},
      {"long tenant", schedule([](Schedule& s) { s.tenant = std::string(256, 't'); }),
       "schedules[0].tenant: must be at most 255 printable characters"},
      {"no subscriptions", [](Config& c) { c.subscriptions.clear(); },
       "subscriptions: at least one is needed by the role consumer"},
      {"subscription name", subscription([](Subscription& s) { s.name = "a b"; }),
       "subscriptions[0].name: must be 1 to 100 letters"},
      {"subscription called jobs", subscription([](Subscription& s) { s.name = "jobs"; }),
       "subscriptions[0].name: \"jobs\" is what relevo_dead_letters calls its own; give another"},
      {"subscription twice", [](Config& c) { c.subscriptions.push_back(c.subscriptions[0]); },
       "subscriptions[1].name: \"invoices\" is also that of subscriptions[0].name"},
      {"group twice",
       [](Config& c) {
         c.subscriptions.push_back(c.subscriptions[0]);
         c.subscriptions[1].name = "other";
         c.subscriptions[1].group = "relevo.invoices";
       },
       "subscriptions[1].group: \"relevo.invoices\" is also the group of subscriptions[0]"},
      {"no topics", subscription([](Subscription& s) { s.topics = {}; }),
       "subscriptions[0].topics: at least one topic is needed"},
      {"topic form", subscription([](Subscription& s) { s.topics = {"^orders"}; }),
       "subscriptions[0].topics: a topic holds letters"},
      {"empty topic", subscription([](Subscription& s) { s.topics = {""}; }),
       "subscriptions[0].topics: a topic needs a name"},
      {"dots", subscription([](Subscription& s) { s.topics = {".."}; }),
       "subscriptions[0].topics: Kafka has no topic"},
      {"topic length", subscription([](Subscription& s) { s.topics = {std::string(250, 'a')}; }),
       "subscriptions[0].topics: longer than"},
      {"topic twice", subscription([](Subscription& s) {
         s.topics = {"a", "a"};
       }),
       "subscriptions[0].topics: \"a\" is given twice"},
      {"no target", subscription([](Subscription& s) { s.enqueue = ""; }),
       "subscriptions[0].handler: one of handler, enqueue and http is needed"},
      {"two targets", subscription([](Subscription& s) { s.handler = "h"; }),
       "subscriptions[0].handler: only one of"},
      {"http and enqueue", subscription([](Subscription& s) {
         s.http = HttpHandler{"https://h.example.com/", 15s, 1, "", false};
       }),
       "subscriptions[0].handler: only one of"},
      {"http of subscription", subscription([](Subscription& s) {
         s.enqueue = "";
         s.http = HttpHandler{"ftp://h/", 15s, 1, "", false};
       }),
       "subscriptions[0].http.url: must be a URL"},
      {"enqueue", subscription([](Subscription& s) { s.enqueue = "a*"; }),
       "subscriptions[0].enqueue: must be one kind"},
      {"envelope", subscription([](Subscription& s) { s.envelope = "avro"; }),
       "subscriptions[0].envelope: must be auto, cloudevents, debezium or json"},
      {"start", subscription([](Subscription& s) { s.start = "now"; }),
       "subscriptions[0].start: must be earliest or latest"},
      {"unknown", subscription([](Subscription& s) { s.unknown = "fail"; }),
       "subscriptions[0].unknown: must be skip or dead_letter"},
      {"types", subscription([](Subscription& s) {
         s.types = {"a", "a"};
       }),
       "subscriptions[0].types: \"a\" is given twice"},
      {"concurrency", subscription([](Subscription& s) { s.concurrency = 257; }),
       "subscriptions[0].concurrency: must be 1 to 256"},
      {"batch", subscription([](Subscription& s) { s.batch_size = 0; }),
       "subscriptions[0].batch_size: must be 1 to 10000"},
      {"tries", subscription([](Subscription& s) { s.max_attempts = 0; }),
       "subscriptions[0].max_attempts: must be 1 to 10000"},
      {"limit", subscription([](Subscription& s) { s.timeout = std::chrono::milliseconds(0); }),
       "subscriptions[0].timeout: must be 100ms to 7d"},
      {"dead letters", subscription([](Subscription& s) { s.dead_letter_topic = "orders"; }),
       "subscriptions[0].dead_letter_topic: is one of topics"},
      {"dead letter topic", subscription([](Subscription& s) { s.dead_letter_topic = "a/b"; }),
       "subscriptions[0].dead_letter_topic: a topic holds"},
  };
  for (const Rule& rule : rules) {
    Config config = with_records();
    rule.change(config);
    const std::string lines = all_lines(validate(config));
    EXPECT_EQ(lines.rfind(rule.problem, 0), 0U) << rule.name << ": " << lines;
    EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), rule.problem.empty() ? 0 : 1)
        << rule.name << ": " << lines;
  }
}

TEST(ConfigRules, EndpointsArePublicAndEncryptedUnlessPrivateOnesAreMeant) {
  const auto problem = [](const std::string& url, bool allow_private = false) {
    Config config = with_records();
    config.handlers[0].http.url = url;
    config.handlers[0].http.allow_private = allow_private;
    return all_lines(validate(config));
  };
  for (const auto* good :
       {"https://h.example.com", "https://h.example.com:8443/a/b?c=d&e=%20", "https://8.8.8.8/",
        "https://[2606:4700::1111]:443/", "https://x_y.example.com./@a", "https://100.63.0.1/",
        "https://172.32.0.1/", "https://a.localhost.example.com/"}) {
    EXPECT_EQ(problem(good), "") << good;
  }
  for (const auto* inside : {"https://localhost/",
                             "https://LOCALHOST.:1/",
                             "https://a.localhost/",
                             "https://127.0.0.1/",
                             "https://127.1/",
                             "https://2130706433/",
                             "https://0x7f.0.0.1/",
                             "https://0177.0.0.1./",
                             "https://10.1.2.3/",
                             "https://172.16.0.1/",
                             "https://172.31.255.255/",
                             "https://192.168.1.1/",
                             "https://169.254.169.254/latest",
                             "https://100.64.0.1/",
                             "https://0.0.0.0/",
                             "https://224.0.0.1/",
                             "https://255.255.255.255/",
                             "https://[::1]/",
                             "https://[::]/",
                             "https://[fe80::1]/",
                             "https://[fd00::1]/",
                             "https://[::ffff:10.0.0.1]/",
                             "https://[64:ff9b::a00:1]/",
                             "https://[2002:a00:1::]/",
                             "https://[2001:db8::1]/",
                             "https://[ff02::1]/"}) {
    EXPECT_EQ(problem(inside).rfind("handlers[0].http.url: is an address of this machine", 0), 0U)
        << inside << problem(inside);
    EXPECT_EQ(problem(inside, true), "") << inside;
  }
  EXPECT_EQ(problem("http://h.example.com/").rfind("handlers[0].http.url: is not encrypted", 0),
            0U);
  EXPECT_EQ(problem("http://h.example.com/", true), "");
  for (const auto* bad : {"",
                          "h.example.com",
                          "ftp://h/",
                          "https:/h/",
                          "https://",
                          "https:///a",
                          "https://h:0/",
                          "https://h:65536/",
                          "https://h:x/",
                          "https://h:/",
                          "https://a..b/",
                          "https://.a/",
                          "https://a b/",
                          "https://a/ b",
                          "https://a/\n",
                          "https://a\\b/",
                          "https://h\xc3\xa9/",
                          "https://%31/",
                          "https://[::1/",
                          "https://[::1]x/",
                          "https://[fe80::1%25eth0]/",
                          "https://[1.2.3.4]/",
                          "https://h/#a",
                          "https://u@h/",
                          "https://u:p@h/",
                          "https://h\\@g/",
                          "HTTPS://h/"}) {
    EXPECT_NE(problem(bad), "") << bad;
    EXPECT_NE(problem(bad, true), "") << bad;
  }
}

TEST(ConfigRules, OneOffTimesAreRfc3339) {
  const auto problems = [](const std::string& at) {
    Config config = with_records();
    config.schedules[0].cron = "";
    config.schedules[0].at = at;
    return all_lines(validate(config));
  };
  for (const auto* good : {"2027-01-31T08:00:00Z", "2028-02-29t23:59:59.123456z",
                           "2027-01-31T08:00:00+05:30", "2027-01-31T08:00:00-05:00"}) {
    EXPECT_EQ(problems(good), "") << good;
  }
  for (const auto* bad : {"2027-01-31", "2027-01-31 08:00:00Z", "2027-01-31T08:00:00",
                          "2027-02-29T08:00:00Z", "2027-13-01T08:00:00Z", "2027-00-01T08:00:00Z",
                          "2027-01-31T24:00:00Z", "2027-01-31T08:60:00Z", "2027-01-31T08:00:60Z",
                          "2027-01-31T08:00:00+25:00", "tomorrow", "2027-01-31T08:00:00Z "}) {
    EXPECT_EQ(problems(bad).rfind("schedules[0].at: must be a time such as", 0), 0U) << bad;
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

TEST(ConfigPrint, HidesSecretsInRecords) {
  Config config;
  Handler handler{"a", {}};
  handler.http.url = "https://u:hunter2@h.example.com/x?token=hunter2&a=b";
  handler.http.secret_file = "whsec_hunter2";
  config.handlers.push_back(handler);
  Schedule schedule;
  schedule.payload =
      R"({"api_token": "hunter2", "to": ["amqp://u:hunter2@h/", {"password": [1]}]})";
  config.schedules.push_back(schedule);
  schedule.payload = "hunter2";  // not JSON
  config.schedules.push_back(schedule);
  Subscription subscription;
  subscription.http = handler.http;
  config.subscriptions.push_back(subscription);
  const std::string shown = print_effective(config) + print_effective_json(config);
  EXPECT_EQ(shown.find("hunter2"), std::string::npos) << shown;
  EXPECT_NE(shown.find("url: \"https://u:***@h.example.com/x?token=***&a=b\""), std::string::npos)
      << shown;
  config.handlers[0].http.url = "https://h.example.com/@u:x?token=hunter2";
  auto root = nlohmann::json::parse(print_effective_json(config));
  EXPECT_EQ(root["handlers"][0]["http"]["url"], "https://h.example.com/@u:x?token=***");
  EXPECT_EQ(root["schedules"][0]["payload"],
            R"({"api_token":"***","to":["amqp://u:***@h/",{"password":"***"}]})");
}

TEST_F(ConfigLoad, WhatIsPrintedCanBeLoadedAgain) {
  Config config;
  config.roles = {"worker", "scheduler", "consumer"};
  Kind kind;
  kind.kind = "*";
  kind.max_attempts = 7;
  kind.unique_for = 0ms;
  config.kinds = {kind, Kind{"5m", {}, {}, 90s, {}, {}, {}, {}}};
  config.handlers = {{"- a: b", {"http://[fd00::1]:80/", 20s, 3, "/run/a b", true}}};
  Schedule schedule;
  schedule.name = "null";
  schedule.every = 48h;
  schedule.kind = "~";
  schedule.payload = "[1.50, \"\\u00e9\\\"\", 1e300, \"\xc3\xa9\"]";
  config.schedules = {schedule};
  Subscription subscription;
  subscription.name = "5";
  subscription.topics = {"on", "1.0"};
  subscription.http = HttpHandler{"https://h.example.com/", 1s, 1, "", false};
  config.subscriptions = {subscription, subscription};
  config.subscriptions[1].name = "-";
  config.subscriptions[1].http.reset();
  config.subscriptions[1].enqueue = "a # b";
  config.instance = "a: \"b\" \xc3\xa9 # x";
  config.relay.source = "yes";
  config.kafka.properties = {{"linger.ms", "5"}, {"client.id", "no"}, {"x", "- a\n"}};
  config.relay.lease_ttl = 90s;
  config.http.listen = "[::1]:0";
  const LoadResult result = load_yaml(print_effective(config));
  ASSERT_EQ(errors(result), "") << print_effective(config);
  EXPECT_EQ(print_effective_json(result.config), print_effective_json(config));
  EXPECT_EQ(result.config.instance, config.instance);
  EXPECT_EQ(result.config.schedules.at(0).payload, schedule.payload);
  EXPECT_FALSE(result.config.subscriptions.at(1).http);
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
                                missed, missed_max, unique, one_at_a_time, rate, whose] = schedule;
  [[maybe_unused]] const auto& [name, read, group, handler, enqueue, http_target, envelope, start,
                                types, unknown, keys, batch, tries, limit, dead] = subscription;
  constexpr std::size_t kSingle = 2 + 5 + 4 + 3 + 9 + 8 + 1 + 2 + 1;
  constexpr std::size_t kLists = 4;
  constexpr std::size_t kOfRecords = 8 + (2 + 5) + 15 + (15 + 5);
  EXPECT_EQ(reference().size(), kSingle + kLists + kOfRecords);
}

}  // namespace
}  // namespace relevo::config
