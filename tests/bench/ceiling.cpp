#include "ceiling.hpp"

#include <libpq-fe.h>
#include <librdkafka/rdkafka.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <utility>

namespace relevo::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kCopy =
    "COPY (SELECT id, event_id, aggregate_type, aggregate_id, event_type, topic, tenant, "
    "content_type, payload, "
    "octet_length(payload), headers, created_at FROM relevo.outbox) TO STDOUT (FORMAT binary)";

// As src/integrations/kafka/client.cpp sets them.
constexpr std::pair<const char*, const char*> kProducer[] = {
    {"client.id", "relevo"},
    {"linger.ms", "1"},
    {"message.max.bytes", "10485760"},
    {"enable.idempotence", "true"},
    {"acks", "all"},
    {"message.timeout.ms", "0"},
    {"partitioner", "murmur2"},
    {"batch.size", "1000000"},
    {"queue.buffering.max.messages", "20000"},
    {"queue.buffering.max.kbytes", "26625"},
};

template <auto kFunction>
struct Calls {
  template <class T>
  void operator()(T* handle) const {
    kFunction(handle);
  }
};

using Producer = std::unique_ptr<rd_kafka_t, Calls<rd_kafka_destroy>>;
using Topic = std::unique_ptr<rd_kafka_topic_t, Calls<rd_kafka_topic_destroy>>;
using Error = std::unique_ptr<rd_kafka_error_t, Calls<rd_kafka_error_destroy>>;
using Postgres = std::unique_ptr<PGconn, Calls<PQfinish>>;
using Result = std::unique_ptr<PGresult, Calls<PQclear>>;

struct Reports {
  std::size_t delivered = 0;
  std::size_t failed = 0;
  Clock::time_point first;
};

void on_report(rd_kafka_t* /*producer*/, const rd_kafka_message_t* message, void* opaque) {
  auto& reports = *static_cast<Reports*>(opaque);
  if (reports.delivered + reports.failed == 0) reports.first = Clock::now();
  ++(message->err == RD_KAFKA_RESP_ERR_NO_ERROR ? reports.delivered : reports.failed);
}

Producer new_producer(const std::string& bootstrap, const char* requests, Reports& reports) {
  auto* conf = rd_kafka_conf_new();
  const auto set = [conf](const char* name, const char* value) {
    char text[256];
    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK)
      throw std::runtime_error(text);
  };
  set("bootstrap.servers", bootstrap.c_str());
  for (const auto& [name, value] : kProducer) set(name, value);
  set("max.in.flight.requests.per.connection", requests);
  rd_kafka_conf_set_opaque(conf, &reports);
  rd_kafka_conf_set_dr_msg_cb(conf, on_report);
  char text[256];
  Producer producer(rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text));
  if (!producer) throw std::runtime_error(text);
  return producer;
}

// Returns false when the queue is full. Nothing is copied: the records outlive the producer.
bool offer(rd_kafka_t* producer, rd_kafka_topic_t* topic, const relay::Record& record) {
  auto* headers = rd_kafka_headers_new(record.headers.size());
  for (const auto& header : record.headers) {
    rd_kafka_header_add(headers, header.name.data(), static_cast<ssize_t>(header.name.size()),
                        header.value.data(), static_cast<ssize_t>(header.value.size()));
  }
  std::array<rd_kafka_vu_t, 4> arguments{};
  arguments[0].vtype = RD_KAFKA_VTYPE_RKT;
  arguments[0].u.rkt = topic;
  arguments[1].vtype = RD_KAFKA_VTYPE_KEY;
  arguments[1].u.mem = {const_cast<char*>(record.key.data()), record.key.size()};
  arguments[2].vtype = RD_KAFKA_VTYPE_VALUE;
  arguments[2].u.mem = {const_cast<char*>(record.value->data()), record.value->size()};
  arguments[3].vtype = RD_KAFKA_VTYPE_HEADERS;
  arguments[3].u.headers = headers;
  const Error failure(rd_kafka_produceva(producer, arguments.data(), arguments.size()));
  const auto error = failure ? rd_kafka_error_code(failure.get()) : RD_KAFKA_RESP_ERR_NO_ERROR;
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return true;
  rd_kafka_headers_destroy(headers);
  if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL) return false;
  throw std::runtime_error(rd_kafka_err2str(error));
}

}  // namespace

std::chrono::duration<double> copy_out(const std::string& database_url) {
  const Postgres connection(PQconnectdb(database_url.c_str()));
  const Result set(PQexec(connection.get(), "SET max_parallel_workers_per_gather = 0"));
  const auto start = Clock::now();
  const Result begun(PQexec(connection.get(), kCopy));
  if (PQresultStatus(begun.get()) != PGRES_COPY_OUT)
    throw std::runtime_error(PQerrorMessage(connection.get()));
  char* row = nullptr;
  while (PQgetCopyData(connection.get(), &row, 0) > 0) PQfreemem(row);
  const auto time = Clock::now() - start;
  const Result ended(PQgetResult(connection.get()));
  if (PQresultStatus(ended.get()) != PGRES_COMMAND_OK)
    throw std::runtime_error(PQerrorMessage(connection.get()));
  return time;
}

std::chrono::duration<double> produce(const std::string& bootstrap, const std::string& topic,
                                      Records& records, Requests requests) {
  Reports reports;
  const auto producer = new_producer(bootstrap, requests == Requests::kOne ? "1" : "5", reports);
  const Topic handle(rd_kafka_topic_new(producer.get(), topic.c_str(), nullptr));
  for (std::size_t i = 0; i < records.size();) {
    if (offer(producer.get(), handle.get(), records.at(i))) {
      if (++i % 500 == 0) rd_kafka_poll(producer.get(), 0);
    } else {
      rd_kafka_poll(producer.get(), 10);
    }
  }
  while (reports.delivered + reports.failed < records.size()) rd_kafka_poll(producer.get(), 10);
  const auto time = Clock::now() - reports.first;
  if (reports.failed > 0)
    throw std::runtime_error(std::to_string(reports.failed) + " records were not delivered");
  return time;
}

}  // namespace relevo::bench
