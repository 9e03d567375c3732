#include "latency.hpp"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "percentiles.hpp"
#include "support/database.hpp"
#include "support/environment.hpp"
#include "support/kafka_admin.hpp"
#include "surroundings.hpp"
#include "writers.hpp"

namespace relevo::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;
using Json = nlohmann::ordered_json;

constexpr auto kWarmUp = 3s;
constexpr auto kLastEvents = 15s;
constexpr std::size_t kPayload = 200;

void say(const std::string& text) { std::fprintf(stderr, "bench: %s\n", text.c_str()); }

// When each event was due, committed and received. Each field of an event has one writer.
struct Event {
  Time due;
  Time committed;
  Time received;
  int times = 0;  // received
};

// Events at their due times, never earlier; a writer that is late goes on at once and keeps the
// schedule.
void write(const std::string& url, std::vector<Event>& events, std::size_t first,
           std::size_t step) {
  test::Connection connection(url);
  for (auto i = first; i < events.size(); i += step) {
    std::string payload = "{\"n\": " + std::to_string(i) + ", \"text\": \"";
    payload.append(kPayload - payload.size() - 2, 'x');
    payload += "\"}";
    std::this_thread::sleep_until(events[i].due);
    connection.query("SELECT relevo.publish('order', $1, 'OrderPaid', $2::jsonb)",
                     {"order-" + std::to_string(i % kAggregates), payload});
    events[i].committed = Clock::now();
  }
}

// librdkafka itself, not the project's reader, which now and then stops to look for topics.
class Consumer {
 public:
  Consumer(const std::string& bootstrap, const std::string& topic) {
    auto* conf = rd_kafka_conf_new();
    char text[256];
    if (rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap.c_str(), text, sizeof text) !=
        RD_KAFKA_CONF_OK) {
      throw std::runtime_error(text);
    }
    client_.reset(rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text));
    if (!client_) throw std::runtime_error(text);
    topic_.reset(rd_kafka_topic_new(client_.get(), topic.c_str(), nullptr));
    queue_.reset(rd_kafka_queue_new(client_.get()));
    for (std::int32_t partition = 0; partition < kPartitions; ++partition) {
      rd_kafka_consume_start_queue(topic_.get(), partition, RD_KAFKA_OFFSET_BEGINNING,
                                   queue_.get());
    }
  }

  ~Consumer() {
    for (std::int32_t partition = 0; partition < kPartitions; ++partition) {
      rd_kafka_consume_stop(topic_.get(), partition);
    }
  }

  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  void receive(std::vector<Event>& events, std::chrono::milliseconds wait) {
    const std::unique_ptr<rd_kafka_message_t, Destroy> message(
        rd_kafka_consume_queue(queue_.get(), static_cast<int>(wait.count())));
    if (!message || message->err != RD_KAFKA_RESP_ERR_NO_ERROR) return;
    const auto now = Clock::now();
    const auto* text = static_cast<const char*>(message->payload) + sizeof "{\"n\": " - 1;
    std::size_t number = 0;
    std::from_chars(text, text + 20, number);
    auto& event = events.at(number);
    if (event.times++ == 0) {
      event.received = now;
      ++received_;
    }
  }

  std::size_t received() const { return received_; }

 private:
  struct Destroy {
    void operator()(rd_kafka_t* client) const { rd_kafka_destroy(client); }
    void operator()(rd_kafka_topic_t* topic) const { rd_kafka_topic_destroy(topic); }
    void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
    void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
  };

  std::unique_ptr<rd_kafka_t, Destroy> client_;
  std::unique_ptr<rd_kafka_topic_t, Destroy> topic_;
  std::unique_ptr<rd_kafka_queue_t, Destroy> queue_;
  std::size_t received_ = 0;
};

Json summary(const std::vector<Event>& events, std::size_t warm) {
  std::vector<Nanoseconds> from_commit;
  std::vector<Nanoseconds> from_due;
  std::vector<Nanoseconds> commit;
  std::int64_t lost = 0;
  std::int64_t duplicates = 0;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const auto& event = events[i];
    if (event.times == 0) ++lost;
    if (event.times > 1) duplicates += event.times - 1;
    if (event.times == 0 || i < warm) continue;
    // The consumer may have it before the writer's thread runs again.
    from_commit.push_back(std::max<Nanoseconds>(event.received - event.committed, 0ns));
    from_due.push_back(event.received - event.due);
    commit.push_back(event.committed - event.due);
  }
  if (from_commit.empty()) throw std::runtime_error("no event arrived");
  Json result;
  add_percentiles(result, "", from_commit);
  add_percentiles(result, "from_due_", from_due);
  add_percentiles(result, "due_to_commit_", commit);
  result["lost"] = lost;
  result["duplicates"] = duplicates;
  return result;
}

Json run_once(const Options& options) {
  const test::Database database(options.postgres);
  test::migrate(database.url());
  const auto topic = test::unique_name("latency-");
  test::KafkaAdmin(options.kafka).create_topic(topic, kPartitions);
  test::Daemon daemon(daemon_options(database.url(), options, topic));
  if (!daemon.wait_ready())
    throw std::runtime_error("relevo does not start: " + daemon.process().standard_error());
  Consumer consumer(options.kafka, topic);

  const auto warm =
      static_cast<std::size_t>(kWarmUp.count()) * static_cast<std::size_t>(options.rate);
  std::vector<Event> events(warm +
                            static_cast<std::size_t>(options.duration.count() * options.rate));
  const auto busy_before = busy_share();
  const auto start = Clock::now() + 200ms;
  for (std::size_t i = 0; i < events.size(); ++i) {
    events[i].due =
        start + std::chrono::nanoseconds(1s) * static_cast<std::int64_t>(i) / options.rate;
  }
  say(std::to_string(options.rate) + " events a second for " +
      std::to_string(options.duration.count()) + " s");
  std::atomic<bool> written = false;
  std::thread consuming([&] {
    Time deadline = Time::max();
    while (consumer.received() < events.size() && Clock::now() < deadline) {
      consumer.receive(events, 100ms);
      if (written && deadline == Time::max()) deadline = Clock::now() + kLastEvents;
    }
  });
  std::exception_ptr failure;
  try {
    run_writers(options.writers, [&](int writer) {
      write(database.url(), events, static_cast<std::size_t>(writer),
            static_cast<std::size_t>(options.writers));
    });
  } catch (...) {
    failure = std::current_exception();
  }
  written = true;
  consuming.join();
  if (failure) std::rethrow_exception(failure);

  Json run{{"rate", options.rate}};
  const auto last =
      *std::max_element(events.begin(), events.end(),
                        [](const auto& a, const auto& b) { return a.committed < b.committed; });
  run["written_per_second"] =
      std::round(static_cast<double>(events.size()) /
                 std::chrono::duration<double>(last.committed - start).count());
  run.update(summary(events, warm));
  run["peak_rss_mib"] = peak_rss_mib(daemon.process().pid());
  (void)daemon.terminate();
  run["others_busy"] = std::max(busy_before, busy_share());
  say(run.dump());
  return run;
}

}  // namespace

// The run with the median p99; of loss, duplicates and memory the worst of all runs.
Json measure_latency(const Options& options) {
  std::vector<Json> runs;
  for (int i = 0; i < options.runs; ++i) runs.push_back(run_once(options));
  auto sorted = runs;
  std::sort(sorted.begin(), sorted.end(),
            [](const Json& a, const Json& b) { return a["p99_ms"] < b["p99_ms"]; });
  Json result{{"benchmark", "latency"},
              {"seconds", options.duration.count()},
              {"writers", options.writers},
              {"payload_bytes", kPayload}};
  result.update(sorted[sorted.size() / 2]);
  for (const auto* worst : {"lost", "duplicates", "peak_rss_mib", "others_busy"}) {
    for (const auto& run : runs) result[worst] = std::max(result[worst], run[worst]);
  }
  if (runs.size() > 1) result["runs"] = runs;
  return result;
}

}  // namespace relevo::bench
