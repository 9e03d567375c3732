// A Kafka broker of the test's own, for those that stop it; by scripts/kafka. Port and data survive
// stop(), kill() and start(). Gone with the object.
#pragma once

#include <string>

#include "support/environment.hpp"

namespace relevo::test {

class OwnKafka {
 public:
  OwnKafka();  // started
  ~OwnKafka();
  OwnKafka(const OwnKafka&) = delete;
  OwnKafka& operator=(const OwnKafka&) = delete;

  // Where no Kafka can be had the tests run on a mock, which cannot be restarted.
  static bool available();

  void start();
  void stop();
  void kill();  // SIGKILL

  const std::string& bootstrap() const { return bootstrap_; }

 private:
  TemporaryDirectory directory_;
  std::string bootstrap_;
};

}  // namespace relevo::test
