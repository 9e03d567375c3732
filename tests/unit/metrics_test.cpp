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
                                  "relevo_postgres_up",
                                  "relevo_kafka_up"};
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
  const auto path = std::filesystem::path(__FILE__).parent_path().parent_path().parent_path() /
                    "docs" / "metrics.md";
  std::ifstream file(path);
  std::map<std::string, std::string> documented;
  const std::regex row(R"(\| `([a-z_]+)` \| (counter|gauge|histogram) \|.*)");
  for (std::string line; std::getline(file, line);) {
    if (std::smatch match; std::regex_match(line, match, row)) documented[match[1]] = match[2];
  }
  EXPECT_EQ(documented, parse(metrics_.scrape()).types);
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
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) {
        metrics_.published(latencies);
        metrics_.backlog(1, false, 1s);
        if (i % 10 == 0) metrics_.scrape();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(value("relevo_outbox_published_total"), 400'000);
  EXPECT_EQ(value("relevo_outbox_end_to_end_seconds_count"), 400'000);
}

}  // namespace
}  // namespace relevo::metrics
