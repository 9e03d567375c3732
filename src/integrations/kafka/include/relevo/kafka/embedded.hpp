// A Kafka broker inside this process (librdkafka's mock cluster) on a free port of 127.0.0.1; other
// processes of the same host can use it too. For tests and for trying things out: it keeps at most
// 5 MiB per partition, in memory, knows no security and no admin requests, and creates any topic
// that is asked for. Thread-safe. The broker ends with the object.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

struct rd_kafka_mock_cluster_s;

namespace relevo::kafka {

class EmbeddedKafka {
 public:
  EmbeddedKafka();
  ~EmbeddedKafka();
  EmbeddedKafka(const EmbeddedKafka&) = delete;
  EmbeddedKafka& operator=(const EmbeddedKafka&) = delete;

  const std::string& bootstrap() const;

  // False when the topic is there already.
  bool create_topic(const std::string& name, std::int32_t partitions);

  // For tests that inject faults by <librdkafka/rdkafka_mock.h>. Owned by this object.
  rd_kafka_mock_cluster_s* native() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace relevo::kafka
