#include "relevo/kafka/publisher.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "batch_limit.hpp"
#include "client.hpp"
#include "connection_watch.hpp"
#include "in_flight.hpp"
#include "relevo/core/invariant.hpp"
#include "relevo/kafka/record_size.hpp"
#include "report.hpp"
#include "topic_directory.hpp"

namespace relevo::kafka {
namespace {

using namespace std::chrono_literals;
using relay::Outcome;
using relay::Report;
using relay::Send;
using relay::SendResult;
using Steady = std::chrono::steady_clock;

constexpr auto kTick = 1s;
constexpr int kUnansweredUntilOutage = 3;
constexpr auto kIdleQuestion = 100ms;

// Records purged on closing come back as reports, at once unless a broker thread is busy.
constexpr auto kPurgeTime = 500ms;

// librdkafka takes a null pointer for null, which an empty view may hold.
const void* bytes(std::string_view view) { return view.data() != nullptr ? view.data() : ""; }

// librdkafka does not write through it: it copies.
void* copied_from(const void* data) { return const_cast<void*>(data); }

bool allows_auto_creation(const ClientOptions& options) {
  const auto found = options.properties.find("allow.auto.create.topics");
  return found != options.properties.end() && found->second == "true";
}

}  // namespace

struct KafkaPublisher::Impl {
  Impl(PublisherOptions given, core::Log& given_log, const core::Clock& given_clock)
      : options(std::move(given)),
        log(given_log),
        clock(given_clock),
        watch(log, clock),
        topics(options.topics, allows_auto_creation(options.client), options.embedded, clock),
        batch(configured_batch_size(options.client)),
        flight(options.max_in_flight) {
    open();
  }

  ~Impl() { close(); }

  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void open();
  void close();
  void reopen();
  void change_batches();
  Send offer(const relay::Record& record, Topic& topic, InFlight::Entry* entry);
  Send refused_by_client(rd_kafka_resp_err_t error, const Topic& topic);
  SendResult result(Send status) const;
  void note(SendResult& lookup);
  bool take(std::chrono::milliseconds wait, std::vector<Report>& reports);
  void serve(rd_kafka_event_t* event, std::vector<Report>& reports);
  Report report(const rd_kafka_message_t& message);
  Outcome blame(Outcome outcome, const rd_kafka_message_t& message, std::size_t size);
  void lose(std::string reason);
  void tick();

  PublisherOptions options;
  core::Log& log;
  const core::Clock& clock;
  ConnectionWatch watch;
  TopicDirectory topics;
  BatchLimit batch;
  InFlight flight;
  std::vector<Report>
      early;  // served while a question was answered; the next collect() hands them out
  std::string last_error;
  bool lost = false;
  bool limit_asked = false;
  bool delivered_since_tick = false;
  core::BootTime next_tick;
  int unanswered = 0;  // questions in a row while idle
  Client producer;
  Queue queue;
};

void KafkaPublisher::Impl::open() {
  producer = new_producer(options.client,
                          {.max_in_flight = options.max_in_flight, .batch_size = batch.wanted()});
  batch.applied();
  queue = main_queue(producer.get());
  topics.attach(producer.get(), queue.get());
}

// Bounded: with nothing left in its queues, destroying a client only joins its threads.
void KafkaPublisher::Impl::close() {
  if (!producer) return;
  rd_kafka_purge(producer.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  const auto deadline = Steady::now() + kPurgeTime;
  while (rd_kafka_outq_len(producer.get()) > 0 && Steady::now() < deadline) {
    const Event dropped(rd_kafka_queue_poll(queue.get(), 10));
  }
  topics.detach();
  queue.reset();
  producer.reset();
}

void KafkaPublisher::Impl::reopen() {
  lost = true;  // stays so when open() fails; the caller tries again
  close();
  flight.clear();
  early.clear();
  open();
  lost = false;
}

void KafkaPublisher::Impl::change_batches() {
  log.info("kafka batches change", {{"batch_size", batch.wanted()}});
  lost = true;
  close();
  open();
  lost = false;
}

SendResult KafkaPublisher::Impl::result(Send status) const {
  if (status == Send::kAccepted || status == Send::kFull) return {status, {}};
  return {status, last_error};
}

// A question to the brokers says as much about the connection as a report does.
void KafkaPublisher::Impl::note(SendResult& lookup) {
  (void)take(0ms, early);
  if (lookup.status != Send::kUnavailable) {
    watch.answered();
    return;
  }
  watch.silent();
  if (!watch.trouble().empty()) lookup.error += " (" + watch.trouble() + ")";
}

Send KafkaPublisher::Impl::offer(const relay::Record& record, Topic& topic,
                                 InFlight::Entry* entry) {
  Headers headers;
  if (!record.headers.empty()) {
    headers.reset(rd_kafka_headers_new(record.headers.size()));
    for (const relay::Header& header : record.headers) {
      rd_kafka_header_add(headers.get(), static_cast<const char*>(bytes(header.name)),
                          static_cast<ssize_t>(header.name.size()), header.value.data(),
                          static_cast<ssize_t>(header.value.size()));
    }
  }

  std::array<rd_kafka_vu_t, 6> arguments{};
  arguments[0].vtype = RD_KAFKA_VTYPE_RKT;
  arguments[0].u.rkt = topic.handle.get();
  arguments[1].vtype = RD_KAFKA_VTYPE_KEY;
  arguments[1].u.mem = {copied_from(record.key.data()), record.key.size()};
  arguments[2].vtype = RD_KAFKA_VTYPE_VALUE;
  if (record.value) arguments[2].u.mem = {copied_from(bytes(*record.value)), record.value->size()};
  arguments[3].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
  arguments[3].u.i = RD_KAFKA_MSG_F_COPY;
  arguments[4].vtype = RD_KAFKA_VTYPE_OPAQUE;
  arguments[4].u.ptr = entry;
  arguments[5].vtype = RD_KAFKA_VTYPE_HEADERS;
  arguments[5].u.headers = headers.get();
  const std::size_t count = headers ? 6 : 5;

  const Error error(rd_kafka_produceva(producer.get(), arguments.data(), count));
  if (!error) {
    (void)headers.release();  // librdkafka's on success, ours otherwise
    return Send::kAccepted;
  }
  last_error = rd_kafka_error_string(error.get());
  return refused_by_client(rd_kafka_error_code(error.get()), topic);
}

Send KafkaPublisher::Impl::refused_by_client(rd_kafka_resp_err_t error, const Topic& topic) {
  if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL) return Send::kFull;
  if (error == RD_KAFKA_RESP_ERR__FATAL) {
    lose(last_error);
    return Send::kProducerLost;
  }
  switch (outcome_of(error)) {
    case Outcome::kTooLarge: return Send::kTooLarge;
    case Outcome::kUnauthorized: topics.forget(topic.name); return Send::kUnauthorized;
    case Outcome::kUnknownTopic: topics.forget(topic.name); return Send::kUnknownTopic;
    default: return Send::kUnavailable;
  }
}

bool KafkaPublisher::Impl::take(std::chrono::milliseconds wait, std::vector<Report>& reports) {
  if (!producer) return false;
  const std::size_t before = reports.size();
  const auto deadline = Steady::now() + wait;
  int timeout = to_timeout(wait);
  for (;;) {
    const Event event(rd_kafka_queue_poll(queue.get(), timeout));
    if (event) serve(event.get(), reports);
    if (reports.size() > before || lost) {
      if (!event) break;
      timeout = 0;
      continue;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Steady::now());
    if (left <= 0ms && !event) break;
    timeout = to_timeout(left);
  }
  return !lost;
}

void KafkaPublisher::Impl::serve(rd_kafka_event_t* event, std::vector<Report>& reports) {
  switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_DR:
      limit_asked = false;  // an event holds the records of one batch
      while (const auto* message = rd_kafka_event_message_next(event)) {
        reports.push_back(report(*message));
      }
      break;
    case RD_KAFKA_EVENT_ERROR:
      if (rd_kafka_event_error_is_fatal(event) != 0) {
        lose(rd_kafka_event_error_string(event));
      } else {
        watch.error(rd_kafka_event_error(event), rd_kafka_event_error_string(event));
        if (!watch.reachable()) next_tick = {};
      }
      break;
    case RD_KAFKA_EVENT_LOG: {
      const char* facility = "";
      const char* text = "";
      int level = 0;
      if (rd_kafka_event_log(event, &facility, &text, &level) == 0) {
        watch.line(level, facility, text);
      }
      break;
    }
    case RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT: topics.learn(event); break;
    default: break;
  }
}

Report KafkaPublisher::Impl::report(const rd_kafka_message_t& message) {
  const auto [ticket, size] = flight.remove(static_cast<InFlight::Entry*>(message._private));
  auto outcome = outcome_of(message.err);
  if (outcome == Outcome::kDelivered) {
    delivered_since_tick = true;
    return {ticket, outcome};
  }
  last_error = rd_kafka_err2str(message.err);
  if (outcome == Outcome::kUnknownTopic || outcome == Outcome::kUnauthorized) {
    topics.forget(rd_kafka_topic_name(message.rkt));  // the next record asks again
  }
  return {ticket, blame(outcome, message, size)};
}

// Brokers refuse whole batches, so the refusal may be for another record's sake.
Outcome KafkaPublisher::Impl::blame(Outcome outcome, const rd_kafka_message_t& message,
                                    std::size_t size) {
  if (outcome == Outcome::kTooLarge) {
    std::optional<std::size_t> limit;
    if (Topic* topic = topics.find(rd_kafka_topic_name(message.rkt))) {
      if (!std::exchange(limit_asked, true)) topics.ask_limit(*topic);
      limit = topic->max_message_bytes;
    }
    if (limit && size > *limit) return outcome;
    if (batch.was_alone(size)) return outcome;
    batch.shrink(limit);
  } else if (outcome == Outcome::kRejected) {
    batch.isolate(clock.now());
    if (batch.was_alone(size)) return outcome;
  } else {
    return outcome;
  }
  last_error += " (as part of a batch)";
  return Outcome::kUnknown;
}

void KafkaPublisher::Impl::lose(std::string reason) {
  if (!lost) log.warn("kafka producer lost", {{"reason", reason}});
  lost = true;
  last_error = std::move(reason);
}

void KafkaPublisher::Impl::tick() {
  const auto now = clock.now();
  if (!producer || now < next_tick) return;
  next_tick = now + kTick;
  if (delivered_since_tick) watch.answered();
  watch.tick(flight.count() > 0, std::exchange(delivered_since_tick, false));
  // Without records nothing else would tell that brokers are there (again).
  if (!watch.reachable() && flight.count() == 0) {
    if (ask_brokers(producer.get(), kIdleQuestion)) {
      unanswered = 0;
      watch.answered();
    } else if (++unanswered == kUnansweredUntilOutage) {
      watch.silent();
    }
  }
  batch.expire(now);
  topics.refresh();
}

KafkaPublisher::KafkaPublisher(PublisherOptions options, core::Log& log, const core::Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), log, clock)) {}

KafkaPublisher::~KafkaPublisher() = default;

SendResult KafkaPublisher::send(const relay::Record& record, relay::Ticket ticket) {
  if (impl_->lost) return impl_->result(Send::kProducerLost);
  Topic* topic = impl_->topics.find(record.topic);
  if (topic == nullptr) {
    auto looked_up = impl_->topics.lookup(record.topic, TopicDirectory::Ask::kWhenNotKnown);
    impl_->note(looked_up);
    if (looked_up.status != Send::kAccepted) return looked_up;
    topic = impl_->topics.find(record.topic);
    RELEVO_INVARIANT(topic != nullptr, "a topic that was found is known");
  }

  const std::size_t size = batch_size_of(record);
  if (topic->max_message_bytes && size > *topic->max_message_bytes) {
    return {Send::kTooLarge, "the record takes " + std::to_string(size) +
                                 " bytes, the topic's max.message.bytes is " +
                                 std::to_string(*topic->max_message_bytes)};
  }

  impl_->batch.keep_below(impl_->topics.smallest_limit());
  if (impl_->batch.is_change_due()) {
    // A new producer may overtake the old one's records, so these have to be reported first.
    if (impl_->flight.count() > 0) return {Send::kFull, {}};
    impl_->change_batches();
    topic = impl_->topics.find(record.topic);
  }

  auto* entry = impl_->flight.add(ticket, size);
  if (entry == nullptr) return {Send::kFull, {}};
  const Send status = impl_->offer(record, *topic, entry);
  if (status != Send::kAccepted) (void)impl_->flight.remove(entry);
  return impl_->result(status);
}

bool KafkaPublisher::collect(std::chrono::milliseconds wait, std::vector<Report>& reports) {
  if (!impl_->early.empty()) {
    reports.insert(reports.end(), impl_->early.begin(), impl_->early.end());
    impl_->early.clear();
    wait = 0ms;
  }
  const bool working = impl_->take(wait, reports);
  impl_->tick();
  return working;
}

std::string KafkaPublisher::last_error() const { return impl_->last_error; }

SendResult KafkaPublisher::probe_topic(const std::string& topic) {
  if (impl_->lost) return {Send::kUnavailable, impl_->last_error};
  auto result = impl_->topics.lookup(topic, TopicDirectory::Ask::kAlways);
  impl_->note(result);
  return result;
}

bool KafkaPublisher::reachable() const { return impl_->watch.reachable(); }

std::size_t KafkaPublisher::in_flight() const {
  return impl_->flight.count() + impl_->early.size();
}

void KafkaPublisher::reopen() { impl_->reopen(); }

}  // namespace relevo::kafka
