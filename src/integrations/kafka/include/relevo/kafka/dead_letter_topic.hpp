// worker::DeadLetters: a topic, written by an idempotent producer of its own that is made with the
// first message. One message at a time; dead letters are rare.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include "relevo/core/clock.hpp"
#include "relevo/core/log.hpp"
#include "relevo/kafka/publisher.hpp"
#include "relevo/worker/dead_letters.hpp"

namespace relevo::kafka {

class DeadLetterTopic final : public worker::DeadLetters {
 public:
  DeadLetterTopic(std::string topic, PublisherOptions options, core::Log& log,
                  const core::Clock& clock = core::system_clock());

  [[nodiscard]] std::optional<std::string> send(const worker::RawRecord& record,
                                                const worker::DeadLetter& letter) override;

 private:
  struct Problem {
    std::string text;
    bool too_large = false;
  };

  std::optional<Problem> try_to_send(const relay::Record& record);
  std::optional<Problem> offer(const relay::Record& record, core::BootTime deadline);
  std::optional<Problem> wait_for_report(core::BootTime deadline);

  const std::string topic_;
  const PublisherOptions options_;
  core::Log& log_;
  const core::Clock& clock_;
  std::mutex mutex_;  // of what follows
  std::unique_ptr<KafkaPublisher> publisher_;
  relay::Ticket ticket_ = 0;
};

}  // namespace relevo::kafka
