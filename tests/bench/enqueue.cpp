#include "enqueue.hpp"

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>

#include "queues.hpp"
#include "support/database.hpp"
#include "writers.hpp"

namespace relevo::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr int kClients = 8;
constexpr auto kSingle = 10s;
constexpr int kCalls = 100;
constexpr int kJobsOfCall = 1'000;

// `statement` has the parameters text and bigint.
double single_rate(const std::string& url, const std::string& statement) {
  std::atomic<std::int64_t> done = 0;
  const auto begun = Clock::now();
  run_writers(kClients, [&](int) {
    test::Connection connection(url);
    connection.exec("PREPARE enqueue (text, bigint) AS " + statement);
    for (; Clock::now() - begun < kSingle; ++done)
      connection.query("EXECUTE enqueue ('noop', 1)", {});
  });
  return static_cast<double>(done) / Seconds(Clock::now() - begun).count();
}

double bulk_rate(const std::string& url, const Queue& queue) {
  auto jobs = nlohmann::json::array();
  for (int n = 0; n < kJobsOfCall; ++n)
    jobs.push_back({{queue.kind_field, "noop"}, {"payload", {{"n", n}}}});
  const auto text = jobs.dump();
  test::Connection connection(url);
  const auto before = connection.number("SELECT count(*) FROM " + queue.table);
  const auto begun = Clock::now();
  for (int call = 0; call < kCalls; ++call) connection.query(queue.enqueue_many, {text});
  const Seconds time = Clock::now() - begun;
  const auto stored = connection.number("SELECT count(*) FROM " + queue.table) - before;
  if (stored != kCalls * kJobsOfCall) throw std::runtime_error(queue.name + " stored too few jobs");
  return static_cast<double>(stored) / time.count();
}

void add(nlohmann::ordered_json& result, const std::string& prefix, const Options& options,
         const Queue& queue) {
  const test::Database database(options.postgres);
  queue.create(database.url());
  result[prefix + "rate"] = static_cast<std::int64_t>(single_rate(database.url(), queue.enqueue));
  result[prefix + "bulk_rate"] = static_cast<std::int64_t>(bulk_rate(database.url(), queue));
}

}  // namespace

nlohmann::ordered_json measure_enqueue(const Options& options) {
  nlohmann::ordered_json result;
  add(result, "enqueue_", options, relevo_queue(options));
  if (!graphile_absent(options)) add(result, "graphile_enqueue_", options, graphile_queue(options));
  const test::Database plain(options.postgres);
  plain.connect().exec(
      "CREATE TABLE plain (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
      "kind text NOT NULL, payload jsonb NOT NULL)");
  result["plain_insert_rate"] = static_cast<std::int64_t>(single_rate(
      plain.url(),
      "INSERT INTO plain (kind, payload) VALUES ($1, jsonb_build_object('due', $2::bigint))"));
  return result;
}

}  // namespace relevo::bench
