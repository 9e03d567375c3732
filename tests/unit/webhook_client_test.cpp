#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "relevo/webhook/http_client.hpp"
#include "support/eventually.hpp"
#include "support/scripted_server.hpp"
#include "support/tls_server.hpp"
#include "support/webhook_fakes.hpp"

namespace relevo::webhook {
namespace {

using namespace std::chrono_literals;
using test::answering;
using test::Exchange;
using test::http_response;
using test::ScriptedServer;

HttpRequest request_to(std::string url, std::chrono::milliseconds timeout = 20s) {
  HttpRequest request;
  request.url = std::move(url);
  request.body = "{}";
  request.timeout = timeout;
  request.allow_private = true;
  return request;
}

class WebhookClient : public testing::Test {
 protected:
  void SetUp() override { client_.start(); }

  HttpAnswer get(HttpRequest request) {
    auto answers = std::make_shared<test::Mailbox<HttpAnswer>>();
    client_.send(std::move(request),
                 [answers](HttpAnswer answer) { answers->put(std::move(answer)); });
    auto answer = answers->take();
    EXPECT_TRUE(answer) << "no answer";
    return answer.value_or(HttpAnswer{});
  }
  HttpAnswer get(const ScriptedServer::Script& script, std::chrono::milliseconds timeout = 20s) {
    const ScriptedServer server(script);
    return get(request_to(server.url(), timeout));
  }

  HttpClient client_;
};

std::string shown(const HttpAnswer& answer) {
  return std::string(to_string(answer.failure)) + " " + std::to_string(answer.status) + " " +
         answer.detail;
}

TEST_F(WebhookClient, PostsTheBodyAndBringsTheAnswer) {
  test::Mailbox<test::ReceivedRequest> received;
  const ScriptedServer server(answering([&](const test::ReceivedRequest& request) {
    received.put(request);
    return http_response(200, "{\"ok\":true}", "Retry-After: 7\r\n");
  }));
  auto request = request_to(server.url("/run?x=1"));
  request.headers = {"relevo-kind: mail.send", "expect:"};
  request.body = std::string(5'000, 'b') + '\0';
  const auto answer = get(request);
  EXPECT_EQ(shown(answer), "none 200 ");
  EXPECT_EQ(answer.body, "{\"ok\":true}");
  EXPECT_EQ(answer.retry_after, " 7");
  EXPECT_GT(answer.duration, 0us);
  const auto seen = received.take();
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->line, "POST /run?x=1 HTTP/1.1");
  EXPECT_EQ(seen->body, request.body);
  EXPECT_EQ(seen->headers.at("relevo-kind"), "mail.send");
  EXPECT_EQ(seen->headers.at("user-agent").substr(0, 7), "relevo/");
  for (const char* name : {"accept-encoding", "cookie", "expect", "authorization"}) {
    EXPECT_EQ(seen->headers.count(name), 0U) << name;
  }
}

TEST_F(WebhookClient, KeepsConnectionsForTheNextRequest) {
  const ScriptedServer server(
      answering([](const auto&) { return http_response(204, "", "Set-Cookie: a=b\r\n"); }));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(shown(get(request_to(server.url()))), "none 204 ");
  EXPECT_EQ(server.connections(), 1U);
}

TEST_F(WebhookClient, DoesNotFollowRedirects) {
  std::atomic<int> reached{0};
  const ScriptedServer inside(answering([&](const auto&) {
    ++reached;
    return http_response(200);
  }));
  for (const int status : {301, 302, 307, 308}) {
    const auto answer = get(answering([&](const auto&) {
      return http_response(status, "", "Location: " + inside.url("/admin") + "\r\n");
    }));
    EXPECT_EQ(answer.status, status);
  }
  EXPECT_EQ(reached, 0);
}

TEST_F(WebhookClient, ReadsABodyUpToTheLimitAndJudgesByTheStatus) {
  const auto limit = HttpClient::kBodyLimit;
  const auto whole =
      get(answering([&](const auto&) { return http_response(200, std::string(limit, 'x')); }));
  EXPECT_EQ(shown(whole), "none 200 ");
  EXPECT_EQ(whole.body.size(), limit);
  EXPECT_FALSE(whole.body_cut);

  const auto cut =
      get(answering([&](const auto&) { return http_response(500, std::string(limit + 1, 'x')); }));
  EXPECT_EQ(shown(cut), "none 500 ");
  EXPECT_EQ(cut.body.size(), limit);
  EXPECT_TRUE(cut.body_cut);

  const auto endless = get([](Exchange& exchange) {
    exchange.receive();
    if (!exchange.send("HTTP/1.1 200 OK\r\n\r\n")) return;
    while (exchange.send(std::string(10'000, 'x'))) {
    }
  });
  EXPECT_EQ(shown(endless), "none 200 ");
  EXPECT_TRUE(endless.body_cut);
}

// 1 GiB of zeros as the server's gzip would send it is about 1 MiB; here it is enough that nothing
// is unpacked.
TEST_F(WebhookClient, DoesNotUnpackWhatItDidNotAskFor) {
  const std::string packed(
      "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00"
      "\x00\x00",
      20);
  const auto answer = get(answering(
      [&](const auto&) { return http_response(200, packed, "Content-Encoding: gzip\r\n"); }));
  EXPECT_EQ(shown(answer), "none 200 ");
  EXPECT_EQ(answer.body, packed);
}

TEST_F(WebhookClient, EndsTheRequestAtItsTimeout) {
  struct Case {
    std::string what;
    ScriptedServer::Script script;
    int status;
  };
  const auto drip = [](std::string_view head) {
    return [head](Exchange& exchange) {
      exchange.receive();
      bool open = exchange.send(head);
      while (open) {
        open = exchange.send("x");
        std::this_thread::sleep_for(10ms);
      }
    };
  };
  for (const auto& c : std::vector<Case>{
           {"no answer", [](Exchange& exchange) { exchange.wait_for_close(); }, 0},
           {"a body byte by byte", drip("HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n"), 200},
           {"a header byte by byte", drip("HTTP/1.1 200 OK\r\nX: "), 200}}) {
    const auto begin = std::chrono::steady_clock::now();
    const auto answer = get(c.script, 1s);
    EXPECT_EQ(answer.failure, HttpFailure::kTimeout) << c.what << ": " << shown(answer);
    EXPECT_EQ(answer.status, c.status) << c.what;
    EXPECT_TRUE(answer.sent) << c.what;
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s) << c.what;
  }
}

TEST_F(WebhookClient, TellsHowACallFailed) {
  struct Case {
    std::string what;
    ScriptedServer::Script script;
    HttpFailure failure;
  };
  const auto bytes = [](std::string text) {
    return answering([text = std::move(text), sent = false](const auto&) mutable {
      return std::exchange(sent, true) ? std::string() : text;
    });
  };
  const std::vector<Case> cases{
      {"closed at once", [](Exchange& exchange) { exchange.receive(); }, HttpFailure::kReset},
      {"reset",
       [](Exchange& exchange) {
         exchange.receive();
         exchange.reset();
       },
       HttpFailure::kReset},
      {"half a body",
       [](Exchange& exchange) {
         exchange.receive();
         exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
       },
       HttpFailure::kReset},
      {"not HTTP", bytes("SSH-2.0-OpenSSH_9.2\r\n\r\n"), HttpFailure::kProtocol},
      {"bad chunks", bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
       HttpFailure::kReset},
      {"many headers",
       bytes("HTTP/1.1 200 OK\r\n" +
             [] {
               std::string lines;
               for (int i = 0; i < 2'000; ++i) lines += "X-Filler: some thirty bytes of it\r\n";
               return lines;
             }() +
             "\r\n"),
       HttpFailure::kProtocol},
      {"a long header", bytes("HTTP/1.1 200 OK\r\nX: " + std::string(40'000, 'x') + "\r\n\r\n"),
       HttpFailure::kProtocol},
      {"informed for ever",
       [](Exchange& exchange) {
         exchange.receive();
         while (exchange.send("HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n")) {
         }
       },
       HttpFailure::kProtocol}};
  for (const auto& c : cases) {
    const auto answer = get(c.script);
    EXPECT_EQ(to_string(answer.failure), to_string(c.failure)) << c.what << ": " << shown(answer);
    EXPECT_TRUE(answer.sent) << c.what;
    EXPECT_FALSE(answer.detail.empty()) << c.what;
  }
}

TEST_F(WebhookClient, TellsThatNothingWasSent) {
  const auto refused =
      get(request_to("http://127.0.0.1:" + std::to_string(test::closed_port()) + "/"));
  EXPECT_EQ(refused.failure, HttpFailure::kConnect) << shown(refused);
  EXPECT_FALSE(refused.sent);
  const auto unknown = get(request_to("http://no-such-host.invalid/"));
  EXPECT_EQ(unknown.failure, HttpFailure::kResolve) << shown(unknown);
  EXPECT_FALSE(unknown.sent);
  const ScriptedServer plain([](Exchange& exchange) {
    exchange.send("HTTP/1.1 400 plain\r\n\r\n");
    exchange.wait_for_close();
  });
  const auto tls = get(request_to("https://127.0.0.1:" + std::to_string(plain.port()) + "/"));
  EXPECT_EQ(tls.failure, HttpFailure::kTls) << shown(tls);
  EXPECT_FALSE(tls.sent);
}

TEST_F(WebhookClient, RefusesAddressesThatAreNotPublic) {
  const ScriptedServer server(answering([](const auto&) { return http_response(200); }));
  const auto port = std::to_string(server.port());
  for (const std::string host :
       {"127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0",
        "10.1.2.3", "169.254.169.254", "[fe80::1]", "[fd00:ec2::254]"}) {
    auto request = request_to("https://" + host + ":" + port + "/");
    request.allow_private = false;
    const auto answer = get(request);
    EXPECT_EQ(answer.failure, HttpFailure::kAddressRefused) << host << ": " << shown(answer);
    EXPECT_NE(answer.detail.find("is not public"), std::string::npos) << answer.detail;
    EXPECT_FALSE(answer.sent) << host;
  }
  EXPECT_EQ(server.connections(), 0U);
}

TEST_F(WebhookClient, IgnoresTheProxyOfTheEnvironment) {
  const ScriptedServer server(answering([](const auto&) { return http_response(200); }));
  ::setenv("http_proxy", ("http://127.0.0.1:" + std::to_string(test::closed_port())).c_str(), 1);
  const auto answer = get(request_to(server.url()));
  ::unsetenv("http_proxy");
  EXPECT_EQ(shown(answer), "none 200 ");
}

TEST_F(WebhookClient, GivesUpWhatIsCancelled) {
  test::Mailbox<int> arrived;
  const ScriptedServer server([&](Exchange& exchange) {
    exchange.receive();
    arrived.put(1);
    exchange.wait_for_close();
  });
  test::Mailbox<HttpAnswer> answers;
  const auto ticket =
      client_.send(request_to(server.url()), [&](HttpAnswer answer) { answers.put(answer); });
  ASSERT_TRUE(arrived.take());
  client_.cancel(ticket);
  client_.cancel(ticket);
  client_.cancel(ticket + 1);
  const auto answer = answers.take();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->failure, HttpFailure::kGivenUp);
  EXPECT_TRUE(answer->sent);
}

TEST_F(WebhookClient, AnswersEveryRequestWhenItStops) {
  const ScriptedServer server([](Exchange& exchange) { exchange.wait_for_close(); });
  test::Mailbox<HttpAnswer> answers;
  std::atomic<bool> going{true};
  std::atomic<std::size_t> sent{0};
  std::thread sender([&] {
    while (going && sent < 500) {
      ++sent;
      client_.send(request_to(server.url()), [&](HttpAnswer answer) { answers.put(answer); });
    }
  });
  EXPECT_TRUE(test::eventually(20s, [&] { return sent > 20; }));
  client_.stop();
  going = false;
  sender.join();
  EXPECT_EQ(answers.size(), sent);
  while (answers.size() > 0) {
    const auto answer = answers.take(0ms);
    if (!answer) break;
    EXPECT_EQ(answer->failure, HttpFailure::kGivenUp) << shown(*answer);
  }
}

TEST(HttpClientService, StartsAndStopsInAnyOrder) {
  const ScriptedServer server(answering([](const auto&) { return http_response(200); }));
  HttpClient client;
  test::Mailbox<HttpFailure> answers;
  const auto send = [&] {
    client.send(request_to(server.url()), [&](HttpAnswer answer) { answers.put(answer.failure); });
    return answers.take();
  };
  client.stop();
  EXPECT_EQ(send(), HttpFailure::kGivenUp);
  client.start();
  client.start();
  EXPECT_EQ(send(), HttpFailure::kNone);
  client.stop();
  client.stop();
  EXPECT_EQ(send(), HttpFailure::kGivenUp);
  client.start();
  EXPECT_EQ(send(), HttpFailure::kNone);
}

TEST(HttpClientTls, VerifiesTheCertificateAndItsName) {
  const test::TlsServer server;
  const auto failure = [&](const std::string& ca_file, const std::string& host) {
    HttpClient client({ca_file});
    client.start();
    test::Mailbox<HttpAnswer> answers;
    client.send(request_to(server.url(host)), [&](HttpAnswer answer) { answers.put(answer); });
    const auto answer = answers.take();
    return answer ? std::string(to_string(answer->failure)) : "no answer";
  };
  const auto ours = server.certificate_file();
  EXPECT_EQ(failure(ours, "localhost"), "none");
  EXPECT_EQ(failure(ours, "127.0.0.1"), "tls") << "not the name in the certificate";
  EXPECT_EQ(failure("", "localhost"), "tls") << "signed by somebody unknown";
  EXPECT_EQ(server.requests(), 1);
}

TEST(HttpClientTls, DoesNotLendAConnectionToWhoMayNotMakeIt) {
  const test::TlsServer server;
  HttpClient client({server.certificate_file()});
  client.start();
  test::Mailbox<HttpFailure> answers;
  for (const bool allowed : {true, false, true}) {
    auto request = request_to(server.url("localhost"));
    request.allow_private = allowed;
    client.send(request, [&](HttpAnswer answer) { answers.put(answer.failure); });
    EXPECT_EQ(answers.take(), allowed ? HttpFailure::kNone : HttpFailure::kAddressRefused);
  }
  EXPECT_EQ(server.requests(), 2);
}

TEST(CheckUrl, SaysWhatIsWrongWithoutRepeatingIt) {
  EXPECT_NO_THROW(check_url("https://jobs.example.com/run?key=1", false));
  EXPECT_NO_THROW(check_url("http://10.0.0.1:8080/", true));
  EXPECT_NO_THROW(check_url("https://[2606:4700::1]/", false));
  for (const auto& [url, text] : std::vector<std::pair<std::string, std::string>>{
           {"", "not a URL"},
           {"hunter2", "not a URL"},
           {"https://", "not a URL"},
           {"https://hunter2 x/", "not a URL"},
           {"https://hunter2\r\nx: y/", "not a URL"},
           {"https://a:99999/hunter2", "not a URL"},
           {"ftp://hunter2/", "must begin"},
           {"file:///hunter2", "must begin"},
           {"gopher://hunter2/", "must begin"},
           {"http://example.com/hunter2", "allow_private"},
           {"https://hunter2@example.com/", "user name"},
           {"https://:hunter2@example.com/", "user name"},
           {"https://a:hunter2@example.com/", "user name"}}) {
    try {
      check_url(url, false);
      ADD_FAILURE() << "taken: " << url;
    } catch (const std::invalid_argument& error) {
      const std::string what(error.what());
      EXPECT_NE(what.find(text), std::string::npos) << url << ": " << what;
      EXPECT_EQ(what.find("hunter2"), std::string::npos) << what;
    }
  }
}

}  // namespace
}  // namespace relevo::webhook
