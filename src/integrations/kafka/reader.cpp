#include "relevo/kafka/reader.hpp"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <map>

#include "broker_requests.hpp"
#include "client.hpp"

namespace relevo::kafka {
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;
using Message = std::unique_ptr<rd_kafka_message_t, Deleter<rd_kafka_message_destroy>>;

constexpr auto kDiscovery = 500ms;
constexpr auto kDiscoveryTime = 1s;
constexpr std::size_t kBatch = 1'000;

// `*` in a pattern stands for any characters, also none.
bool matches(std::string_view pattern, std::string_view name) {
  const auto star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == name;
  if (!name.starts_with(pattern.substr(0, star))) return false;
  const auto rest = pattern.substr(star + 1);
  for (std::size_t from = star; from <= name.size(); ++from) {
    if (matches(rest, name.substr(from))) return true;
  }
  return false;
}

ClientOptions with_fetch_wait(ClientOptions client, std::chrono::milliseconds wait) {
  client.properties.emplace("fetch.wait.max.ms", std::to_string(wait.count()));
  return client;
}

}  // namespace

struct KafkaReader::Impl {
  struct Followed {
    TopicHandle handle;
    std::vector<bool> ended;  // by partition
  };

  explicit Impl(ReaderOptions given)
      : options(std::move(given)),
        client(new_consumer(with_fetch_wait(options.client, options.fetch_wait),
                            options.read_committed)),
        queue(rd_kafka_queue_new(client.get())) {}

  ~Impl() {
    batch.clear();
    for (auto& [name, topic] : topics) stop(topic);
    topics.clear();
  }

  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void discover();
  void follow(const rd_kafka_metadata_topic& found);
  static void stop(Followed& topic);
  bool fetch(std::chrono::milliseconds wait);
  bool take(const rd_kafka_message_t& message);
  void fail(const rd_kafka_message_t& message);

  ReaderOptions options;
  Client client;
  Queue queue;
  std::map<std::string, Followed, std::less<>> topics;
  bool discovered = false;
  Steady::time_point next_discovery;
  std::vector<Message> batch;
  std::size_t at = 0;  // the next one of batch
  ReadRecord record;
  std::string last_error;
};

void KafkaReader::Impl::discover() {
  // All topics: asking for one by name would create it where brokers create topics by themselves.
  const struct rd_kafka_metadata* raw = nullptr;
  const auto error = rd_kafka_metadata(client.get(), 1, nullptr, &raw, to_timeout(kDiscoveryTime));
  next_discovery = Steady::now() + kDiscovery;
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    last_error = rd_kafka_err2str(error);
    return;
  }
  const std::unique_ptr<const struct rd_kafka_metadata, Deleter<rd_kafka_metadata_destroy>>
      metadata(raw);
  for (const auto& found :
       std::span(metadata->topics, static_cast<std::size_t>(metadata->topic_cnt))) {
    const bool wanted = std::ranges::any_of(options.topics, [&found](const std::string& pattern) {
      return matches(pattern, found.topic);
    });
    if (wanted && found.err == RD_KAFKA_RESP_ERR_NO_ERROR) follow(found);
  }
  discovered = true;
}

void KafkaReader::Impl::follow(const rd_kafka_metadata_topic& found) {
  const auto [place, is_new] = topics.try_emplace(found.topic);
  Followed& topic = place->second;
  if (is_new) topic.handle.reset(rd_kafka_topic_new(client.get(), found.topic, nullptr));
  // What appears later is read from its beginning, or records between two searches would be missed.
  const bool from_end = options.from == ReaderOptions::From::kEnd && !discovered;
  const auto start = from_end ? RD_KAFKA_OFFSET_END : RD_KAFKA_OFFSET_BEGINNING;
  while (topic.ended.size() < static_cast<std::size_t>(found.partition_cnt)) {
    const auto partition = static_cast<std::int32_t>(topic.ended.size());
    rd_kafka_consume_start_queue(topic.handle.get(), partition, start, queue.get());
    topic.ended.push_back(false);
  }
}

void KafkaReader::Impl::stop(Followed& topic) {
  for (std::size_t partition = 0; partition < topic.ended.size(); ++partition) {
    rd_kafka_consume_stop(topic.handle.get(), static_cast<std::int32_t>(partition));
  }
}

bool KafkaReader::Impl::fetch(std::chrono::milliseconds wait) {
  batch.clear();
  at = 0;
  std::array<rd_kafka_message_t*, kBatch> raw{};
  // The batch call waits until the batch is full or the time is over: it only takes what is there.
  auto* first = rd_kafka_consume_queue(queue.get(), to_timeout(wait));
  if (first == nullptr) return false;
  batch.emplace_back(first);
  const auto count = rd_kafka_consume_batch_queue(queue.get(), 0, raw.data(), raw.size());
  if (count <= 0) return true;
  for (auto* message : std::span(raw).first(static_cast<std::size_t>(count)))
    batch.emplace_back(message);
  return true;
}

bool KafkaReader::Impl::take(const rd_kafka_message_t& message) {
  if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    fail(message);
    return false;
  }
  record.topic = rd_kafka_topic_name(message.rkt);
  record.partition = message.partition;
  record.offset = message.offset;
  const auto followed = topics.find(record.topic);
  if (followed == topics.end()) return false;
  followed->second.ended[static_cast<std::size_t>(message.partition)] = false;

  record.key.reset();
  record.value.reset();
  if (message.key != nullptr)
    record.key.emplace(static_cast<const char*>(message.key), message.key_len);
  if (message.payload != nullptr) {
    record.value.emplace(static_cast<const char*>(message.payload), message.len);
  }
  record.timestamp = std::chrono::sys_time<std::chrono::milliseconds>(
      std::chrono::milliseconds(rd_kafka_message_timestamp(&message, nullptr)));
  record.headers.clear();
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    while (rd_kafka_header_get_all(headers, record.headers.size(), &name, &value, &size) ==
           RD_KAFKA_RESP_ERR_NO_ERROR) {
      record.headers.emplace_back(name, std::string_view(static_cast<const char*>(value), size));
    }
  }
  return true;
}

void KafkaReader::Impl::fail(const rd_kafka_message_t& message) {
  if (message.rkt == nullptr) {
    last_error = rd_kafka_err2str(message.err);
    return;
  }
  const auto followed = topics.find(rd_kafka_topic_name(message.rkt));
  if (followed == topics.end()) return;
  if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    followed->second.ended[static_cast<std::size_t>(message.partition)] = true;
    return;
  }
  last_error = rd_kafka_err2str(message.err);
  if (message.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
      message.err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
      message.err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION) {
    stop(followed->second);  // deleted; found again by discover() if it is made anew
    topics.erase(followed);
    next_discovery = {};
  }
}

KafkaReader::KafkaReader(ReaderOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}

KafkaReader::~KafkaReader() = default;

const ReadRecord* KafkaReader::poll(std::chrono::milliseconds wait) {
  const auto deadline = Steady::now() + wait;
  for (;;) {
    while (impl_->at < impl_->batch.size()) {
      if (impl_->take(*impl_->batch[impl_->at++])) return &impl_->record;
    }
    const auto now = Steady::now();
    if (now >= impl_->next_discovery) impl_->discover();
    const auto next = std::min(deadline, impl_->next_discovery);
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Steady::now());
    if (!impl_->fetch(std::max(left, 0ms)) && Steady::now() >= deadline) return nullptr;
  }
}

bool KafkaReader::at_end() const {
  if (impl_->topics.empty() || impl_->at < impl_->batch.size()) return false;
  return std::ranges::all_of(impl_->topics, [](const auto& entry) {
    return std::ranges::all_of(entry.second.ended, [](bool ended) { return ended; });
  });
}

const std::string& KafkaReader::last_error() const { return impl_->last_error; }

}  // namespace relevo::kafka
