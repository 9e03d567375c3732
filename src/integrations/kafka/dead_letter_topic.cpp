#include "relevo/kafka/dead_letter_topic.hpp"

#include <utility>
#include <vector>

#include "relevo/worker/envelope.hpp"

namespace relevo::kafka {
namespace {

using namespace std::chrono_literals;

constexpr auto kSendTime = 10s;  // then it is given up and the message tried again later
constexpr auto kCollectWait = 100ms;
constexpr std::size_t kLongestLog = 8'192;

}  // namespace

DeadLetterTopic::DeadLetterTopic(std::string topic, PublisherOptions options, core::Log& log,
                                 const core::Clock& clock)
    : topic_(std::move(topic)), options_(std::move(options)), log_(log), clock_(clock) {}

std::optional<std::string> DeadLetterTopic::send(const worker::RawRecord& record,
                                                 const worker::DeadLetter& letter) {
  const auto partition = std::to_string(record.partition());
  const auto offset = std::to_string(record.offset());
  const auto attempts = std::to_string(letter.attempts);
  const auto since = worker::rfc3339(letter.first_failed_at);
  const auto attempt_log = worker::attempts_json(letter.attempt_log, kLongestLog);
  std::vector<relay::Header> headers;
  for (const auto& [name, value] : record.headers()) headers.push_back({name, value});
  headers.push_back({"x-original-topic", record.topic()});
  headers.push_back({"x-original-partition", partition});
  headers.push_back({"x-original-offset", offset});
  headers.push_back({"x-error-class", letter.error_class});
  headers.push_back({"x-error-message", letter.error_message});
  headers.push_back({"x-attempts", attempts});
  headers.push_back({"x-first-failed-at", since});
  headers.push_back({"x-attempt-log", attempt_log});
  const auto key = record.key().value_or(std::string_view());

  const std::lock_guard lock(mutex_);
  if (!publisher_) publisher_ = std::make_unique<KafkaPublisher>(options_, log_, clock_);
  auto problem = try_to_send({topic_, key, record.value(), headers});
  if (problem && problem->too_large) {
    // The table has the log; without this header the record is little larger than it was.
    headers.pop_back();
    problem = try_to_send({topic_, key, record.value(), headers});
  }
  if (problem) return problem->text;
  return std::nullopt;
}

std::optional<DeadLetterTopic::Problem> DeadLetterTopic::try_to_send(const relay::Record& record) {
  const auto deadline = clock_.now() + kSendTime;
  ++ticket_;
  auto problem = offer(record, deadline);
  if (!problem) problem = wait_for_report(deadline);
  // What may still be on its way must not be taken for the next one's.
  if (problem && publisher_->in_flight() > 0) publisher_->reopen();
  return problem;
}

std::optional<DeadLetterTopic::Problem> DeadLetterTopic::offer(const relay::Record& record,
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
      default:
        return Problem{topic_ + ": " + result.error, result.status == relay::Send::kTooLarge};
    }
    if (clock_.now() >= deadline) return Problem{topic_ + ": " + result.error};
  }
}

std::optional<DeadLetterTopic::Problem> DeadLetterTopic::wait_for_report(core::BootTime deadline) {
  std::vector<relay::Report> reports;
  while (clock_.now() < deadline) {
    if (!publisher_->collect(kCollectWait, reports)) {
      publisher_->reopen();
      return Problem{topic_ + ": producer lost"};
    }
    for (const auto& report : reports) {
      if (report.ticket != ticket_) continue;
      if (report.outcome == relay::Outcome::kDelivered) return std::nullopt;
      return Problem{topic_ + ": " + publisher_->last_error(),
                     report.outcome == relay::Outcome::kTooLarge};
    }
  }
  return Problem{topic_ + ": no acknowledgement in time"};
}

}  // namespace relevo::kafka
