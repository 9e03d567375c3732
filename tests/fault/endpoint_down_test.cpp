// The endpoint of an HTTP handler goes away under load and comes back.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>

#include "support/daemon.hpp"
#include "support/environment.hpp"
#include "support/eventually.hpp"
#include "support/jobs.hpp"
#include "support/report.hpp"
#include "support/scripted_server.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

constexpr int kConcurrency = 5;
constexpr int kReplicas = 2;

std::chrono::seconds outage() {
  return std::chrono::seconds(std::stoi(environment("RELEVO_TEST_OUTAGE_SECONDS").value_or("12")));
}

// Of one breaker during an outage, at most: after 0.5, 1, 2, 4 … seconds at the soonest, in the end
// every 30, and one under way when it ends.
int most_probes(std::chrono::milliseconds outage) {
  int probes = 1;
  std::chrono::milliseconds wait = 500ms;
  for (auto at = wait; at < outage; at += wait) {
    ++probes;
    wait = std::min<std::chrono::milliseconds>(wait * 2, 30s);
  }
  return probes;
}

enum class Mood { kWell, kBusy, kSilent };

// Answers 204 after a moment, or 503 at once, or never; can be away altogether.
class Endpoint {
 public:
  Endpoint() { come(); }

  void come() {
    mood_ = Mood::kWell;
    if (server_) return;
    server_ =
        std::make_unique<ScriptedServer>([this](Exchange& exchange) { serve(exchange); }, port_);
    port_ = server_->port();
  }
  void go() { server_.reset(); }
  void be(Mood mood) { mood_ = mood; }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }
  int done() const { return done_; }
  int most_at_once() const { return most_at_once_; }

 private:
  void serve(Exchange& exchange) {
    while (exchange.receive()) {
      const auto mood = mood_.load();
      if (mood == Mood::kSilent) return exchange.wait_for_close();
      if (mood == Mood::kWell) work();
      if (!exchange.send(http_response(mood == Mood::kWell ? 204 : 503))) return;
    }
  }

  void work() {
    const int now = ++at_once_;
    for (int most = most_at_once_; now > most && !most_at_once_.compare_exchange_weak(most, now);) {
    }
    // How long the work takes.
    std::this_thread::sleep_for(20ms);
    --at_once_;
    ++done_;
  }

  std::atomic<Mood> mood_{Mood::kWell};
  std::atomic<int> at_once_{0};
  std::atomic<int> most_at_once_{0};
  std::atomic<int> done_{0};
  std::uint16_t port_ = 0;
  std::unique_ptr<ScriptedServer> server_;
};

class EndpointDown : public testing::TestWithParam<const char*> {};

TEST_P(EndpointDown, FewCallsAreWastedNothingIsLostAndItsReturnIsNoStorm) {
  const std::string how = GetParam();
  Endpoint endpoint;
  JobWorld world;
  auto connection = world.connect();
  std::array<std::unique_ptr<Daemon>, kReplicas> replicas;
  for (auto& replica : replicas) {
    replica = std::make_unique<Daemon>(DaemonOptions{
        world.url(),
        required_environment("RELEVO_TEST_KAFKA"),
        "none",
        "",
        {{"RELEVO_ROLES", "worker"},
         {"RELEVO_WORKER_LEASE_TTL", "5s"},
         {"RELEVO_HANDLERS", "[{kind: hook, http: {url: \"" + endpoint.url() +
                                 "\", allow_private: true, timeout: 2s, " +
                                 "concurrency: " + std::to_string(kConcurrency) + "}}]"},
         // An outage that burnt attempts would leave dead jobs.
         {"RELEVO_KINDS",
          "[{kind: hook, max_attempts: 8, backoff_base: 50ms, backoff_cap: 1s}]"}}});
  }
  for (auto& replica : replicas) {
    ASSERT_TRUE(replica->wait_ready(30s)) << replica->process().standard_error();
  }
  const auto enqueue = [&](int count) {
    connection.query(
        "INSERT INTO test_job SELECT relevo.enqueue('hook'), 'hook' FROM generate_series(1, "
        "$1::int)",
        {std::to_string(count)});
  };
  // Of calls that failed, by all replicas.
  const auto failed = [&] {
    double sum = 0;
    for (auto& replica : replicas) {
      sum += replica->metric("relevo_handler_http_seconds_count").value_or(0) -
             replica->metric("relevo_handler_http_seconds_count", "code=\"204\"").value_or(0);
    }
    return static_cast<int>(sum);
  };
  enqueue(100);
  ASSERT_TRUE(eventually(30s, [&] { return endpoint.done() >= 50; }))
      << replicas[0]->process().standard_error();

  if (how == "gone") endpoint.go();
  if (how == "busy") endpoint.be(Mood::kBusy);
  if (how == "silent") endpoint.be(Mood::kSilent);
  const auto before = endpoint.done();
  const auto length = outage();
  // The length of the outage is the fault itself. More and more waits for the endpoint.
  (void)eventually(
      length,
      [&] {
        enqueue(20);
        return false;
      },
      200ms);
  const int wasted = failed();
  EXPECT_LE(endpoint.done(), before + kReplicas * kConcurrency) << "it was not away";
  EXPECT_GT(wasted, 0) << "nobody noticed that it was away";
  // Each breaker: what was under way when it opened, five failures at most before that and as many
  // as a last success among them made it forget, and its probes.
  EXPECT_LE(wasted, kReplicas * (2 * kConcurrency + 5 + most_probes(length)));
  const auto waiting = world.number("SELECT count(*) FROM relevo.job");
  EXPECT_GT(waiting, length.count() * 40);

  const auto done_before = endpoint.done();
  endpoint.come();
  const auto back_at = std::chrono::steady_clock::now();
  // The last pause of a breaker, and a fifth of the pace at which the endpoint could do them.
  EXPECT_TRUE(world.wait_all_ended(90s + waiting * 10ms))
      << replicas[0]->process().standard_error();
  const auto took = std::chrono::steady_clock::now() - back_at;
  const auto calls = endpoint.done() - done_before;
  EXPECT_LE(endpoint.most_at_once(), kReplicas * kConcurrency);
  // One call a job; a few had been answered when the endpoint went away and nobody heard it.
  EXPECT_LE(calls, waiting + kReplicas * kConcurrency);
  const auto attempts = world.number("SELECT count(*) FROM relevo.job_attempt");
  EXPECT_LE(attempts, kReplicas * (2 * kConcurrency + 5));
  for (auto& replica : replicas) EXPECT_TRUE(replica->process().running());
  report("endpoint " + how + " for " + std::to_string(length.count()) +
         " s: failed calls during it " + std::to_string(wasted) + ", in all " +
         std::to_string(failed()) + ", attempts counted " + std::to_string(attempts) +
         ", waiting at its return " + std::to_string(waiting) + ", calls after it " +
         std::to_string(calls) + ", most at once " + std::to_string(endpoint.most_at_once()) +
         ", all done after " +
         std::to_string(std::chrono::duration_cast<std::chrono::seconds>(took).count()) + " s");
  EXPECT_EQ(world.judge("endpoint " + how), "");
}

INSTANTIATE_TEST_SUITE_P(, EndpointDown, testing::Values("gone", "busy", "silent"),
                         [](const auto& how) { return std::string(how.param); });

// A breaker opens, and stays so while every probe is one of the jobs that broke it.
TEST(EndpointThatAFewJobsBreak, IsFoundWellWithTheOthers) {
  constexpr int kPoison = 30;
  constexpr int kGood = 500;
  ScriptedServer endpoint(answering([](const ReceivedRequest& request) {
    return http_response(request.body.find("poison") == std::string::npos ? 204 : 500);
  }));
  JobWorld world;
  Daemon daemon({world.url(),
                 required_environment("RELEVO_TEST_KAFKA"),
                 "none",
                 "",
                 {{"RELEVO_ROLES", "worker"},
                  {"RELEVO_HANDLERS", "[{kind: hook, http: {url: \"" + endpoint.url() +
                                          "\", allow_private: true}}]"}}});
  ASSERT_TRUE(daemon.wait_ready(30s)) << daemon.process().standard_error();
  auto connection = world.connect();
  const auto enqueue = [&](int count, const std::string& payload) {
    connection.query("SELECT relevo.enqueue('hook', $2::jsonb) FROM generate_series(1, $1::int)",
                     {std::to_string(count), payload});
  };
  const auto broken = [&] {
    return daemon.metric("relevo_handler_http_seconds_count", "code=\"500\"").value_or(0);
  };

  enqueue(kPoison, R"({"poison": true})");
  // The ten calls at once that open the breaker, and two probes.
  ASSERT_TRUE(eventually(30s, [&] { return broken() >= 12; })) << daemon.process().standard_error();
  EXPECT_EQ(world.number("SELECT count(*) FROM relevo.job"), kPoison);

  enqueue(kGood, "{}");
  const auto enqueued_at = std::chrono::steady_clock::now();
  // Each time it closes, the next five of the poison open it for a second at most; the rest of the
  // time is for slow machines. By the head of the line it took more than ten minutes.
  EXPECT_TRUE(eventually(60s, [&] {
    return world.number("SELECT count(*) FROM relevo.job_history WHERE outcome = 'completed'") ==
           kGood;
  })) << daemon.process().standard_error();
  const auto took = std::chrono::steady_clock::now() - enqueued_at;
  EXPECT_EQ(world.number("SELECT count(*) FROM relevo.job"), kPoison) << "each is tried again";
  EXPECT_EQ(world.number("SELECT count(*) FROM relevo.job_attempt a WHERE NOT EXISTS (SELECT FROM "
                         "relevo.job j WHERE j.id = a.job_id)"),
            0)
      << "attempts of good jobs were burnt";
  report("endpoint that a few jobs break: " + std::to_string(kGood) + " others done after " +
         std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()) +
         " ms, failed calls " + std::to_string(static_cast<int>(broken())));
}

}  // namespace
}  // namespace relevo::test
