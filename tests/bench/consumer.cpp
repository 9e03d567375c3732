#include "consumer.hpp"

#include <chrono>
#include <stdexcept>
#include <string>

#include "ceiling.hpp"
#include "progress.hpp"
#include "records.hpp"
#include "support/daemon.hpp"
#include "support/database.hpp"
#include "support/environment.hpp"
#include "support/eventually.hpp"
#include "support/kafka_admin.hpp"
#include "support/kafka_server.hpp"
#include "worker_process.hpp"

namespace relevo::bench {
namespace {

using namespace std::chrono_literals;

constexpr auto kDeadline = 300s;

}  // namespace

nlohmann::ordered_json measure_consumer(const Options& options) {
  const test::OwnKafka kafka;
  const test::Database database(options.postgres);
  test::migrate(database.url());
  auto connection = database.connect();
  connection.exec("CREATE TABLE bench_effect (event uuid NOT NULL)");
  fill_outbox(database.url(), options.jobs);
  auto records = records_of_outbox(database.url());
  const auto topic = test::unique_name("messages-");
  test::KafkaAdmin(kafka.bootstrap()).create_topic(topic, kPartitions);
  (void)produce(kafka.bootstrap(), topic, records, Requests::kFive);

  const ClusterTime cluster(database.url());
  WorkerProcess consumer({options.consumer, "--postgres", database.url(), "--kafka",
                          kafka.bootstrap(), "--topic", topic});
  consumer.wait_until_ran(1, kDeadline);
  const auto first = consumer.samples().front();
  const auto cpu_before = consumer.cpu_seconds() + cluster.cpu_seconds();
  consumer.wait_until_ran(options.jobs, kDeadline);
  const auto all_committed = [&] {
    return connection.number("SELECT count(*) FROM bench_effect") >= options.jobs;
  };
  if (!test::eventually(kDeadline, all_committed, 5ms))
    throw std::runtime_error("messages have no effect");
  const auto time = static_cast<double>(unix_microseconds() - first.at) / 1e6;
  const auto cpu = consumer.cpu_seconds() + cluster.cpu_seconds() - cpu_before;
  const auto rss = consumer.peak_rss_mib();
  (void)consumer.stop();
  if (connection.number("SELECT count(DISTINCT event) FROM bench_effect") != options.jobs ||
      connection.number("SELECT count(*) FROM bench_effect") != options.jobs) {
    throw std::runtime_error("not every message has had one effect");
  }
  const auto messages = static_cast<double>(options.jobs - first.ran);
  return {{"consumer_rate", static_cast<std::int64_t>(messages / time)},
          {"consumer_cpu_ms_per_1000", static_cast<std::int64_t>(cpu * 1e6 / messages)},
          {"consumer_rss_mib", rss}};
}

}  // namespace relevo::bench
