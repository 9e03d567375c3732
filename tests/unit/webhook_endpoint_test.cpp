#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "relevo/webhook/endpoint.hpp"
#include "relevo/webhook/http_job_handler.hpp"
#include "relevo/webhook/http_message_handler.hpp"
#include "support/eventually.hpp"
#include "support/relay_fakes.hpp"
#include "support/scripted_server.hpp"
#include "support/webhook_fakes.hpp"

namespace relevo::webhook {
namespace {

using namespace std::chrono_literals;
using State = worker::CircuitBreaker::State;
using test::answering;
using test::describe;
using test::Exchange;
using test::http_response;
using test::ReceivedRequest;
using test::ScriptedServer;
using worker::Outcome;

constexpr const char* kSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

class TestContext final : public worker::Context {
 public:
  worker::UnitOfWork& unit() override { throw std::logic_error("no database here"); }
  const core::Clock& clock() const override { return core::system_clock(); }
  std::stop_token stop() const override { return source.get_token(); }
  core::Log& log() override { return log_; }

  std::stop_source source;

 private:
  test::QuietLog log_;
};

worker::Job job_of(worker::JobId id) {
  worker::Job job;
  job.id = id;
  job.kind = "mail.send";
  job.queue = "default";
  job.payload = R"({"to": 1})";
  job.headers = "{}";
  return job;
}

// Holds each call until the test answers it.
class HeldCalls {
 public:
  ScriptedServer::Script script() {
    return [this](Exchange& exchange) {
      while (exchange.receive()) {
        arrived_.put(1);
        const auto status = answers_.take();
        if (!status || !exchange.send(http_response(*status))) return;
      }
    };
  }
  bool wait() { return arrived_.take().has_value(); }
  void answer(int status) { answers_.put(status); }

 private:
  test::Mailbox<int> arrived_;
  test::Mailbox<int> answers_;
};

class WebhookEndpoint : public testing::Test {
 protected:
  void SetUp() override { client_.start(); }
  void TearDown() override { client_.stop(); }

  EndpointOptions options(const std::string& url) {
    EndpointOptions options;
    options.name = "mailer";
    options.url = url;
    options.timeout = 20s;
    options.concurrency = 3;
    options.secret = kSecret;
    options.allow_private = true;
    return options;
  }

  HttpEndpoint& endpoint(const EndpointOptions& options) {
    return endpoint_.emplace(options, client_, metrics_, log_, clock_);
  }

  void start(HttpJobHandler& handler, worker::JobId id) {
    handler.start(job_of(id), 20s, [this](Outcome outcome) { outcomes_.put(std::move(outcome)); });
  }
  std::string next_outcome() {
    const auto outcome = outcomes_.take();
    return outcome ? describe(*outcome) : "no outcome in time";
  }
  std::string outcome_of(HttpJobHandler& handler, worker::JobId id) {
    start(handler, id);
    return next_outcome();
  }

  test::FakeClock clock_;
  test::QuietLog log_;
  test::RememberingEndpointMetrics metrics_;
  test::Mailbox<Outcome> outcomes_;
  HttpClient client_;
  std::optional<HttpEndpoint> endpoint_;
};

TEST_F(WebhookEndpoint, SendsAJobAsASignedRequest) {
  test::Mailbox<ReceivedRequest> received;
  const ScriptedServer server(answering([&](const ReceivedRequest& request) {
    received.put(request);
    return http_response(200, R"({"sent":true})");
  }));
  HttpJobHandler handler(endpoint(options(server.url("/jobs"))));
  auto job = job_of(42);
  job.tenant = "acmé\r\nx: y";
  job.attempt = 3;
  job.headers =
      R"({"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","a":"b"})";
  handler.start(job, 20s, [this](Outcome outcome) { outcomes_.put(std::move(outcome)); });
  EXPECT_EQ(next_outcome(), R"(done {"sent":true})");

  const auto seen = received.take();
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->line, "POST /jobs HTTP/1.1");
  EXPECT_EQ(seen->body, R"({"to": 1})");
  const auto& headers = seen->headers;
  EXPECT_EQ(headers.at("webhook-id"),
            "job_42_" + std::to_string(job.created_at.time_since_epoch().count()));
  EXPECT_EQ(headers.at("content-type"), "application/json");
  EXPECT_EQ(headers.at("relevo-kind"), "mail.send");
  EXPECT_EQ(headers.at("relevo-queue"), "default");
  EXPECT_EQ(headers.at("relevo-job-id"), "42");
  EXPECT_EQ(headers.at("relevo-attempt"), "3");
  EXPECT_EQ(headers.at("relevo-tenant"), "acm%C3%A9%0D%0Ax:%20y");
  EXPECT_EQ(headers.at("traceparent"), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  EXPECT_EQ(headers.count("x"), 0U);
  EXPECT_EQ(headers.count("a"), 0U);
  EXPECT_EQ(verify(SigningKey(kSecret), headers.at("webhook-id"), headers.at("webhook-timestamp"),
                   headers.at("webhook-signature"), seen->body, clock_.wall(), 0s),
            Verdict::kGenuine);
  EXPECT_EQ(metrics_.codes(), std::vector<std::string>{"200"});
}

TEST_F(WebhookEndpoint, SignsNothingWithoutASecret) {
  test::Mailbox<ReceivedRequest> received;
  const ScriptedServer server(answering([&](const ReceivedRequest& request) {
    received.put(request);
    return http_response(204);
  }));
  auto unsigned_options = options(server.url());
  unsigned_options.secret.reset();
  HttpJobHandler handler(endpoint(unsigned_options));
  EXPECT_EQ(outcome_of(handler, 42), "done ");
  const auto seen = received.take();
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->headers.at("webhook-id"), "job_42_0");
  EXPECT_EQ(seen->headers.count("webhook-timestamp"), 1U);
  EXPECT_EQ(seen->headers.count("webhook-signature"), 0U);
}

TEST_F(WebhookEndpoint, TakesNoMoreThanItsConcurrency) {
  HeldCalls calls;
  const ScriptedServer server(calls.script());
  HttpJobHandler handler(endpoint(options(server.url())));
  EXPECT_EQ(handler.room(), 3U);
  for (int i = 1; i <= 3; ++i) start(handler, i);
  EXPECT_EQ(handler.room(), 0U);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(calls.wait());
  EXPECT_EQ(outcome_of(handler, 4), "snooze");
  calls.answer(200);
  EXPECT_EQ(next_outcome(), "done ");
  EXPECT_EQ(handler.room(), 1U);
  EXPECT_EQ(server.connections(), 3U);
  calls.answer(200);
  calls.answer(200);
  EXPECT_EQ(next_outcome(), "done ");
  EXPECT_EQ(next_outcome(), "done ");
}

TEST_F(WebhookEndpoint, StopsTakingCallsWhenTheOtherSideIsDownAndProbesForItsReturn) {
  std::atomic<int> status{500};
  std::atomic<int> arrived{0};
  const ScriptedServer server(answering([&](const auto&) {
    ++arrived;
    return http_response(status);
  }));
  HttpJobHandler handler(endpoint(options(server.url())));
  for (int i = 1; i <= 5; ++i) EXPECT_EQ(outcome_of(handler, i), "retry HTTP 500");
  EXPECT_EQ(handler.room(), 0U);
  EXPECT_FALSE(handler.probes());
  EXPECT_EQ(outcome_of(handler, 6), "snooze") << "not sent";
  EXPECT_EQ(arrived, 5);

  clock_.advance(1s);
  EXPECT_EQ(handler.room(), 1U);
  EXPECT_TRUE(handler.probes());
  status = 503;
  EXPECT_EQ(outcome_of(handler, 7), "snooze") << "a probe that nobody read burns no attempt";
  EXPECT_EQ(arrived, 6);
  EXPECT_EQ(handler.room(), 0U);

  clock_.advance(2s);
  status = 500;
  EXPECT_EQ(outcome_of(handler, 8), "retry HTTP 500") << "may be the fault of this job";

  clock_.advance(4s);
  status = 200;
  EXPECT_EQ(outcome_of(handler, 9), "done ");
  EXPECT_EQ(handler.room(), 3U);
  EXPECT_FALSE(handler.probes());
  EXPECT_EQ(metrics_.states(),
            (std::vector<State>{State::kClosed, State::kOpen, State::kHalfOpen, State::kOpen,
                                State::kHalfOpen, State::kOpen, State::kHalfOpen, State::kClosed}));
  EXPECT_EQ(log_.lines, (std::vector<std::string>{"outage", "outage over"}));
}

TEST_F(WebhookEndpoint, CallsThatEndWhileItIsKnownToBeDownBurnNoAttempt) {
  HeldCalls calls;
  const ScriptedServer server(calls.script());
  auto given = options(server.url());
  given.concurrency = 8;
  given.breaker.failures = 2;
  HttpJobHandler handler(endpoint(given));
  for (int i = 1; i <= 8; ++i) start(handler, i);
  for (int i = 1; i <= 8; ++i) ASSERT_TRUE(calls.wait());
  std::vector<std::string> outcomes;
  for (const int status : {503, 503, 503, 504, 429, 500, 404, 200}) {
    calls.answer(status);
    outcomes.push_back(next_outcome());
  }
  EXPECT_EQ(outcomes,
            (std::vector<std::string>{"retry HTTP 503", "retry HTTP 503", "snooze", "snooze",
                                      "snooze", "retry HTTP 500", "retry HTTP 404", "done "}));
  EXPECT_EQ(handler.room(), 0U) << "an answer from before the outage closed the breaker";
}

TEST_F(WebhookEndpoint, LetsOnlyOneProbeThrough) {
  HeldCalls calls;
  const ScriptedServer server(calls.script());
  auto given = options(server.url());
  given.breaker.failures = 1;
  HttpJobHandler handler(endpoint(given));
  start(handler, 1);
  calls.answer(500);
  EXPECT_EQ(next_outcome(), "retry HTTP 500");
  clock_.advance(1s);
  start(handler, 2);
  EXPECT_EQ(handler.room(), 0U);
  EXPECT_EQ(outcome_of(handler, 3), "snooze");
  calls.answer(200);
  EXPECT_EQ(next_outcome(), "done ");
  EXPECT_EQ(handler.room(), 3U);
}

TEST_F(WebhookEndpoint, StaysAwayAsLongAsItIsAskedTo) {
  const ScriptedServer server(
      answering([](const auto&) { return http_response(503, "", "Retry-After: 40\r\n"); }));
  HttpJobHandler handler(endpoint(options(server.url())));
  for (int i = 1; i <= 5; ++i) EXPECT_EQ(outcome_of(handler, i), "retry HTTP 503 after 40000");
  clock_.advance(39s);
  EXPECT_EQ(handler.room(), 0U);
  clock_.advance(2s);
  EXPECT_EQ(handler.room(), 1U);
}

TEST_F(WebhookEndpoint, NothingIsLostWhenNobodyListens) {
  HttpJobHandler handler(
      endpoint(options("http://127.0.0.1:" + std::to_string(test::closed_port()) + "/")));
  int retries = 0;
  int calls = 0;
  for (int second = 0; second < 600; ++second, clock_.advance(1s)) {
    for (; handler.room() > 0; ++calls) {
      retries += outcome_of(handler, calls + 1).starts_with("retry connect") ? 1 : 0;
    }
  }
  EXPECT_EQ(retries, 5) << "attempts burnt in ten minutes";
  EXPECT_GT(calls, 5 + 10);
  EXPECT_LT(calls, 5 + 28) << "probes in ten minutes";
}

TEST_F(WebhookEndpoint, EndsACallThatIsAbandoned) {
  HeldCalls calls;
  const ScriptedServer server(calls.script());
  HttpJobHandler handler(endpoint(options(server.url())));
  start(handler, 1);
  ASSERT_TRUE(calls.wait());
  handler.abandon(job_of(2));
  EXPECT_EQ(outcomes_.size(), 0U);
  handler.abandon(job_of(1));
  EXPECT_EQ(next_outcome(), "snooze");
  EXPECT_EQ(handler.room(), 3U);
  handler.abandon(job_of(1));
  calls.answer(200);
}

TEST_F(WebhookEndpoint, KeepsTheShorterTimeLimit) {
  const ScriptedServer server([](Exchange& exchange) { exchange.wait_for_close(); });
  auto given = options(server.url());
  HttpJobHandler by_job(endpoint(given));
  by_job.start(job_of(1), 200ms, [this](Outcome outcome) { outcomes_.put(std::move(outcome)); });
  EXPECT_TRUE(next_outcome().starts_with("retry timeout: "));
  given.timeout = 200ms;
  HttpJobHandler by_endpoint(endpoint(given));
  EXPECT_TRUE(outcome_of(by_endpoint, 2).starts_with("retry timeout: "));
  EXPECT_EQ(metrics_.codes(), (std::vector<std::string>{"timeout", "timeout"}));
}

TEST_F(WebhookEndpoint, CallsAreHandedBackWhenTheClientStops) {
  HeldCalls calls;
  const ScriptedServer server(calls.script());
  HttpJobHandler handler(endpoint(options(server.url())));
  start(handler, 1);
  ASSERT_TRUE(calls.wait());
  client_.stop();
  EXPECT_EQ(next_outcome(), "snooze");
  EXPECT_EQ(outcome_of(handler, 2), "snooze");
  EXPECT_EQ(metrics_.codes(), (std::vector<std::string>{"given_up", "given_up"}));
  calls.answer(200);
}

TEST_F(WebhookEndpoint, RefusesOptionsThatCannotWorkAndShowsNoSecret) {
  const auto problem = [&](const std::function<void(EndpointOptions&)>& change) -> std::string {
    auto given = options("http://10.0.0.1/");
    change(given);
    try {
      endpoint(given);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "none";
  };
  EXPECT_EQ(problem([](auto&) {}), "none");
  EXPECT_EQ(problem([](auto& o) { o.concurrency = 0; }),
            "endpoint mailer: concurrency: must be at least 1");
  EXPECT_EQ(problem([](auto& o) { o.allow_private = false; }),
            "endpoint mailer: url: must begin with https:// (http needs allow_private)");
  const auto secret = problem([](auto& o) { o.secret = "hunter2"; });
  EXPECT_TRUE(secret.starts_with("endpoint mailer: secret: ")) << secret;
  EXPECT_EQ(secret.find("hunter2"), std::string::npos) << secret;
  // Not to be taken for "not signed": a secret was meant.
  EXPECT_EQ(problem([](auto& o) { o.secret = ""; }),
            "endpoint mailer: secret: the signing secret is empty");
}

std::vector<worker::Message> messages_of(const std::vector<std::string_view>& ids) {
  std::vector<worker::Message> messages;
  for (const auto id : ids) {
    worker::Message message;
    message.id = id;
    message.type = "OrderPaid";
    message.payload = "{}";
    messages.push_back(message);
  }
  return messages;
}

TEST_F(WebhookEndpoint, SendsAMessageWithItsEnvelope) {
  test::Mailbox<ReceivedRequest> received;
  const ScriptedServer server(answering([&](const ReceivedRequest& request) {
    received.put(request);
    return http_response(200);
  }));
  HttpMessageHandler handler(endpoint(options(server.url())), "billing");
  const std::vector<std::pair<std::string_view, std::string_view>> headers{
      {"ce_source", "/shop/ñ"},   {"ce_id", "e.1"}, {"content-type", "application/json; v=2"},
      {"ce_x\r\ninjected", "no"}, {"other", "no"},  {"ce_CASE", "no"}};
  auto messages = messages_of({"e.1", "e2"});
  messages[0].headers = headers;
  messages[0].attempt = 2;
  messages[0].tenant = "acme";
  messages[1].payload.reset();
  TestContext context;
  const auto outcomes = handler.run(messages, context);
  ASSERT_EQ(outcomes.size(), 2U);
  for (const auto& outcome : outcomes) EXPECT_EQ(describe(outcome), "done ");

  std::map<std::string, ReceivedRequest> seen;
  for (int i = 0; i < 2; ++i) {
    const auto request = received.take().value();
    seen[request.headers.at("webhook-id")] = request;
  }
  const auto& first = seen.at("e%2E1").headers;
  EXPECT_EQ(first.at("relevo-event-type"), "OrderPaid");
  EXPECT_EQ(first.at("relevo-subscription"), "billing");
  EXPECT_EQ(first.at("relevo-attempt"), "2");
  EXPECT_EQ(first.at("relevo-tenant"), "acme");
  EXPECT_EQ(first.at("ce-id"), "e.1");
  EXPECT_EQ(first.at("ce-source"), "/shop/%C3%B1");
  EXPECT_EQ(first.at("content-type"), "application/json; v=2");
  for (const auto& [name, value] : first) EXPECT_NE(value, "no") << name;
  const auto& tombstone = seen.at("e2");
  EXPECT_EQ(tombstone.headers.at("relevo-tombstone"), "true");
  EXPECT_EQ(tombstone.body, "");
  EXPECT_EQ(verify(SigningKey(kSecret), "e%2E1", first.at("webhook-timestamp"),
                   first.at("webhook-signature"), "{}", clock_.wall()),
            Verdict::kGenuine);
}

TEST_F(WebhookEndpoint, SendsTheMessagesOfABatchSideBySide) {
  std::atomic<int> under_way{0};
  std::atomic<int> most{0};
  const ScriptedServer server([&](Exchange& exchange) {
    while (const auto request = exchange.receive()) {
      const int now = ++under_way;
      for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
      }
      (void)test::eventually(
          5s, [&] { return most >= 3; }, 1ms);
      --under_way;
      const bool odd = (request->headers.at("webhook-id").back() - '0') % 2 == 1;
      if (!exchange.send(http_response(odd ? 422 : 200))) return;
    }
  });
  HttpMessageHandler handler(endpoint(options(server.url())), "billing");
  std::vector<std::string> ids;
  for (int i = 0; i < 50; ++i) ids.push_back("e" + std::to_string(i));
  TestContext context;
  const auto outcomes = handler.run(messages_of({ids.begin(), ids.end()}), context);
  ASSERT_EQ(outcomes.size(), 50U);
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    EXPECT_EQ(describe(outcomes[i]), i % 2 == 1 ? "retry HTTP 422" : "done ") << i;
  }
  EXPECT_EQ(most, 3);
}

TEST_F(WebhookEndpoint, MessagesAreSnoozedOnceTheEndpointIsFoundDown) {
  std::atomic<int> arrived{0};
  const ScriptedServer server(answering([&](const auto&) {
    ++arrived;
    return http_response(503);
  }));
  auto given = options(server.url());
  given.concurrency = 1;
  HttpMessageHandler handler(endpoint(given), "billing");
  TestContext context;
  const auto outcomes = handler.run(messages_of({"1", "2", "3", "4", "5", "6", "7", "8"}), context);
  std::vector<std::string> texts;
  for (const auto& outcome : outcomes) texts.push_back(describe(outcome));
  std::vector<std::string> expected(5, "retry HTTP 503");
  expected.resize(8, "snooze");
  EXPECT_EQ(texts, expected);
  EXPECT_EQ(arrived, 5);
}

TEST_F(WebhookEndpoint, MessagesAreGivenUpWhenTheRunIsStopped) {
  HeldCalls calls;
  const ScriptedServer server(calls.script());
  HttpMessageHandler handler(endpoint(options(server.url())), "billing");
  TestContext context;
  test::Mailbox<std::vector<Outcome>> done;
  std::thread run([&] { done.put(handler.run(messages_of({"1", "2", "3", "4", "5"}), context)); });
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(calls.wait());
  context.source.request_stop();
  const auto outcomes = done.take();
  ASSERT_TRUE(outcomes);
  for (const auto& outcome : *outcomes) EXPECT_EQ(describe(outcome), "snooze");
  EXPECT_EQ(outcomes->size(), 5U);
  run.join();
  for (int i = 0; i < 3; ++i) calls.answer(200);
}

}  // namespace
}  // namespace relevo::webhook
