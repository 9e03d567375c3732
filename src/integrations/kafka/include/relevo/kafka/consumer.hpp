// worker::MessageSource over librdkafka: a member of a consumer group that commits only what it was
// told is done, and reads committed records only.
//
// Where the group has no offset for a partition, the start is resolved to a number and committed at
// once, so that later only a partition that is new, or whose offsets have expired, is started so.
// An offset that the log does not hold (any more) is kMisconfigured. While brokers are away it
// waits; the log tells of it on the edges. Assignors: range and roundrobin.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/core/log.hpp"
#include "relevo/kafka/client_options.hpp"
#include "relevo/worker/message_source.hpp"

namespace relevo::kafka {

struct ConsumerOptions {
  ClientOptions client;
  std::string group;
  std::vector<std::string> topics;
  // Of a partition for which the group has no offset. kEnd: also of one that is added later.
  enum class Start { kBeginning, kEnd } start = Start::kBeginning;
  // Static membership, for replicas whose names last (StatefulSet); two members with one name shut
  // each other out. Empty: none.
  std::string instance_id;
};

class KafkaConsumer final : public worker::MessageSource {
 public:
  // Throws IntegrationError kMisconfigured for wrong properties. Does not wait for a broker.
  KafkaConsumer(ConsumerOptions options, core::Log& log,
                const core::Clock& clock = core::system_clock());
  ~KafkaConsumer() override;  // without close(): leaves the group without a commit

  void poll(std::chrono::milliseconds wait, std::size_t most,
            std::vector<worker::RawRecord>& records, Assignment& assignment) override;
  void pause() override;
  void resume() override;
  void store(const worker::TopicPartition& partition, std::int64_t next) override;
  void commit() override;
  std::int64_t lag() const override;
  void close(std::chrono::milliseconds limit, Assignment& assignment) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace relevo::kafka
