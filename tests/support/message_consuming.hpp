// What tests of consumers share: a handler made of a function, figures, and writing records with
// headers to a topic.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "relevo/kafka/publisher.hpp"
#include "relevo/worker/consumer_metrics.hpp"
#include "relevo/worker/handler.hpp"
#include "support/kafka_publishing.hpp"

namespace relevo::test {

class FunctionHandler final : public worker::MessageHandler {
 public:
  using Function = std::function<std::vector<worker::Outcome>(std::span<const worker::Message>,
                                                              worker::Context&)>;

  explicit FunctionHandler(Function function, bool several_of_a_key = false)
      : function_(std::move(function)), several_of_a_key_(several_of_a_key) {}

  std::vector<worker::Outcome> run(std::span<const worker::Message> messages,
                                   worker::Context& context) override {
    return function_(messages, context);
  }
  bool several_of_a_key() const override { return several_of_a_key_; }

 private:
  Function function_;
  bool several_of_a_key_;
};

class ConsumerFigures final : public worker::ConsumerMetrics {
 public:
  void consumer_lag(std::string_view, std::int64_t messages) override {
    const std::lock_guard lock(mutex_);
    lag_ = messages;
  }
  void inbox_duplicates(std::size_t messages) override { add("duplicate", messages); }
  void dead_letter(std::string_view) override { add("dead_letter", 1); }
  void messages_finished(std::string_view outcome, std::size_t messages,
                         std::chrono::duration<double>) override {
    add(std::string(outcome), messages);
  }
  void unknown_type(std::string_view) override { add("unknown_type", 1); }

  std::size_t count(const std::string& what) const {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(what);
    return found == counts_.end() ? 0 : found->second;
  }
  std::int64_t lag() const {
    const std::lock_guard lock(mutex_);
    return lag_;
  }

 private:
  void add(const std::string& what, std::size_t messages) {
    const std::lock_guard lock(mutex_);
    counts_[what] += messages;
  }

  mutable std::mutex mutex_;
  std::map<std::string, std::size_t> counts_;
  std::int64_t lag_ = 0;
};

struct TestRecord {
  std::string key;
  std::optional<std::string> value;  // nullopt: a tombstone
  std::vector<std::pair<std::string, std::string>> headers;
};

// A CloudEvent in binary mode.
TestRecord event_record(const std::string& key, const std::string& id, const std::string& type,
                        const std::string& value);

// Writes records and waits for the brokers; throws std::runtime_error when they do not take one.
void write_records(const std::string& bootstrap, const std::string& topic,
                   std::span<const TestRecord> records);

}  // namespace relevo::test
