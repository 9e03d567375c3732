#include "relevo/kafka/consumer.hpp"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "broker_requests.hpp"
#include "client.hpp"
#include "connection_watch.hpp"
#include "relevo/core/error.hpp"

namespace relevo::kafka {
namespace {

using namespace std::chrono_literals;
using core::ErrorKind;
using core::IntegrationError;
using std::chrono::milliseconds;
using worker::TopicPartition;
using Message = std::unique_ptr<rd_kafka_message_t, Deleter<rd_kafka_message_destroy>>;

constexpr auto kQuestionTime = 10s;  // asking for offsets at an assignment
constexpr auto kCommitTime = 5s;     // the last commit of partitions that are given up
constexpr auto kProbeEvery = 1s;     // whether brokers are back
constexpr auto kProbeTime = 500ms;
constexpr auto kNudgeEvery = 20ms;

std::span<rd_kafka_topic_partition_t> elements(rd_kafka_topic_partition_list_t* list) {
  return {list->elems, static_cast<std::size_t>(list->cnt)};
}

PartitionList new_list(std::size_t size) {
  return PartitionList(rd_kafka_topic_partition_list_new(static_cast<int>(size)));
}

TopicPartition named(const rd_kafka_topic_partition_t& element) {
  return {element.topic, element.partition};
}

std::vector<TopicPartition> named(rd_kafka_topic_partition_list_t* list) {
  std::vector<TopicPartition> partitions;
  for (const auto& element : elements(list)) partitions.push_back(named(element));
  return partitions;
}

std::string text_of(const TopicPartition& partition) {
  return partition.topic + "[" + std::to_string(partition.partition) + "]";
}

std::string list_text(rd_kafka_topic_partition_list_t* list) {
  std::string text;
  for (const auto& element : elements(list)) {
    if (!text.empty()) text += ' ';
    text += text_of(named(element));
  }
  return text;
}

}  // namespace

struct KafkaConsumer::Impl {
  struct Progress {
    std::int64_t next = RD_KAFKA_OFFSET_INVALID;  // to be consumed, as far as stored
    bool dirty = false;                           // not committed so far
  };

  Impl(ConsumerOptions given, core::Log& to, const core::Clock& by)
      : options(std::move(given)), log(to), clock(by), watch(to, by) {
    GroupMember member{options.group, options.instance_id, this, nullptr, nullptr, nullptr,
                       nullptr};
    member.rebalance = [](rd_kafka_t*, rd_kafka_resp_err_t what,
                          rd_kafka_topic_partition_list_t* list,
                          void* self) { static_cast<Impl*>(self)->rebalance(what, list); };
    member.committed = [](rd_kafka_t*, rd_kafka_resp_err_t error,
                          rd_kafka_topic_partition_list_t* list, void* self) {
      if (list) static_cast<Impl*>(self)->committed(error, list);
    };
    member.error = [](rd_kafka_t*, int code, const char* text, void* self) {
      static_cast<Impl*>(self)->error(static_cast<rd_kafka_resp_err_t>(code), text);
    };
    member.line = [](const rd_kafka_t* member_client, int level, const char* facility,
                     const char* text) {
      static_cast<Impl*>(rd_kafka_opaque(member_client))->watch.line(level, facility, text);
    };
    client = new_group_member(options.client, member);
    const auto topics = new_list(options.topics.size());
    for (const auto& topic : options.topics) {
      rd_kafka_topic_partition_list_add(topics.get(), topic.c_str(), RD_KAFKA_PARTITION_UA);
    }
    if (const auto refusal = rd_kafka_subscribe(client.get(), topics.get())) {
      throw IntegrationError(ErrorKind::kMisconfigured, "subscribe", rd_kafka_err2str(refusal));
    }
  }

  void rebalance(rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t* list);
  void assign(rd_kafka_topic_partition_list_t* list);
  void revoke(rd_kafka_topic_partition_list_t* list);
  // Returns the partitions started afresh, with their offsets.
  PartitionList resolve(rd_kafka_topic_partition_list_t* list);
  void committed(rd_kafka_resp_err_t outcome, rd_kafka_topic_partition_list_t* list);
  void error(rd_kafka_resp_err_t code, const char* text);
  void take(const rd_kafka_message_t& message, std::vector<worker::RawRecord>& records);
  void fail(const rd_kafka_message_t& message);
  void fail(ErrorKind kind, std::string operation, std::string detail);
  PartitionList dirty() const;
  bool commit_and_wait(rd_kafka_topic_partition_list_t* list);
  void probe();
  void nudge();
  void throw_failure();

  const ConsumerOptions options;
  core::Log& log;
  const core::Clock& clock;
  ConnectionWatch watch;
  Client client;
  std::map<TopicPartition, Progress> assigned;
  Assignment* told = nullptr;               // during poll() and close()
  std::optional<IntegrationError> failure;  // met in a callback, thrown when it is over
  std::vector<worker::RecordHeader> headers;
  std::map<std::string, core::BootTime> complained;  // topics that do not answer
  bool paused = false;
  bool down = false;
  bool closing = false;
  core::BootTime next_probe{};
  core::BootTime next_nudge{};
  TopicPartition nudged;
};

void KafkaConsumer::Impl::fail(ErrorKind kind, std::string operation, std::string detail) {
  if (!failure) failure.emplace(kind, std::move(operation), std::move(detail));
}

void KafkaConsumer::Impl::throw_failure() {
  if (failure) throw IntegrationError(*std::exchange(failure, std::nullopt));
}

void KafkaConsumer::Impl::rebalance(rd_kafka_resp_err_t what,
                                    rd_kafka_topic_partition_list_t* list) {
  if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && !closing) {
    assign(list);
  } else {
    revoke(list);
    rd_kafka_assign(client.get(), nullptr);
  }
}

void KafkaConsumer::Impl::assign(rd_kafka_topic_partition_list_t* list) {
  const auto fresh = resolve(list);
  if (failure) {
    // Not to start at a place that nobody knows: the owner begins anew.
    rd_kafka_assign(client.get(), nullptr);
    return;
  }
  assigned.clear();
  for (const auto& element : elements(list)) assigned[named(element)].next = element.offset;
  told->assigned(named(list));
  rd_kafka_assign(client.get(), list);
  if (paused) rd_kafka_pause_partitions(client.get(), list);
  // Refused when the group changes again meanwhile: then resolved again.
  if (fresh->cnt > 0) (void)commit_and_wait(fresh.get());
  log.info("partitions assigned", {{"group", options.group}, {"partitions", list_text(list)}});
}

PartitionList KafkaConsumer::Impl::resolve(rd_kafka_topic_partition_list_t* list) {
  auto fresh = new_list(static_cast<std::size_t>(list->cnt));
  if (list->cnt == 0) return fresh;
  const auto answer = rd_kafka_committed(client.get(), list, to_timeout(kQuestionTime));
  if (answer != RD_KAFKA_RESP_ERR_NO_ERROR) {
    fail(ErrorKind::kDisconnected, "read offsets of group " + options.group,
         rd_kafka_err2str(answer));
    return fresh;
  }
  for (auto& element : elements(list)) {
    if (element.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      fail(ErrorKind::kDisconnected, "read offset of " + text_of(named(element)),
           rd_kafka_err2str(element.err));
      return fresh;
    }
    if (element.offset >= 0) continue;
    std::int64_t low = 0;
    std::int64_t high = 0;
    const auto found = rd_kafka_query_watermark_offsets(
        client.get(), element.topic, element.partition, &low, &high, to_timeout(kQuestionTime));
    if (found != RD_KAFKA_RESP_ERR_NO_ERROR) {
      fail(ErrorKind::kDisconnected, "read the ends of " + text_of(named(element)),
           rd_kafka_err2str(found));
      return fresh;
    }
    element.offset = options.start == ConsumerOptions::Start::kEnd ? high : low;
    rd_kafka_topic_partition_list_add(fresh.get(), element.topic, element.partition)->offset =
        element.offset;
  }
  return fresh;
}

void KafkaConsumer::Impl::revoke(rd_kafka_topic_partition_list_t* list) {
  const bool lost = rd_kafka_assignment_lost(client.get()) != 0;
  const auto partitions = named(list);
  told->revoked(partitions, lost);
  if (const auto rest = dirty(); !lost && rest->cnt > 0 && !commit_and_wait(rest.get())) {
    log.warn("the last commit of partitions given up failed; their messages come again",
             {{"group", options.group}});
  }
  for (const auto& partition : partitions) assigned.erase(partition);
  if (!partitions.empty()) {
    log.info(lost ? "partitions lost" : "partitions given up",
             {{"group", options.group}, {"partitions", list_text(list)}});
  }
}

PartitionList KafkaConsumer::Impl::dirty() const {
  auto list = new_list(assigned.size());
  for (const auto& [partition, progress] : assigned) {
    if (!progress.dirty) continue;
    rd_kafka_topic_partition_list_add(list.get(), partition.topic.c_str(), partition.partition)
        ->offset = progress.next;
  }
  return list;
}

bool KafkaConsumer::Impl::commit_and_wait(rd_kafka_topic_partition_list_t* list) {
  const Queue answers(rd_kafka_queue_new(client.get()));
  // No callback: the answer is an event in the queue.
  if (rd_kafka_commit_queue(client.get(), list, answers.get(), nullptr, nullptr) !=
      RD_KAFKA_RESP_ERR_NO_ERROR) {
    return false;
  }
  const Event event(rd_kafka_queue_poll(answers.get(), to_timeout(kCommitTime)));
  if (!event || rd_kafka_event_error(event.get()) != RD_KAFKA_RESP_ERR_NO_ERROR) return false;
  for (const auto& element : elements(list)) {
    const auto found = assigned.find(named(element));
    if (found != assigned.end() && found->second.next == element.offset) {
      found->second.dirty = false;
    }
  }
  return true;
}

void KafkaConsumer::Impl::committed(rd_kafka_resp_err_t outcome,
                                    rd_kafka_topic_partition_list_t* list) {
  for (const auto& element : elements(list)) {
    if (outcome == RD_KAFKA_RESP_ERR_NO_ERROR && element.err == RD_KAFKA_RESP_ERR_NO_ERROR)
      continue;
    // Said again with the next commit.
    if (const auto found = assigned.find(named(element)); found != assigned.end()) {
      found->second.dirty = true;
    }
  }
}

void KafkaConsumer::Impl::error(rd_kafka_resp_err_t code, const char* text) {
  if (code == RD_KAFKA_RESP_ERR__FATAL) {
    char reason[512];
    const auto cause = rd_kafka_fatal_error(client.get(), reason, sizeof reason);
    fail(cause == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID ? ErrorKind::kMisconfigured
                                                       : ErrorKind::kDisconnected,
         "consume as group " + options.group, reason);
    return;
  }
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) down = true;
  watch.error(code, text);
}

void KafkaConsumer::Impl::probe() {
  if (!down || clock.now() < next_probe) return;
  next_probe = clock.now() + kProbeEvery;
  if (ask_brokers(client.get(), kProbeTime)) {
    down = false;
    watch.answered();
  } else {
    watch.silent();
  }
}

void KafkaConsumer::Impl::take(const rd_kafka_message_t& message,
                               std::vector<worker::RawRecord>& records) {
  if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) return fail(message);
  worker::RawRecord::Parts parts;
  parts.topic = rd_kafka_topic_name(message.rkt);
  parts.partition = message.partition;
  parts.offset = message.offset;
  if (message.key) parts.key.emplace(static_cast<const char*>(message.key), message.key_len);
  if (message.payload) parts.value.emplace(static_cast<const char*>(message.payload), message.len);
  parts.timestamp = core::WallTime{milliseconds(rd_kafka_message_timestamp(&message, nullptr))};
  headers.clear();
  rd_kafka_headers_t* raw = nullptr;
  if (rd_kafka_message_headers(&message, &raw) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    while (rd_kafka_header_get_all(raw, headers.size(), &name, &value, &size) ==
           RD_KAFKA_RESP_ERR_NO_ERROR) {
      headers.emplace_back(name, std::string_view(static_cast<const char*>(value), size));
    }
  }
  parts.headers = headers;
  records.emplace_back(parts);
}

void KafkaConsumer::Impl::fail(const rd_kafka_message_t& message) {
  const char* text = rd_kafka_message_errstr(&message);
  switch (message.err) {
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE: {
      const TopicPartition where{message.rkt ? rd_kafka_topic_name(message.rkt) : "",
                                 message.partition};
      const auto found = assigned.find(where);
      std::int64_t low = 0;
      std::int64_t high = 0;
      std::string range;
      if (rd_kafka_query_watermark_offsets(client.get(), where.topic.c_str(), where.partition, &low,
                                           &high,
                                           to_timeout(kProbeTime)) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        range = ", which holds " + std::to_string(low) + " to " + std::to_string(high);
      }
      fail(ErrorKind::kMisconfigured, "consume " + text_of(where) + " as group " + options.group,
           "its next offset" +
               (found == assigned.end() ? "" : " " + std::to_string(found->second.next)) +
               " is not in the log" + range +
               ": records were deleted before they were consumed, or the topic was made anew; set "
               "the group's offset (kafka-consumer-groups --reset-offsets) and start again");
      return;
    }
    case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:
      // The member has left the group and joins it again with the next poll.
      log.warn("kafka consumer did not poll in time", {{"group", options.group}});
      return;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      fail(ErrorKind::kRejected, "consume as group " + options.group, text);
      return;
    default: break;
  }
  // A topic that does not exist is found as soon as it does; the rest librdkafka tries again.
  const std::string subject = message.rkt ? rd_kafka_topic_name(message.rkt) : text;
  auto& last = complained[subject];
  if (last != core::BootTime{} && clock.now() - last < 60s) return;
  last = clock.now();
  log.warn("kafka consumer waits", {{"group", options.group}, {"reason", text}});
}

KafkaConsumer::KafkaConsumer(ConsumerOptions options, core::Log& log, const core::Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), log, clock)) {}

KafkaConsumer::~KafkaConsumer() {
  // close() by itself would wait without limit for what a broker that is away should answer.
  rd_kafka_destroy_flags(impl_->client.release(), RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

void KafkaConsumer::poll(milliseconds wait, std::size_t most,
                         std::vector<worker::RawRecord>& records, Assignment& assignment) {
  auto& self = *impl_;
  self.told = &assignment;
  self.probe();
  const auto before = records.size();
  while (records.size() - before < most) {
    const Message message(
        rd_kafka_consumer_poll(self.client.get(), records.size() == before ? to_timeout(wait) : 0));
    if (!message) break;
    self.take(*message, records);
    wait = 0ms;
    if (self.failure) break;
  }
  if (records.size() > before) self.nudge();
  self.told = nullptr;
  self.throw_failure();
}

// librdkafka 2.0.2 stops fetching when its buffer is full and looks again after a second, unless
// something makes the thread of that broker turn: this question does. Without it the buffer would
// have to hold what is consumed in a second. (From 2.2 on: fetch.queue.backoff.ms.)
void KafkaConsumer::Impl::nudge() {
  const auto now = clock.now();
  if (assigned.empty() || now < next_nudge) return;
  next_nudge = now + kNudgeEvery;
  auto next = assigned.upper_bound(nudged);
  if (next == assigned.end()) next = assigned.begin();
  nudged = next->first;
  std::int64_t low = 0;
  std::int64_t high = 0;
  rd_kafka_query_watermark_offsets(client.get(), nudged.topic.c_str(), nudged.partition, &low,
                                   &high, 1);
}

void KafkaConsumer::pause() {
  impl_->paused = true;
  const auto list = new_list(impl_->assigned.size());
  for (const auto& [partition, progress] : impl_->assigned) {
    rd_kafka_topic_partition_list_add(list.get(), partition.topic.c_str(), partition.partition);
  }
  rd_kafka_pause_partitions(impl_->client.get(), list.get());
}

void KafkaConsumer::resume() {
  impl_->paused = false;
  const auto list = new_list(impl_->assigned.size());
  for (const auto& [partition, progress] : impl_->assigned) {
    rd_kafka_topic_partition_list_add(list.get(), partition.topic.c_str(), partition.partition);
  }
  rd_kafka_resume_partitions(impl_->client.get(), list.get());
}

void KafkaConsumer::store(const TopicPartition& partition, std::int64_t next) {
  const auto found = impl_->assigned.find(partition);
  if (found == impl_->assigned.end() || next <= found->second.next) return;
  found->second = {next, true};
}

void KafkaConsumer::commit() {
  const auto list = impl_->dirty();
  if (list->cnt == 0) return;
  if (rd_kafka_commit(impl_->client.get(), list.get(), 1) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
  for (const auto& element : elements(list.get())) impl_->assigned[named(element)].dirty = false;
}

std::int64_t KafkaConsumer::lag() const {
  std::int64_t total = 0;
  for (const auto& [partition, progress] : impl_->assigned) {
    std::int64_t low = 0;
    std::int64_t high = 0;
    if (progress.next >= 0 &&
        rd_kafka_get_watermark_offsets(impl_->client.get(), partition.topic.c_str(),
                                       partition.partition, &low,
                                       &high) == RD_KAFKA_RESP_ERR_NO_ERROR &&
        high > progress.next) {
      total += high - progress.next;
    }
  }
  return total;
}

void KafkaConsumer::close(milliseconds limit, Assignment& assignment) {
  auto& self = *impl_;
  self.told = &assignment;
  self.closing = true;
  const auto deadline = self.clock.now() + limit;
  const Queue queue(rd_kafka_queue_new(self.client.get()));
  const Error refused(rd_kafka_consumer_close_queue(self.client.get(), queue.get()));
  while (!refused && rd_kafka_consumer_closed(self.client.get()) == 0) {
    if (self.clock.now() >= deadline) {
      self.log.warn("kafka consumer leaves its group without saying so: no answer in time",
                    {{"group", self.options.group}});
      break;
    }
    // Not rd_kafka_queue_poll_callback(): it aborts when a record that was fetched ahead comes.
    const Message dropped(rd_kafka_consume_queue(queue.get(), 100));
  }
  self.told = nullptr;
}

}  // namespace relevo::kafka
