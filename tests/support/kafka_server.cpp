#include "support/kafka_server.hpp"

#include <cstdio>

#include "support/process.hpp"

namespace relevo::test {
namespace {

constexpr auto kStartsWithin = std::chrono::seconds(120);  // a JVM on a busy machine

std::vector<std::string> command(const TemporaryDirectory& directory, const std::string& verb) {
  return {required_environment("RELEVO_SCRIPTS") + "/kafka", verb, "--dir", directory.path()};
}

}  // namespace

OwnKafka::OwnKafka() : directory_("relevo-kafka-") {
  bootstrap_ = run(command(directory_, "start"), {}, kStartsWithin);
  while (!bootstrap_.empty() && bootstrap_.back() == '\n') bootstrap_.pop_back();
}

OwnKafka::~OwnKafka() {
  try {
    run(command(directory_, "stop"));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
}

bool OwnKafka::available() { return environment("RELEVO_TEST_KAFKA_KIND") == "kafka"; }

void OwnKafka::start() { run(command(directory_, "start"), {}, kStartsWithin); }

void OwnKafka::stop() {
  auto stop = command(directory_, "stop");
  stop.emplace_back("--keep");
  run(std::move(stop));
}

void OwnKafka::kill() { run(command(directory_, "kill")); }

}  // namespace relevo::test
