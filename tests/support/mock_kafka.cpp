// A Kafka broker for tests of other processes: prints its bootstrap address, lives until stdin
// closes or a signal ends it.
#include <iostream>
#include <string>

#include "relevo/kafka/embedded.hpp"

int main() {
  const relevo::kafka::EmbeddedKafka kafka;
  std::cout << kafka.bootstrap() << std::endl;
  for (std::string ignored; std::getline(std::cin, ignored);) {
  }
}
