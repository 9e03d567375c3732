#include "relay.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "ceiling.hpp"
#include "records.hpp"
#include "relevo/kafka/reader.hpp"
#include "support/database.hpp"
#include "support/environment.hpp"
#include "support/kafka_admin.hpp"
#include "surroundings.hpp"

namespace relevo::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;
using Json = nlohmann::ordered_json;

// The metrics page costs the relay something; only towards the end does its time matter.
constexpr auto kPoll = 100ms;
constexpr auto kPollAtTheEnd = 10ms;
constexpr int kWarmUps =
    3;  // a cold broker is a slow one, and its compiler takes the processors from others
constexpr int kCeilings = 2;
constexpr auto kDeadline = 600s;

void say(const std::string& text) { std::fprintf(stderr, "bench: %s\n", text.c_str()); }

struct Drain {
  double rate = 0;             // between the first and the last acknowledgement
  double rate_with_start = 0;  // from the start of the process on
  double cpu_us_per_event = 0;
  double peak_rss_mib = 0;
};

double cpu_seconds(test::Daemon& daemon) {
  return daemon.metric("process_cpu_seconds_total").value_or(0);
}

Drain drain(const std::string& url, const Options& options, const std::string& topic) {
  const auto start = Clock::now();
  test::Daemon daemon(daemon_options(url, options, topic));
  const auto wanted = static_cast<double>(options.events);
  Clock::time_point first_seen;
  double first = 0;
  for (auto poll = kPollAtTheEnd;; std::this_thread::sleep_for(poll)) {
    const auto published = daemon.metric("relevo_outbox_published_total").value_or(0);
    const auto now = Clock::now();
    if (first == 0 && published > 0) {
      first = published;
      first_seen = now;
    }
    if (published >= wanted) {
      Drain result;
      result.rate = (published - first) / Seconds(now - first_seen).count();
      result.rate_with_start = published / Seconds(now - start).count();
      result.cpu_us_per_event = cpu_seconds(daemon) / wanted * 1e6;
      result.peak_rss_mib = peak_rss_mib(daemon.process().pid());
      if (const auto exit = daemon.terminate(); !exit || exit->code != 0)
        throw std::runtime_error("relevo did not stop");
      return result;
    }
    poll = published > 0 && published < wanted * 0.9 ? kPoll : kPollAtTheEnd;
    if (!daemon.process().running() || now - start > kDeadline) {
      throw std::runtime_error("relevo does not drain the outbox: " +
                               daemon.process().standard_error());
    }
  }
}

struct Found {
  std::int64_t lost = 0;
  std::int64_t duplicates = 0;
};

bool same(const kafka::ReadRecord& read, const relay::Record& expected) {
  return read.key == expected.key && read.value == expected.value &&
         std::equal(read.headers.begin(), read.headers.end(), expected.headers.begin(),
                    expected.headers.end(), [](const auto& a, const auto& b) {
                      return a.first == b.name && a.second == b.value;
                    });
}

// Reads the topic to its end. Throws if a record is not as expected, or an aggregate's are out of
// order.
Found verify(const std::string& bootstrap, const std::string& topic, Records& expected) {
  std::unordered_map<std::string, std::size_t> index;
  index.reserve(expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    index.emplace(header_of(expected.at(i), "ce_id"), i);
  std::vector<bool> seen(expected.size());
  std::unordered_map<std::string, std::size_t> last;

  kafka::ReaderOptions reading;
  reading.client.bootstrap_servers = bootstrap;
  reading.topics = {topic};
  kafka::KafkaReader reader(reading);
  Found found;
  for (const auto deadline = Clock::now() + kDeadline; Clock::now() < deadline;) {
    const auto* record = reader.poll(20ms);
    if (record == nullptr) {
      if (reader.at_end()) break;
      continue;
    }
    const auto id = std::find_if(record->headers.begin(), record->headers.end(),
                                 [](const auto& header) { return header.first == "ce_id"; });
    const auto place =
        id == record->headers.end() ? index.end() : index.find(std::string(id->second));
    if (place == index.end() || !same(*record, expected.at(place->second))) {
      throw std::runtime_error("a record of the topic is not what the relay should have made");
    }
    if (seen[place->second]) {
      ++found.duplicates;
      continue;
    }
    seen[place->second] = true;
    auto& before = last[std::string(*record->key)];
    if (place->second < before)
      throw std::runtime_error("events of one aggregate are out of order");
    before = place->second;
  }
  found.lost = std::count(seen.begin(), seen.end(), false);
  return found;
}

Json run_once(const Options& options) {
  const test::Database database(options.postgres);
  test::migrate(database.url());
  say("writing " + std::to_string(options.events) + " events");
  fill_outbox(database.url(), options.events);
  auto records = records_of_outbox(database.url());
  if (static_cast<std::int64_t>(records.size()) != options.events)
    throw std::runtime_error("the outbox is not full");

  test::KafkaAdmin admin(options.kafka);
  const auto topic = test::unique_name("relay-");
  const auto warm = topic + "-warm";
  const auto raw = topic + "-raw";
  for (const auto& name : {topic, warm, raw}) admin.create_topic(name, kPartitions);

  say("warming up the broker and the page cache");
  for (int i = 0; i < kWarmUps; ++i) (void)produce(options.kafka, warm, records, Requests::kFive);
  admin.delete_topic(warm);
  (void)copy_out(database.url());

  const auto busy_before = busy_share();
  say("draining the outbox");
  const auto drained = drain(database.url(), options, topic);
  const auto found = verify(options.kafka, topic, records);
  admin.delete_topic(topic);

  say("measuring the ceiling");
  const auto events = static_cast<double>(options.events);
  double copy_rate = 0;
  double produce_rate = 0;
  double produce_rate_one = 0;
  const auto produce_raw = [&](Requests requests) {
    return events / produce(options.kafka, raw, records, requests).count();
  };
  for (int i = 0; i < kCeilings; ++i) {
    copy_rate = std::max(copy_rate, events / copy_out(database.url()).count());
    produce_rate_one = std::max(produce_rate_one, produce_raw(Requests::kOne));
    produce_rate = std::max({produce_rate, produce_rate_one, produce_raw(Requests::kFive)});
  }
  admin.delete_topic(raw);
  const auto ceiling = std::min(copy_rate, produce_rate);
  const auto busy_after = busy_share();

  const auto whole = [](double number) { return static_cast<std::int64_t>(number); };
  Json run{{"rate", whole(drained.rate)},
           {"ceiling", whole(ceiling)},
           {"ratio", std::round(drained.rate / ceiling * 1000) / 1000},
           {"rate_with_start", whole(drained.rate_with_start)},
           {"copy_rate", whole(copy_rate)},
           {"produce_rate", whole(produce_rate)},
           {"produce_rate_one_request", whole(produce_rate_one)},
           {"lost", found.lost},
           {"duplicates", found.duplicates},
           {"cpu_us_per_event", std::round(drained.cpu_us_per_event * 100) / 100},
           {"peak_rss_mib", drained.peak_rss_mib},
           {"others_busy", std::max(busy_before, busy_after)},
           {"record_bytes", records.bytes() / records.size()}};
  say(run.dump());
  return run;
}

}  // namespace

// The run with the median ratio; of loss, duplicates and memory the worst of all runs.
Json measure_relay(const Options& options) {
  std::vector<Json> runs;
  for (int i = 0; i < options.runs; ++i) runs.push_back(run_once(options));
  auto sorted = runs;
  std::sort(sorted.begin(), sorted.end(),
            [](const Json& a, const Json& b) { return a["ratio"] < b["ratio"]; });
  Json result{{"benchmark", "relay"},
              {"events", options.events},
              {"aggregates", kAggregates},
              {"payload_bytes", 200}};
  result.update(sorted[sorted.size() / 2]);
  for (const auto* worst : {"lost", "duplicates", "peak_rss_mib", "others_busy"}) {
    for (const auto& run : runs) result[worst] = std::max(result[worst], run[worst]);
  }
  if (runs.size() > 1) result["runs"] = runs;
  return result;
}

}  // namespace relevo::bench
