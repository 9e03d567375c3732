// What an operator does to a cluster while relevo runs: topics made, changed and deleted. Each call
// returns when the cluster shows the change, and throws std::runtime_error if it refuses. Real
// Kafka only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace relevo::test {

class KafkaAdmin {
 public:
  explicit KafkaAdmin(const std::string& bootstrap);
  ~KafkaAdmin();
  KafkaAdmin(const KafkaAdmin&) = delete;
  KafkaAdmin& operator=(const KafkaAdmin&) = delete;

  void create_topic(const std::string& topic, std::int32_t partitions,
                    const std::map<std::string, std::string>& settings = {});
  void delete_topic(const std::string& topic);
  void add_partitions(const std::string& topic, std::int32_t total);
  void set(const std::string& topic, const std::string& setting, const std::string& value);

  std::int32_t partitions(const std::string& topic);  // 0: no such topic

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace relevo::test
