#include <gtest/gtest.h>

#include <unistd.h>
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "relevo/metrics/metrics.hpp"
#include "relevo/webhook/endpoint.hpp"
#include "relevo/worker/consumer_metrics.hpp"
#include "relevo/worker/metrics.hpp"
#include "relevo/worker/schedule_runner.hpp"

namespace relevo::metrics {
namespace {

using namespace std::chrono_literals;

class StoppedClock final : public core::Clock {
 public:
  core::BootTime now() const override { return now_; }
  core::WallTime wall() const override { return {}; }
  void advance(std::chrono::nanoseconds by) { now_ += by; }

 private:
  core::BootTime now_{1h};
};

// Series with their labels -> value, and metric -> type, from the text format.
struct Scrape {
  std::map<std::string, double> values;
  std::map<std::string, std::string> types;
};

Scrape parse(const std::string& text) {
  Scrape scrape;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string first;
    std::string second;
    words >> first >> second;
    if (first == "#" && second == "TYPE") {
      std::string name;
      words >> name;
      words >> scrape.types[name];
    } else if (first != "#") {
      const auto space = line.rfind(' ');
      scrape.values[line.substr(0, space)] = std::stod(line.substr(space + 1));
    }
  }
  return scrape;
}

class MetricsTest : public testing::Test {
 protected:
  double value(const std::string& series) {
    const Scrape scrape = parse(metrics_.scrape());
    const auto found = scrape.values.find(series);
    EXPECT_NE(found, scrape.values.end()) << series;
    return found == scrape.values.end() ? -1 : found->second;
  }

  // So that every family has a series.
  void tell_one_of_each() {
    const worker::StartedJob started{"q", 1ms};
    const worker::EndedJob ended{"k", "completed", 1ms};
    metrics_.worker().jobs_started({&started, 1});
    metrics_.worker().jobs_ended({&ended, 1});
    metrics_.schedules().schedule_fired("s", {});
    metrics_.consumers().consumer_lag("s", 0);
    metrics_.endpoints().http_finished("e", "200", 1ms);
    metrics_.endpoints().breaker_changed("e", worker::CircuitBreaker::State::kClosed);
    const QueueDepth depth{"q", 0, 0s};
    metrics_.queues().queues({&depth, 1}, 15s);
    metrics_.kafka_up(true);
  }

  static constexpr std::array<std::string_view, 2> kQueries{"read_page", "save_position"};
  StoppedClock clock_;
  Metrics metrics_{"1.2.3", kQueries, clock_};
};

TEST_F(MetricsTest, EverySeriesExistsFromTheFirstScrape) {
  const Scrape scrape = parse(metrics_.scrape());
  std::vector<std::string> series{"relevo_outbox_published_total",
                                  "relevo_outbox_backlog_events",
                                  "relevo_outbox_oldest_unpublished_age_seconds",
                                  "relevo_outbox_end_to_end_seconds_count",
                                  "relevo_outbox_batch_size_count",
                                  "relevo_shards_held",
                                  "relevo_lease_lost_total",
                                  "relevo_kafka_queue_messages",
                                  "relevo_outbox_dead_events",
                                  "relevo_outbox_dead_aggregates",
                                  "relevo_kafka_producer_reopened_total",
                                  "relevo_dead_letters{source=\"outbox\"}",
                                  "relevo_postgres_up"};
  for (const char* query : {"read_page", "save_position", "other"}) {
    series.push_back("relevo_postgres_query_seconds_count{query=\"" + std::string(query) + "\"}");
  }
  for (const char* reason : {"too_large", "invalid_topic", "unknown_topic", "unauthorized",
                             "rejected", "queued_behind", "producer_lost", "other"}) {
    series.push_back("relevo_outbox_publish_failures_total{reason=\"" + std::string(reason) +
                     "\"}");
  }
  for (const std::string& name : series) {
    ASSERT_TRUE(scrape.values.contains(name)) << name;
    EXPECT_EQ(scrape.values.at(name), 0) << name;
  }
  EXPECT_EQ(scrape.values.at("relevo_build_info{version=\"1.2.3\"}"), 1);
}

TEST_F(MetricsTest, TheDocumentListsExactlyWhatIsServed) {
  const auto path = std::filesystem::path(RELEVO_SOURCE_DIR) / "docs" / "metrics.md";
  std::ifstream file(path);
  std::map<std::string, std::string> documented;
  const std::regex row(R"(\| `([a-z_]+)` \| (counter|gauge|histogram) \|.*)");
  for (std::string line; std::getline(file, line);) {
    if (std::smatch match; std::regex_match(line, match, row)) documented[match[1]] = match[2];
  }
  tell_one_of_each();
  EXPECT_EQ(documented, parse(metrics_.scrape()).types);
}

TEST_F(MetricsTest, APartThatDoesNotRunHasNoSeries) {
  const std::string before = metrics_.scrape();
  for (const char* prefix : {"relevo_job", "relevo_lane", "relevo_schedule", "relevo_consumer",
                             "relevo_message", "relevo_handler", "relevo_kafka_up"}) {
    EXPECT_EQ(before.find(prefix), std::string::npos) << prefix;
  }
  (void)metrics_.worker();
  (void)metrics_.schedules();
  (void)metrics_.consumers();
  const Scrape scrape = parse(metrics_.scrape());
  std::vector<std::string> series{
      "relevo_jobs_running",           "relevo_job_crash_attempts_total",
      "relevo_fenced_results_total",   "relevo_lanes_held",
      "relevo_lanes_lost_total",       "relevo_schedules_broken",
      "relevo_inbox_duplicates_total", "relevo_message_duration_seconds_count"};
  for (const char* outcome : {"done", "cancelled", "snoozed", "retried", "dead", "other"}) {
    series.push_back("relevo_messages_total{outcome=\"" + std::string(outcome) + "\"}");
  }
  for (const std::string& name : series) {
    ASSERT_TRUE(scrape.values.contains(name)) << name;
    EXPECT_EQ(scrape.values.at(name), 0) << name;
  }
}

TEST_F(MetricsTest, JobsFallIntoTheSeriesOfTheirLabels) {
  const std::vector<worker::StartedJob> started{
      {"mail", 1ms}, {"default", 7ms}, {"mail", 3s}, {"mail", -2ms}, {"default", 2h}};
  metrics_.worker().jobs_started(started);
  metrics_.worker().jobs_started({});
  const std::string wait = "relevo_job_wait_seconds";
  EXPECT_EQ(value(wait + "_count{queue=\"mail\"}"), 3);
  EXPECT_NEAR(value(wait + "_sum{queue=\"mail\"}"), 3.001, 1e-9);
  EXPECT_EQ(value(wait + "_bucket{queue=\"mail\",le=\"0.001\"}"), 2);
  EXPECT_EQ(value(wait + "_bucket{queue=\"mail\",le=\"2.5\"}"), 2);
  EXPECT_EQ(value(wait + "_bucket{queue=\"mail\",le=\"5\"}"), 3);
  EXPECT_EQ(value(wait + "_bucket{queue=\"default\",le=\"1800\"}"), 1);
  EXPECT_EQ(value(wait + "_count{queue=\"default\"}"), 2);

  const std::vector<worker::EndedJob> ended{
      {"mail.*", "completed", 2ms}, {"mail.*", "retry", 40ms}, {"mail.*", "completed", 3ms}};
  metrics_.worker().jobs_ended(ended);
  metrics_.worker().jobs_ended(ended);
  const std::string ran = "relevo_job_duration_seconds";
  EXPECT_EQ(value(ran + "_count{kind=\"mail.*\",outcome=\"completed\"}"), 4);
  EXPECT_NEAR(value(ran + "_sum{kind=\"mail.*\",outcome=\"completed\"}"), 0.01, 1e-9);
  EXPECT_EQ(value(ran + "_bucket{kind=\"mail.*\",outcome=\"retry\",le=\"0.05\"}"), 2);
}

TEST_F(MetricsTest, VerbsOfTheWorkerReachTheirSeries) {
  metrics_.worker().jobs_running(12);
  metrics_.worker().crash_attempts(2);
  metrics_.worker().results_fenced(3);
  metrics_.worker().lanes_held(16);
  metrics_.worker().lanes_lost(4);
  metrics_.worker().lanes_lost(1);
  EXPECT_EQ(value("relevo_jobs_running"), 12);
  EXPECT_EQ(value("relevo_job_crash_attempts_total"), 2);
  EXPECT_EQ(value("relevo_fenced_results_total"), 3);
  EXPECT_EQ(value("relevo_lanes_held"), 16);
  EXPECT_EQ(value("relevo_lanes_lost_total"), 5);
}

TEST_F(MetricsTest, InventedLabelValuesStayBounded) {
  const std::size_t most = 200;
  for (int i = 0; i < 1'000; ++i) {
    const std::string queue = "q" + std::to_string(i);
    const worker::StartedJob job{queue, 1ms};
    metrics_.worker().jobs_started({&job, 1});
  }
  const Scrape scrape = parse(metrics_.scrape());
  std::size_t series = 0;
  for (const auto& [name, count] : scrape.values) {
    if (name.starts_with("relevo_job_wait_seconds_count")) ++series;
  }
  EXPECT_EQ(series, most + 1);
  EXPECT_EQ(scrape.values.at("relevo_job_wait_seconds_count{queue=\"q199\"}"), 1);
  EXPECT_EQ(scrape.values.at("relevo_job_wait_seconds_count{queue=\"other\"}"), 800);
}

TEST_F(MetricsTest, QueuesThatAreGoneHaveNothingReady) {
  auto& queues = metrics_.queues();
  queues.queues(std::vector<QueueDepth>{{"mail", 5, 3s}, {"default", 2, 1s}}, 15s);
  EXPECT_EQ(value("relevo_jobs_ready{queue=\"mail\"}"), 5);
  EXPECT_EQ(value("relevo_jobs_oldest_ready_age_seconds{queue=\"mail\"}"), 3);
  queues.queues(std::vector<QueueDepth>{{"default", 2, 1s}}, 15s);
  EXPECT_EQ(value("relevo_jobs_ready{queue=\"mail\"}"), 0);
  EXPECT_EQ(value("relevo_jobs_oldest_ready_age_seconds{queue=\"mail\"}"), 0);
}

TEST_F(MetricsTest, ReadyJobsAgeOnWhileNobodyMeasures) {
  metrics_.queues().queues(std::vector<QueueDepth>{{"mail", 5, 3s}, {"idle", 0, 0s}}, 40s);
  const std::string age = "relevo_jobs_oldest_ready_age_seconds";
  clock_.advance(40s);
  EXPECT_EQ(value(age + "{queue=\"mail\"}"), 3) << "the next measurement is only due";
  clock_.advance(20s);
  EXPECT_EQ(value(age + "{queue=\"mail\"}"), 63);
  EXPECT_EQ(value(age + "{queue=\"idle\"}"), 0);
}

TEST_F(MetricsTest, QueuesThatShareASeriesAreAddedUp) {
  std::vector<std::string> names;
  std::vector<QueueDepth> depths;
  for (int i = 0; i < 210; ++i) names.push_back("q" + std::to_string(i));
  for (const auto& name : names) depths.push_back({name, 1, std::chrono::seconds(depths.size())});
  metrics_.queues().queues(depths, 15s);
  metrics_.queues().queues(depths, 15s);
  EXPECT_EQ(value("relevo_jobs_ready{queue=\"other\"}"), 10);
  EXPECT_EQ(value("relevo_jobs_oldest_ready_age_seconds{queue=\"other\"}"), 209);
}

TEST_F(MetricsTest, DeadLettersAreToldBySource) {
  metrics_.dead_events(7, 1);
  metrics_.queues().dead_letters(
      std::vector<DeadLetters>{{"jobs", 3}, {"orders", 2}, {"outbox", 1}});
  EXPECT_EQ(value("relevo_dead_letters{source=\"jobs\"}"), 3);
  EXPECT_EQ(value("relevo_dead_letters{source=\"orders\"}"), 2);
  EXPECT_EQ(value("relevo_dead_letters{source=\"outbox\"}"), 8) << "a subscription of that name";
  metrics_.queues().dead_letters(std::vector<DeadLetters>{{"jobs", 4}});
  metrics_.dead_events(0, 0);
  EXPECT_EQ(value("relevo_dead_letters{source=\"jobs\"}"), 4);
  EXPECT_EQ(value("relevo_dead_letters{source=\"orders\"}"), 0);
  EXPECT_EQ(value("relevo_dead_letters{source=\"outbox\"}"), 0);
}

TEST_F(MetricsTest, VerbsOfSchedulesReachTheirSeries) {
  auto& schedules = metrics_.schedules();
  schedules.schedule_fired("nightly", core::WallTime(2'000s));
  schedules.schedule_fired("nightly", core::WallTime(1'000s));
  EXPECT_EQ(value("relevo_schedule_missed_total{schedule=\"nightly\"}"), 0);
  schedules.schedule_missed("nightly", 3);
  schedules.schedules_broken(2);
  EXPECT_EQ(value("relevo_schedule_last_success_timestamp_seconds{schedule=\"nightly\"}"), 2'000);
  EXPECT_EQ(value("relevo_schedule_missed_total{schedule=\"nightly\"}"), 3);
  EXPECT_EQ(value("relevo_schedules_broken"), 2);
}

TEST_F(MetricsTest, VerbsOfConsumersReachTheirSeries) {
  auto& consumers = metrics_.consumers();
  consumers.consumer_lag("orders", 40);
  EXPECT_EQ(value("relevo_messages_parked_total{subscription=\"orders\"}"), 0);
  EXPECT_EQ(value("relevo_messages_unknown_type_total{subscription=\"orders\"}"), 0);
  consumers.inbox_duplicates(5);
  consumers.dead_letter("orders");
  consumers.unknown_type("orders");
  consumers.messages_finished("done", 10, 20ms);
  consumers.messages_finished("retried", 1, 0s);
  consumers.messages_finished("an outcome nobody listed", 1, 0s);
  EXPECT_EQ(value("relevo_consumer_lag{subscription=\"orders\"}"), 40);
  EXPECT_EQ(value("relevo_inbox_duplicates_total"), 5);
  EXPECT_EQ(value("relevo_messages_parked_total{subscription=\"orders\"}"), 1);
  EXPECT_EQ(value("relevo_messages_unknown_type_total{subscription=\"orders\"}"), 1);
  EXPECT_EQ(value("relevo_messages_total{outcome=\"done\"}"), 10);
  EXPECT_EQ(value("relevo_messages_total{outcome=\"retried\"}"), 1);
  EXPECT_EQ(value("relevo_messages_total{outcome=\"other\"}"), 1);
  const std::string duration = "relevo_message_duration_seconds";
  EXPECT_EQ(value(duration + "_count"), 10) << "what was counted apart from its run has no time";
  EXPECT_EQ(value(duration + "_bucket{le=\"0.025\"}"), 10);
  EXPECT_EQ(value(duration + "_bucket{le=\"0.01\"}"), 0);
  EXPECT_NEAR(value(duration + "_sum"), 0.2, 1e-9);
}

TEST_F(MetricsTest, VerbsOfEndpointsReachTheirSeries) {
  using State = worker::CircuitBreaker::State;
  auto& endpoints = metrics_.endpoints();
  const std::string breaker = "relevo_handler_breaker_state{endpoint=\"billing\"}";
  endpoints.breaker_changed("billing", State::kClosed);
  EXPECT_EQ(value(breaker), 0);
  endpoints.breaker_changed("billing", State::kOpen);
  EXPECT_EQ(value(breaker), 2);
  endpoints.breaker_changed("billing", State::kHalfOpen);
  EXPECT_EQ(value(breaker), 1);
  endpoints.http_finished("billing", "200", 30'000us);
  endpoints.http_finished("billing", "timeout", 15s);
  const std::string http = "relevo_handler_http_seconds";
  EXPECT_EQ(value(http + "_bucket{code=\"200\",endpoint=\"billing\",le=\"0.05\"}"), 1);
  EXPECT_EQ(value(http + "_sum{code=\"timeout\",endpoint=\"billing\"}"), 15);
}

TEST_F(MetricsTest, PublishedEventsFallIntoTheirBuckets) {
  const std::vector<std::chrono::microseconds> latencies{-5us,     0us, 1'000us, 1'001us,
                                                         30'000us, 60s, 61s};
  metrics_.published(latencies);
  metrics_.published({});
  const std::string name = "relevo_outbox_end_to_end_seconds";
  EXPECT_EQ(value("relevo_outbox_published_total"), 7);
  EXPECT_EQ(value(name + "_count"), 7);
  EXPECT_NEAR(value(name + "_sum"), 121.032001, 1e-6);
  EXPECT_EQ(value(name + "_bucket{le=\"0.001\"}"), 3);
  EXPECT_EQ(value(name + "_bucket{le=\"0.0025\"}"), 4);
  EXPECT_EQ(value(name + "_bucket{le=\"0.025\"}"), 4);
  EXPECT_EQ(value(name + "_bucket{le=\"0.05\"}"), 5);
  EXPECT_EQ(value(name + "_bucket{le=\"60\"}"), 6);
  EXPECT_EQ(value(name + "_bucket{le=\"+Inf\"}"), 7);
}

TEST_F(MetricsTest, VerbsReachTheirSeries) {
  metrics_.publish_failed("too_large", 2);
  metrics_.publish_failed("a reason nobody listed", 3);
  metrics_.batch_read(100);
  metrics_.shards_held(4);
  metrics_.lease_lost(2);
  metrics_.producer_reopened();
  metrics_.queue_depth(17);
  metrics_.dead_events(5, 2);
  metrics_.postgres_up(true);
  metrics_.kafka_up(true);
  metrics_.query_finished("read_page", 2ms);
  metrics_.query_finished("drop table", 1s);
  EXPECT_EQ(value("relevo_outbox_publish_failures_total{reason=\"too_large\"}"), 2);
  EXPECT_EQ(value("relevo_outbox_publish_failures_total{reason=\"other\"}"), 3);
  EXPECT_EQ(value("relevo_outbox_batch_size_sum"), 100);
  EXPECT_EQ(value("relevo_shards_held"), 4);
  EXPECT_EQ(value("relevo_lease_lost_total"), 2);
  EXPECT_EQ(value("relevo_kafka_producer_reopened_total"), 1);
  EXPECT_EQ(value("relevo_kafka_queue_messages"), 17);
  EXPECT_EQ(value("relevo_outbox_dead_events"), 5);
  EXPECT_EQ(value("relevo_outbox_dead_aggregates"), 2);
  EXPECT_EQ(value("relevo_postgres_up"), 1);
  EXPECT_EQ(value("relevo_kafka_up"), 1);
  EXPECT_EQ(value("relevo_postgres_query_seconds_bucket{query=\"read_page\",le=\"0.0025\"}"), 1);
  EXPECT_EQ(value("relevo_postgres_query_seconds_count{query=\"other\"}"), 1);
}

TEST_F(MetricsTest, TheOldestAgeGrowsOnWhileNobodyMeasures) {
  const std::string age = "relevo_outbox_oldest_unpublished_age_seconds";
  metrics_.backlog(10, true, 3s);
  EXPECT_EQ(value("relevo_outbox_backlog_events"), 10);
  EXPECT_EQ(value(age), 3);
  clock_.advance(15s);
  EXPECT_EQ(value(age), 3) << "the next measurement is only due";
  clock_.advance(45s);
  EXPECT_EQ(value(age), 63);
  metrics_.backlog(0, true, 0s);
  clock_.advance(1h);
  EXPECT_EQ(value(age), 0);
}

TEST_F(MetricsTest, ProcessFiguresAreRead) {
  EXPECT_GT(value("process_resident_memory_bytes"), 1'000'000);
  EXPECT_GE(value("process_threads"), 1);
  const double descriptors = value("process_open_fds");
  const int one_more = ::dup(0);
  EXPECT_EQ(value("process_open_fds"), descriptors + 1);
  ::close(one_more);
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  EXPECT_NEAR(value("process_start_time_seconds"), now, 3'600);
  EXPECT_GE(value("process_cpu_seconds_total"), 0);
}

TEST_F(MetricsTest, CountsFromSeveralThreads) {
  const std::vector<std::chrono::microseconds> latencies(1'000, 5ms);
  const std::vector<worker::StartedJob> jobs{{"a", 1ms}, {"b", 1ms}};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) {
        metrics_.published(latencies);
        metrics_.worker().jobs_started(jobs);
        metrics_.backlog(1, false, 1s);
        if (i % 10 == 0) metrics_.scrape();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(value("relevo_outbox_published_total"), 400'000);
  EXPECT_EQ(value("relevo_outbox_end_to_end_seconds_count"), 400'000);
  EXPECT_EQ(value("relevo_job_wait_seconds_count{queue=\"b\"}"), 400);
}

}  // namespace
}  // namespace relevo::metrics
