// What tests of HTTP handlers share: outcomes waited for, and metrics that remember.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "relevo/webhook/endpoint.hpp"

namespace relevo::test {

class RememberingEndpointMetrics final : public webhook::EndpointMetrics {
 public:
  void http_finished(std::string_view, std::string_view code, std::chrono::microseconds) override {
    const std::lock_guard lock(mutex_);
    codes_.emplace_back(code);
  }
  void breaker_changed(std::string_view, worker::CircuitBreaker::State state) override {
    const std::lock_guard lock(mutex_);
    states_.push_back(state);
  }

  std::vector<std::string> codes() const {
    const std::lock_guard lock(mutex_);
    return codes_;
  }
  std::vector<worker::CircuitBreaker::State> states() const {
    const std::lock_guard lock(mutex_);
    return states_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> codes_;
  std::vector<worker::CircuitBreaker::State> states_;
};

// Collects values another thread brings, with a deadline for each.
template <class Value>
class Mailbox {
 public:
  void put(Value value) {
    const std::lock_guard lock(mutex_);
    values_.push_back(std::move(value));
    changed_.notify_all();
  }

  // The next one; nullopt: none came in time.
  std::optional<Value> take(std::chrono::milliseconds deadline = std::chrono::seconds(20)) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, deadline, [this] { return taken_ < values_.size(); })) return {};
    return values_[taken_++];
  }

  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return values_.size();
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Value> values_;
  std::size_t taken_ = 0;
};

inline std::string describe(const worker::Outcome& outcome) {
  struct Text {
    std::string operator()(const worker::Done& done) const { return "done " + done.result; }
    std::string operator()(const worker::Retry& retry) const {
      return "retry " + retry.reason +
             (retry.after ? " after " + std::to_string(retry.after->count()) : "");
    }
    std::string operator()(const worker::Snooze&) const { return "snooze"; }
    std::string operator()(const worker::Cancel& cancel) const { return "cancel " + cancel.reason; }
    std::string operator()(const worker::Dead& dead) const { return "dead " + dead.reason; }
  };
  return std::visit(Text{}, outcome);
}

}  // namespace relevo::test
