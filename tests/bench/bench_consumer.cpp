// A consumer whose handler writes one row for each message, those of a call in one statement. Runs
// until SIGTERM and tells what progress.hpp says.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "progress.hpp"
#include "relevo/kafka/consumer.hpp"
#include "relevo/logging/make_log.hpp"
#include "relevo/postgres/message_store.hpp"
#include "relevo/worker/consumer.hpp"

namespace {

using namespace relevo;

class Effects final : public worker::MessageHandler {
 public:
  explicit Effects(bench::Progress& progress) : progress_(progress) {}

  std::vector<worker::Outcome> run(std::span<const worker::Message> messages,
                                   worker::Context& context) override {
    static constexpr worker::Statement kInsert{
        "bench_effects", "INSERT INTO bench_effect (event) SELECT unnest($1::uuid[])"};
    std::string events = "{";
    for (const auto& message : messages) {
      if (events.size() > 1) events += ',';
      events += message.id;
    }
    context.unit().query(kInsert, {events + "}"});
    progress_.ran(static_cast<std::int64_t>(messages.size()));
    return std::vector<worker::Outcome>(messages.size(), worker::Done{});
  }

  bool several_of_a_key() const override { return true; }

 private:
  bench::Progress& progress_;
};

class NoMetrics final : public worker::ConsumerMetrics {
 public:
  void consumer_lag(std::string_view, std::int64_t) override {}
  void inbox_duplicates(std::size_t) override {}
  void dead_letter(std::string_view) override {}
  void messages_finished(std::string_view, std::size_t, std::chrono::duration<double>) override {}
  void unknown_type(std::string_view) override {}
};

}  // namespace

int main(int argc, char** argv) {
  std::string topic;
  postgres::ConnectOptions database;
  kafka::ConsumerOptions source;
  CLI::App app{"relevo_bench_consumer"};
  app.add_option("--postgres", database.url)->required();
  app.add_option("--kafka", source.client.bootstrap_servers)->required();
  app.add_option("--topic", topic)->required();
  CLI11_PARSE(app, argc, argv);
  source.group = topic;
  source.topics = {topic};

  bench::block_stop_signals();
  bench::Progress progress;
  progress.start();
  const auto log = logging::make_log({core::Level::kInfo, logging::Format::kText});
  NoMetrics metrics;
  Effects handler(progress);
  worker::ConsumerOptions options;
  options.subscription = "bench";
  worker::Consumer consumer(
      options, {[&] { return std::make_unique<kafka::KafkaConsumer>(source, *log); },
                [&] { return std::make_unique<postgres::MessageStore>(database); }, handler,
                nullptr, metrics, *log, core::system_clock()});
  consumer.start();
  bench::wait_for_stop_signal();
  consumer.stop();
  progress.finish({});
  return 0;
}
