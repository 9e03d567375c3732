#include "record_table.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "json_value.hpp"
#include "nearest.hpp"
#include "redact.hpp"
#include "type_name.hpp"

namespace relevo::config {

namespace {

enum class Need { kRequired, kOptional };

std::optional<ShownValue> show_field(const std::string& value) { return show(value); }
template <class T>
std::optional<ShownValue> show_field(const std::optional<T>& value) {
  if (!value) return std::nullopt;
  return show(*value);
}
template <class T>
std::optional<ShownValue> show_field(const T& value) {
  return show(value);
}

// Texts that need care of their own when they are read or shown.
struct Url {
  static std::string shown(const std::string& text) { return redact_endpoint(text); }
};

struct SecretFile {
  static std::string shown(const std::string& text) { return redact_path(text); }
};

struct JsonText {
  static std::string shown(const std::string& text) { return redact_json(text); }
};

// entries: a generic lambda from Config& to the list.
template <class Entries>
class Table {
 public:
  explicit Table(Entries entries) : entries_(entries) {
    records_.size = [entries](const Config& config) { return entries(config).size(); };
    records_.clear = [entries](Config& config) { entries(config).clear(); };
    records_.append = [entries](Config& config) { entries(config).emplace_back(); };
  }

  // member: a generic lambda from an entry to a pointer to the field; null where its group is not
  // there.
  template <class Member>
  Table& add(std::string path, Need need, std::string rule, std::string meaning, Member member) {
    using T = std::remove_cvref_t<decltype(*member(entries_(std::declval<Config&>())[0]))>;
    records_.fields.push_back(
        {std::move(path), kShape<T>, std::string(kTypeName<T>), need == Need::kRequired,
         std::move(rule), std::move(meaning),
         [entries = entries_, member](Config& config, std::size_t entry, const Raw& raw) {
           return read(raw, *member(entries(config)[entry]));
         },
         [entries = entries_, member](const Config& config,
                                      std::size_t entry) -> std::optional<ShownValue> {
           const auto* const field = member(entries(config)[entry]);
           if (field == nullptr) return std::nullopt;
           return show_field(*field);
         }});
    return *this;
  }

  template <class Care, class Member>
  Table& add_text(std::string path, Need need, std::string rule, std::string meaning,
                  Member member) {
    add(std::move(path), need, std::move(rule), std::move(meaning), member);
    Field& field = records_.fields.back();
    if constexpr (std::is_same_v<Care, JsonText>) {
      field.shape = Shape::kJson;
      field.type = "JSON";
    }
    field.read = [entries = entries_, member](Config& config, std::size_t entry, const Raw& raw) {
      std::string text;
      if (auto complaint = read(raw, text)) return complaint;
      if constexpr (std::is_same_v<Care, JsonText>) {
        if (auto complaint = check_json(text)) return complaint;
      }
      *member(entries(config)[entry]) = std::move(text);
      return Complaint();
    };
    field.show = [entries = entries_, member](const Config& config,
                                              std::size_t entry) -> std::optional<ShownValue> {
      const std::string* const text = member(entries(config)[entry]);
      if (text == nullptr) return std::nullopt;
      return Care::shown(*text);
    };
    return *this;
  }

  // open: makes the group of an entry exist. http: from an entry to its HttpHandler, or null.
  template <class Open, class Http>
  Table& add_http(Need need, std::string meaning, Open open, Http http) {
    records_.fields.push_back(
        {"http", Shape::kGroup, "keys", need == Need::kRequired, "", std::move(meaning),
         [entries = entries_, open](Config& config, std::size_t entry, const Raw&) {
           open(entries(config)[entry]);
           return Complaint();
         },
         [](const Config&, std::size_t) -> std::optional<ShownValue> { return std::nullopt; }});
#define RELEVO_HTTP(member)                             \
  ([http](auto& entry) {                                \
    auto* const found = http(entry);                    \
    return found == nullptr ? nullptr : &found->member; \
  })
    add_text<Url>("http.url", Need::kRequired,
                  "`https://host/path`, without credentials; `http://` and private addresses "
                  "with `allow_private`",
                  "where requests go", RELEVO_HTTP(url));
    add("http.timeout", Need::kOptional, "1s to 15m", "time for one request", RELEVO_HTTP(timeout));
    add("http.concurrency", Need::kOptional, "1 to 1000", "requests under way at a time",
        RELEVO_HTTP(concurrency));
    add_text<SecretFile>("http.secret_file", Need::kOptional, "",
                         "file whose content, `whsec_…`, signs requests; empty: not signed",
                         RELEVO_HTTP(secret_file));
    add("http.allow_private", Need::kOptional, "",
        "permits `http://` and addresses of private networks", RELEVO_HTTP(allow_private));
#undef RELEVO_HTTP
    return *this;
  }

  RecordList take() { return std::move(records_); }

 private:
  Entries entries_;
  RecordList records_;
};

#define RELEVO_LIST(member) ([](auto& config) -> auto& { return config.member; })
#define RELEVO_FIELD(member) ([](auto& entry) { return &entry.member; })

}  // namespace

RecordList kind_records() {
  Table table(RELEVO_LIST(kinds));
  table
      .add("kind", Need::kRequired, "a kind of job, or ending in `*`; each once",
           "kinds these rules are for", RELEVO_FIELD(kind))
      .add("max_attempts", Need::kOptional, "1 to 10000", "failed attempts until a job is dead",
           RELEVO_FIELD(max_attempts))
      .add("backoff_base", Need::kOptional, "1ms to `backoff_cap`",
           "longest wait before the second attempt; doubles with each", RELEVO_FIELD(backoff_base))
      .add("backoff_cap", Need::kOptional, "`backoff_base` to 7d", "longest wait of all",
           RELEVO_FIELD(backoff_cap))
      .add("timeout", Need::kOptional, "1ms to 7d", "time for one run", RELEVO_FIELD(timeout))
      .add("history", Need::kOptional, "`all`, `failures`", "finished jobs kept in the history",
           RELEVO_FIELD(history))
      .add("unique_for", Need::kOptional, "0ms to 365d",
           "how long a unique key holds after completion", RELEVO_FIELD(unique_for))
      .add("key_concurrency", Need::kOptional, "1 to 1000", "jobs of one concurrency key at a time",
           RELEVO_FIELD(key_concurrency));
  return table.take();
}

RecordList handler_records() {
  Table table(RELEVO_LIST(handlers));
  table
      .add("kind", Need::kRequired, "a kind of job, or ending in `*`; each once", "kinds it does",
           RELEVO_FIELD(kind))
      .add_http(
          Need::kRequired, "the endpoint that does them", [](Handler&) {}, RELEVO_FIELD(http));
  return table.take();
}

RecordList schedule_records() {
  Table table(RELEVO_LIST(schedules));
  table.add("name", Need::kRequired, "each once", "name of the schedule", RELEVO_FIELD(name))
      .add("cron", Need::kOptional, "exactly one of `cron`, `every`, `at`",
           "cron expression of five or six fields", RELEVO_FIELD(cron))
      .add("every", Need::kOptional, "1s to 365d", "fixed interval", RELEVO_FIELD(every))
      .add("at", Need::kOptional, "RFC 3339, as in `2027-01-31T08:00:00Z`", "once, at this time",
           RELEVO_FIELD(at))
      .add("time_zone", Need::kOptional, "an IANA name, as in `Europe/Madrid`",
           "time zone of `cron`", RELEVO_FIELD(time_zone))
      .add("kind", Need::kRequired, "a kind of job", "kind of the job it makes", RELEVO_FIELD(kind))
      .add("queue", Need::kOptional, "not empty", "queue of the job", RELEVO_FIELD(queue))
      .template add_text<JsonText>("payload", Need::kOptional, "a map, or JSON as text",
                                   "payload of the job", RELEVO_FIELD(payload))
      .add("priority", Need::kOptional, "", "priority of the job; larger is sooner",
           RELEVO_FIELD(priority))
      .add("missed", Need::kOptional, "`skip`, `once`, `all`",
           "what is made up for after a time in which nothing fired", RELEVO_FIELD(missed))
      .add("missed_max", Need::kOptional, "1 to 10000", "with `all`: at most so many",
           RELEVO_FIELD(missed_max))
      .add("unique_key", Need::kOptional, "1 to 1024 bytes",
           "no job is made while one with this key is unfinished", RELEVO_FIELD(unique_key))
      .add("concurrency_key", Need::kOptional, "1 to 1024 bytes", "concurrency key of the job",
           RELEVO_FIELD(concurrency_key))
      .add("rate_key", Need::kOptional, "1 to 1024 bytes", "rate key of the job",
           RELEVO_FIELD(rate_key))
      .add("tenant", Need::kOptional, "1 to 255 bytes", "tenant of the job", RELEVO_FIELD(tenant));
  return table.take();
}

RecordList subscription_records() {
  Table table(RELEVO_LIST(subscriptions));
  table
      .add("name", Need::kRequired,
           "letters, digits, `.`, `_`, `-`; each once, not `jobs` or `outbox`",
           "name of the subscription: what its inbox knows it by", RELEVO_FIELD(name))
      .add("topics", Need::kRequired, "at least one", "topics it reads", RELEVO_FIELD(topics))
      .add("group", Need::kOptional, "of one subscription only",
           "consumer group; empty: `relevo.` and the name", RELEVO_FIELD(group))
      .add("handler", Need::kOptional, "exactly one of `handler`, `enqueue`, `http`",
           "name of a registered message handler", RELEVO_FIELD(handler))
      .add("enqueue", Need::kOptional, "a kind of job", "kind of the job each message becomes",
           RELEVO_FIELD(enqueue))
      .add_http(
          Need::kOptional, "the endpoint each message goes to",
          [](Subscription& entry) {
            if (!entry.http) entry.http.emplace();
          },
          [](auto& entry) { return entry.http ? &*entry.http : nullptr; })
      .add("envelope", Need::kOptional, "`auto`, `cloudevents`, `debezium`, `json`",
           "how events are wrapped", RELEVO_FIELD(envelope))
      .add("start", Need::kOptional, "`earliest`, `latest`", "where a new group begins",
           RELEVO_FIELD(start))
      .add("types", Need::kOptional, "each once", "event types it handles; empty: all",
           RELEVO_FIELD(types))
      .add("unknown", Need::kOptional, "`skip`, `dead_letter`", "what happens to other types",
           RELEVO_FIELD(unknown))
      .add("concurrency", Need::kOptional, "1 to 256", "keys at work at a time",
           RELEVO_FIELD(concurrency))
      .add("batch_size", Need::kOptional, "1 to 10000", "messages in one transaction at most",
           RELEVO_FIELD(batch_size))
      .add("max_attempts", Need::kOptional, "1 to 10000",
           "failed attempts until a message is a dead letter", RELEVO_FIELD(max_attempts))
      .add("timeout", Need::kOptional, "100ms to 7d",
           "of one run of a registered handler; then it is asked to stop", RELEVO_FIELD(timeout))
      .add("dead_letter_topic", Need::kOptional, "none of `topics`",
           "where dead letters also go; empty: to the table only", RELEVO_FIELD(dead_letter_topic));
  return table.take();
}

#undef RELEVO_LIST
#undef RELEVO_FIELD

const Field* find_field(const RecordList& records, std::string_view path) {
  const auto found = std::find_if(records.fields.begin(), records.fields.end(),
                                  [&](const Field& field) { return field.path == path; });
  return found == records.fields.end() ? nullptr : &*found;
}

std::optional<std::string> nearest_field(const RecordList& records, std::string_view path) {
  std::vector<std::string> known;
  for (const Field& field : records.fields) known.push_back(field.path);
  return nearest_path(path, known);
}

std::string entry_path(std::string_view list, std::size_t entry) {
  return std::string(list) + "[" + std::to_string(entry) + "]";
}

}  // namespace relevo::config
