#include <algorithm>
#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "endpoint_url.hpp"
#include "record_table.hpp"
#include "redact.hpp"
#include "rules.hpp"
#include "value_rules.hpp"

namespace relevo::config {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::hours kWeek{7 * 24};
constexpr std::chrono::hours kYear{365 * 24};
constexpr std::size_t kLongestName = 255;
constexpr std::size_t kLongestKey = 1'024;

Complaint no_name(std::string_view text, std::size_t longest = kLongestName) {
  if (text.empty()) return "must not be empty";
  if (text.size() > longest || !is_printable(text)) {
    return "must be at most " + std::to_string(longest) + " printable characters";
  }
  return std::nullopt;
}

Complaint no_key(const std::optional<std::string>& key) {
  return key ? no_name(*key, kLongestKey) : std::nullopt;
}

Complaint no_kind(std::string_view kind) {
  if (auto complaint = no_name(kind)) return complaint;
  if (kind.find('*') == std::string_view::npos) return std::nullopt;
  return "must be one kind of job, without *";
}

Complaint no_pattern(std::string_view kind) {
  if (auto complaint = no_name(kind)) return complaint;
  if (kind.find('*') >= kind.size() - 1) return std::nullopt;
  return "a * stands at the end only, as in report.*";
}

class RecordChecker {
 public:
  explicit RecordChecker(const Config& config) : config_(config) {}

  std::vector<Broken> run() {
    each("kinds", config_.kinds, [this](const Kind& kind) { check(kind); });
    each("handlers", config_.handlers, [this](const Handler& handler) { check(handler); });
    each("schedules", config_.schedules, [this](const Schedule& schedule) { check(schedule); });
    each("subscriptions", config_.subscriptions,
         [this](const Subscription& subscription) { check(subscription); });
    return std::move(broken_);
  }

 private:
  template <class Record, class Check>
  void each(const std::string& list, const std::vector<Record>& records, Check check_one) {
    seen_.clear();
    for (std::size_t i = 0; i < records.size(); ++i) {
      entry_ = entry_path(list, i);
      check_one(records[i]);
    }
  }

  // fields: of the entry; the first is the one to change.
  void broken(std::initializer_list<std::string_view> fields, std::string message) {
    std::vector<std::string> keys;
    for (const auto field : fields) keys.push_back(entry_ + "." + std::string(field));
    keys.push_back(entry_);
    broken_.push_back({std::move(keys), std::move(message)});
  }

  void require(std::string_view field, Complaint complaint) {
    if (complaint) broken({field}, std::move(*complaint));
  }

  template <class T>
  void within(std::string_view field, const std::optional<T>& value, T least, T most) {
    if (value) require(field, out_of_range(*value, least, most));
  }

  void one_of(std::string_view field, std::string_view value,
              std::initializer_list<std::string_view> known) {
    if (is_one_of(value, known)) return;
    std::string names;
    for (const auto name : known) {
      const bool last = name == *(known.end() - 1);
      names += (names.empty() ? "" : last ? " or " : ", ") + std::string(name);
    }
    broken({field}, "must be " + names + ", is " + in_quotes(value));
  }

  void once(std::string_view field, const std::string& value) {
    const auto [first, is_new] =
        seen_.try_emplace(std::string(field) + "\n" + value, entry_ + "." + std::string(field));
    if (!is_new && !value.empty()) {
      broken({field}, in_quotes(value) + " is also that of " + first->second);
    }
  }

  void check(const Kind& kind) {
    require("kind", no_pattern(kind.kind));
    once("kind", kind.kind);
    within("max_attempts", kind.max_attempts, 1, 10'000);
    within<milliseconds>("backoff_base", kind.backoff_base, 1ms, kWeek);
    within<milliseconds>("backoff_cap", kind.backoff_cap, 1ms, kWeek);
    if (kind.backoff_base && kind.backoff_cap && *kind.backoff_base > *kind.backoff_cap) {
      broken({"backoff_base", "backoff_cap"}, "must not exceed backoff_cap (" +
                                                  to_text(*kind.backoff_cap) + "), is " +
                                                  to_text(*kind.backoff_base));
    }
    within<milliseconds>("timeout", kind.timeout, 1ms, kWeek);
    if (kind.history) one_of("history", *kind.history, {"all", "failures"});
    within<milliseconds>("unique_for", kind.unique_for, 0ms, kYear);
    within("key_concurrency", kind.key_concurrency, 1, 1'000);
  }

  void check(const Handler& handler) {
    require("kind", no_pattern(handler.kind));
    once("kind", handler.kind);
    check(handler.http);
  }

  void check(const HttpHandler& http) {
    if (auto complaint = no_endpoint(http.url, http.allow_private)) {
      broken({"http.url", "http.allow_private"}, std::move(*complaint));
    }
    require("http.timeout", out_of_range(http.timeout, 1s, 15min));
    require("http.concurrency", out_of_range(http.concurrency, 1, 1'000));
    if (looks_like_secret(http.secret_file)) {
      broken({"http.secret_file"}, "must be the path of a file, not the secret itself");
    }
  }

  void check(const Schedule& schedule) {
    require("name", no_name(schedule.name));
    once("name", schedule.name);
    const int times =
        (schedule.cron.empty() ? 0 : 1) + (schedule.every ? 1 : 0) + (schedule.at.empty() ? 0 : 1);
    if (times != 1) {
      broken({"cron", "every", "at"}, times == 0 ? "one of cron, every and at is needed"
                                                 : "only one of cron, every and at can be given");
    }
    within<milliseconds>("every", schedule.every, 1s, kYear);
    if (!schedule.at.empty() && !is_rfc3339(schedule.at)) {
      broken({"at"}, "must be a time such as 2027-01-31T08:00:00Z, is " + in_quotes(schedule.at));
    }
    require("time_zone", no_name(schedule.time_zone));
    require("kind", no_kind(schedule.kind));
    require("queue", no_name(schedule.queue));
    one_of("missed", schedule.missed, {"skip", "once", "all"});
    require("missed_max", out_of_range(schedule.missed_max, 1, 10'000));
    require("unique_key", no_key(schedule.unique_key));
    require("concurrency_key", no_key(schedule.concurrency_key));
    require("rate_key", no_key(schedule.rate_key));
    if (schedule.tenant) require("tenant", no_name(*schedule.tenant));
  }

  void check(const Subscription& subscription) {
    name_and_group(subscription);
    topics(subscription);
    const int targets = (subscription.handler.empty() ? 0 : 1) +
                        (subscription.enqueue.empty() ? 0 : 1) + (subscription.http ? 1 : 0);
    if (targets != 1) {
      broken({"handler", "enqueue", "http"},
             targets == 0 ? "one of handler, enqueue and http is needed"
                          : "only one of handler, enqueue and http can be given");
    }
    if (!subscription.handler.empty()) require("handler", no_name(subscription.handler));
    if (!subscription.enqueue.empty()) require("enqueue", no_kind(subscription.enqueue));
    if (subscription.http) check(*subscription.http);
    one_of("envelope", subscription.envelope, {"auto", "cloudevents", "debezium", "json"});
    one_of("start", subscription.start, {"earliest", "latest"});
    one_of("unknown", subscription.unknown, {"skip", "dead_letter"});
    std::set<std::string> types;
    for (const auto& type : subscription.types) {
      require("types", no_name(type));
      if (!types.insert(type).second) broken({"types"}, in_quotes(type) + " is given twice");
    }
    require("concurrency", out_of_range(subscription.concurrency, 1, 256));
    require("batch_size", out_of_range(subscription.batch_size, 1, 10'000));
    require("max_attempts", out_of_range(subscription.max_attempts, 1, 10'000));
    require("timeout", out_of_range(subscription.timeout, 100ms, kWeek));
  }

  void name_and_group(const Subscription& subscription) {
    const std::string& name = subscription.name;
    if (name.empty() || name.size() > 100 ||
        !std::all_of(name.begin(), name.end(), is_name_character)) {
      broken({"name"}, "must be 1 to 100 letters, digits, '.', '_' or '-'");
    }
    if (is_one_of(name, {"jobs", "outbox"})) {
      broken({"name"},
             in_quotes(name) + " is what relevo_dead_letters calls its own; give another");
    }
    once("name", name);
    if (!subscription.group.empty()) require("group", no_name(subscription.group));
    // Two members of one group share its messages: each subscription would miss some.
    const std::string group = subscription.group.empty() ? "relevo." + name : subscription.group;
    const auto [first, is_new] = groups_.try_emplace(group, entry_);
    const bool same_name = seen_.at("name\n" + name) != entry_ + ".name";
    if (!is_new && !name.empty() && !same_name) {
      broken({"group", "name"}, in_quotes(group) + " is also the group of " + first->second);
    }
  }

  void topics(const Subscription& subscription) {
    if (subscription.topics.empty()) broken({"topics"}, "at least one topic is needed");
    std::set<std::string> topics;
    for (const auto& topic : subscription.topics) {
      require("topics", no_topic(topic));
      if (!topics.insert(topic).second) broken({"topics"}, in_quotes(topic) + " is given twice");
    }
    const std::string& dead = subscription.dead_letter_topic;
    if (dead.empty()) return;
    require("dead_letter_topic", no_topic(dead));
    if (topics.contains(dead)) {
      broken({"dead_letter_topic", "topics"},
             "is one of topics: dead letters would come back without end");
    }
  }

  const Config& config_;
  std::vector<Broken> broken_;
  std::string entry_;                          // that is looked at: handlers[2]
  std::map<std::string, std::string> seen_;    // field and value -> the first that has it
  std::map<std::string, std::string> groups_;  // consumer group -> subscription
};

}  // namespace

std::vector<Broken> broken_record_rules(const Config& config) {
  return RecordChecker(config).run();
}

std::vector<Broken> unused_lists(const Config& config) {
  std::vector<Broken> unused;
  const auto check = [&](const std::string& list, bool is_empty, const std::string& role) {
    const auto& roles = config.roles;
    if (is_empty || std::find(roles.begin(), roles.end(), role) != roles.end()) return;
    unused.push_back({{list, "roles"}, "has no effect here: roles does not name " + role});
  };
  check("kinds", config.kinds.empty(), "worker");
  check("handlers", config.handlers.empty(), "worker");
  check("schedules", config.schedules.empty(), "scheduler");
  check("subscriptions", config.subscriptions.empty(), "consumer");
  return unused;
}

}  // namespace relevo::config
