#include "relevo/webhook/http_message_handler.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "relevo/webhook/header_value.hpp"

namespace relevo::webhook {
namespace {

// The outcomes of the calls of one run(), as they come in.
class Answers {
 public:
  explicit Answers(std::size_t calls) : outcomes_(calls), missing_(calls) {}

  void put(std::size_t index, worker::Outcome outcome) {
    const std::lock_guard lock(mutex_);
    outcomes_[index] = std::move(outcome);
    --missing_;
    changed_.notify_all();  // under the lock: the waiting thread destroys this object
  }

  // False: stopped before the last one was there.
  bool wait(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    return changed_.wait(lock, stop, [this] { return missing_ == 0; });
  }

  std::vector<worker::Outcome> take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return missing_ == 0; });
    std::vector<worker::Outcome> taken;
    for (auto& outcome : outcomes_) taken.push_back(std::move(*outcome));
    return taken;
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<std::optional<worker::Outcome>> outcomes_;
  std::size_t missing_;
};

// As one would write it; anything else could not stand in a header as it is.
bool is_content_type(std::string_view text) {
  return !text.empty() && text.size() <= 200 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

}  // namespace

std::vector<worker::Outcome> HttpMessageHandler::run(std::span<const worker::Message> messages,
                                                     worker::Context& context) {
  Answers answers(messages.size());
  for (std::size_t i = 0; i < messages.size(); ++i) {
    bool started = false;
    do {
      started = endpoint_.start(call_of(messages[i]), [&answers, i](worker::Outcome outcome) {
        answers.put(i, std::move(outcome));
      });
    } while (!started && endpoint_.wait_for_room(context.stop()));
    if (!started) answers.put(i, worker::snooze(endpoint_.pause()));
  }
  if (!answers.wait(context.stop())) {
    for (const auto& message : messages) endpoint_.abandon(webhook_id(message.id));
  }
  return answers.take();
}

HttpCall HttpMessageHandler::call_of(const worker::Message& message) const {
  HttpCall call;
  call.id = webhook_id(message.id);
  call.headers = {header("relevo-subscription", subscription_),
                  header("relevo-attempt", std::to_string(message.attempt))};
  if (!message.type.empty()) call.headers.push_back(header("relevo-event-type", message.type));
  if (message.tenant) call.headers.push_back(header("relevo-tenant", *message.tenant));
  if (!message.payload) call.headers.emplace_back("relevo-tombstone: true");
  for (const auto& [name, value] : message.headers) {
    if (name == "content-type" && is_content_type(value)) call.content_type = value;
    if (name == "traceparent") call.headers.push_back(header(name, value));
    if (!name.starts_with("ce_")) continue;  // CloudEvents' prefix in Kafka; over HTTP it is ce-
    const auto http_name = "ce-" + std::string(name.substr(3));
    if (is_header_name(http_name)) call.headers.push_back(header(http_name, value));
  }
  call.body = message.payload.value_or("");
  return call;
}

}  // namespace relevo::webhook
