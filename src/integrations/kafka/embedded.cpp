#include "relevo/kafka/embedded.hpp"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <array>

#include "client.hpp"
#include "relevo/core/error.hpp"

namespace relevo::kafka {
namespace {

using Cluster = std::unique_ptr<rd_kafka_mock_cluster_t, Deleter<rd_kafka_mock_cluster_destroy>>;

[[noreturn]] void fail(const char* operation, std::string detail) {
  throw core::IntegrationError(core::ErrorKind::kRejected, operation, std::move(detail));
}

// The cluster lives in a client that is used for nothing else.
Client new_holder() {
  Conf conf(rd_kafka_conf_new());
  rd_kafka_conf_set_log_cb(conf.get(), nullptr);
  std::array<char, 512> text{};
  Client holder(rd_kafka_new(RD_KAFKA_PRODUCER, conf.get(), text.data(), text.size()));
  if (!holder) fail("start embedded kafka", text.data());
  (void)conf.release();
  return holder;
}

}  // namespace

struct EmbeddedKafka::Impl {
  Client holder = new_holder();
  Cluster cluster{rd_kafka_mock_cluster_new(holder.get(), 1)};
  std::string bootstrap;
};

EmbeddedKafka::EmbeddedKafka() : impl_(std::make_unique<Impl>()) {
  if (!impl_->cluster) fail("start embedded kafka", "no mock cluster");
  impl_->bootstrap = rd_kafka_mock_cluster_bootstraps(impl_->cluster.get());
}

EmbeddedKafka::~EmbeddedKafka() = default;

const std::string& EmbeddedKafka::bootstrap() const { return impl_->bootstrap; }

bool EmbeddedKafka::create_topic(const std::string& name, std::int32_t partitions) {
  const auto error = rd_kafka_mock_topic_create(impl_->cluster.get(), name.c_str(), partitions, 1);
  if (error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) return false;
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    fail("create topic on embedded kafka", name + ": " + rd_kafka_err2str(error));
  }
  return true;
}

rd_kafka_mock_cluster_s* EmbeddedKafka::native() const { return impl_->cluster.get(); }

}  // namespace relevo::kafka
