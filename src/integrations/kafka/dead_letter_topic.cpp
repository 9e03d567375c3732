#include "relevo/kafka/dead_letter_topic.hpp"

#include <utility>
#include <vector>

namespace relevo::kafka {
namespace {

using namespace std::chrono_literals;

constexpr auto kSendTime = 10s;  // then it is given up and the message tried again later
constexpr auto kCollectWait = 100ms;

// RFC 3339 in UTC with milliseconds.
std::string time_text(core::WallTime time) {
  using namespace std::chrono;
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{floor<milliseconds>(time - day)};
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", int{date.year()},
                unsigned{date.month()}, unsigned{date.day()},
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()),
                static_cast<int>(clock.subseconds().count()));
  return text;
}

}  // namespace

DeadLetterTopic::DeadLetterTopic(std::string topic, PublisherOptions options, core::Log& log,
                                 const core::Clock& clock)
    : topic_(std::move(topic)), options_(std::move(options)), log_(log), clock_(clock) {}

std::optional<std::string> DeadLetterTopic::send(const worker::RawRecord& record,
                                                 const worker::DeadLetter& letter) {
  const auto partition = std::to_string(record.partition());
  const auto offset = std::to_string(record.offset());
  const auto attempts = std::to_string(letter.attempts);
  const auto since = time_text(letter.first_failed_at);
  std::vector<relay::Header> headers;
  for (const auto& [name, value] : record.headers()) headers.push_back({name, value});
  headers.push_back({"x-original-topic", record.topic()});
  headers.push_back({"x-original-partition", partition});
  headers.push_back({"x-original-offset", offset});
  headers.push_back({"x-error-class", letter.error_class});
  headers.push_back({"x-error-message", letter.error_message});
  headers.push_back({"x-attempts", attempts});
  headers.push_back({"x-first-failed-at", since});

  const std::lock_guard lock(mutex_);
  if (!publisher_) publisher_ = std::make_unique<KafkaPublisher>(options_, log_, clock_);
  const auto deadline = clock_.now() + kSendTime;
  ++ticket_;
  auto problem =
      offer({topic_, record.key().value_or(std::string_view()), record.value(), headers}, deadline);
  if (!problem) problem = wait_for_report(deadline);
  // What may still be on its way must not be taken for the next one's.
  if (problem && publisher_->in_flight() > 0) publisher_->reopen();
  return problem;
}

std::optional<std::string> DeadLetterTopic::offer(const relay::Record& record,
                                                  core::BootTime deadline) {
  std::vector<relay::Report> reports;
  for (;;) {
    const auto result = publisher_->send(record, ticket_);
    switch (result.status) {
      case relay::Send::kAccepted: return std::nullopt;
      case relay::Send::kProducerLost: publisher_->reopen(); break;
      case relay::Send::kFull:
      case relay::Send::kUnavailable:
        if (!publisher_->collect(kCollectWait, reports)) publisher_->reopen();
        break;
      default: return topic_ + ": " + result.error;
    }
    if (clock_.now() >= deadline) return topic_ + ": " + result.error;
  }
}

std::optional<std::string> DeadLetterTopic::wait_for_report(core::BootTime deadline) {
  std::vector<relay::Report> reports;
  while (clock_.now() < deadline) {
    if (!publisher_->collect(kCollectWait, reports)) {
      publisher_->reopen();
      return topic_ + ": producer lost";
    }
    for (const auto& report : reports) {
      if (report.ticket != ticket_) continue;
      if (report.outcome == relay::Outcome::kDelivered) return std::nullopt;
      return topic_ + ": " + publisher_->last_error();
    }
  }
  return topic_ + ": no acknowledgement in time";
}

}  // namespace relevo::kafka
