#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <atomic>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "relevo/core/error.hpp"
#include "relevo/http/http_server.hpp"

namespace relevo::http {
namespace {

// A client of its own: an error of the library must not hide on both sides.
class Connection {
 public:
  explicit Connection(std::uint16_t port)
      : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval limit{10, 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ =
        ::connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~Connection() { ::close(descriptor_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool connected() const { return connected_; }
  void send(const std::string& bytes) {
    ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  std::string read_all() {
    std::string text;
    char block[4096];
    for (ssize_t got = 0; (got = ::recv(descriptor_, block, sizeof block, 0)) > 0;) {
      text.append(block, static_cast<std::size_t>(got));
    }
    return text;
  }

 private:
  int descriptor_;
  bool connected_ = false;
};

struct Answer {
  int status = 0;
  std::string head;
  std::string body;
};

Answer request(std::uint16_t port, const std::string& line, const std::string& headers = "") {
  Connection connection(port);
  connection.send(line + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n");
  const std::string all = connection.read_all();
  const auto end = all.find("\r\n\r\n");
  if (end == std::string::npos || all.size() < 12) return {0, all, ""};
  return {std::stoi(all.substr(9, 3)), all.substr(0, end), all.substr(end + 4)};
}

Health healthy() { return {{{"relay", true, ""}, {"postgres", true, "5 connections"}}}; }
Health failing() { return {{{"relay", true, ""}, {"kafka", false, "no\nbroker"}}}; }

Endpoints endpoints() {
  return {healthy, healthy, [] { return std::string("up 1\n"); }, "relevo <1>"};
}

TEST(HttpServer, ServesProbesMetricsAndIndex) {
  Endpoints given = endpoints();
  given.ready = failing;
  HttpServer server("127.0.0.1:0", given);
  server.start();
  ASSERT_NE(server.port(), 0);

  const Answer live = request(server.port(), "GET /livez");
  EXPECT_EQ(live.status, 200);
  EXPECT_EQ(live.body, "relay ok\npostgres ok: 5 connections\n");
  EXPECT_NE(live.head.find("Content-Type: text/plain"), std::string::npos) << live.head;

  const Answer ready = request(server.port(), "GET /readyz");
  EXPECT_EQ(ready.status, 503);
  EXPECT_EQ(ready.body, "relay ok\nkafka failing: no broker\n");

  const Answer json = request(server.port(), "GET /readyz", "Accept: application/json\r\n");
  EXPECT_EQ(json.status, 503);
  EXPECT_EQ(nlohmann::json::parse(json.body),
            nlohmann::json::parse(R"({"ok":false,"checks":[{"name":"relay","ok":true,"detail":""},
                                     {"name":"kafka","ok":false,"detail":"no\nbroker"}]})"));

  const Answer metrics = request(server.port(), "GET /metrics");
  EXPECT_EQ(metrics.status, 200);
  EXPECT_EQ(metrics.body, "up 1\n");
  EXPECT_NE(metrics.head.find("Content-Type: text/plain; version=0.0.4; charset=utf-8"),
            std::string::npos);

  const Answer index = request(server.port(), "GET /");
  EXPECT_EQ(index.status, 200);
  EXPECT_NE(index.body.find("relevo &lt;1&gt;"), std::string::npos);
  for (const char* link : {"/livez", "/readyz", "/metrics"})
    EXPECT_NE(index.body.find(link), std::string::npos);
}

TEST(HttpServer, AnswersOddRequestsWithoutHarm) {
  HttpServer server("127.0.0.1:0", endpoints());
  server.start();
  const std::vector<std::pair<std::string, int>> cases{
      {"GET /healthz", 404},       {"GET /livez/", 404}, {"GET /../etc/passwd", 404},
      {"POST /livez", 405},        {"DELETE /", 405},    {"HEAD /livez", 200},
      {"GET /livez?verbose", 200}, {"BREW /livez", 400}, {"GET /" + std::string(20'000, 'a'), 414}};
  for (const auto& [line, status] : cases) {
    const Answer answer = request(server.port(), line);
    EXPECT_EQ(answer.status, status) << line.substr(0, 40) << "\n" << answer.head;
  }
  EXPECT_NE(request(server.port(), "GET /nowhere").body.find("/readyz"), std::string::npos);
  EXPECT_EQ(request(server.port(), "POST /livez", "Content-Length: 99999999999\r\n").status, 405);
  { Connection(server.port()).send(std::string(100'000, '\0')); }
  EXPECT_EQ(request(server.port(), "GET /livez").status, 200);
}

TEST(HttpServer, DoesNotShowWhatAnEndpointThrew) {
  Endpoints given = endpoints();
  given.live = []() -> Health { throw std::runtime_error("hunter2"); };
  given.metrics = []() -> std::string { throw 42; };
  HttpServer server("127.0.0.1:0", given);
  server.start();
  for (const char* line : {"GET /livez", "GET /metrics"}) {
    const Answer answer = request(server.port(), line);
    EXPECT_EQ(answer.status, 500);
    EXPECT_EQ((answer.head + answer.body).find("hunter2"), std::string::npos) << answer.head;
  }
  EXPECT_EQ(request(server.port(), "GET /readyz").status, 200);
}

TEST(HttpServer, IdleConnectionsDoNotHoldUpAProbe) {
  HttpServer server("127.0.0.1:0", endpoints());
  server.start();
  std::vector<std::unique_ptr<Connection>> kept;
  for (int i = 0; i < 8; ++i) {
    kept.push_back(std::make_unique<Connection>(server.port()));
    kept.back()->send("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_NE(kept.back()->read_all().find("200"), std::string::npos);
  }
  EXPECT_EQ(request(server.port(), "GET /livez").status, 200);
}

void expect_refused(const std::string& listen, const std::string& reason) {
  HttpServer server(listen, endpoints());
  try {
    server.start();
    FAIL() << listen;
  } catch (const core::IntegrationError& e) {
    EXPECT_EQ(e.kind(), core::ErrorKind::kMisconfigured);
    EXPECT_EQ(e.operation(), "http.listen");
    EXPECT_NE(e.detail().find(reason), std::string::npos) << e.detail();
  }
  EXPECT_EQ(server.port(), 0);
  server.stop();
}

TEST(HttpServer, SaysWhyItCannotListen) {
  HttpServer first("127.0.0.1:0", endpoints());
  first.start();
  const std::string taken = "127.0.0.1:" + std::to_string(first.port());
  expect_refused(taken, taken + " is in use;");
  expect_refused("192.0.2.1:0", "192.0.2.1:0 is not an address of this machine");
  expect_refused("no.such.host.invalid:1", "cannot be resolved");
  expect_refused("localhost", "must be host:port");
}

TEST(HttpServer, StopsTwiceBeforeStartAndStartsAgainOnTheSamePort) {
  HttpServer server("127.0.0.1:0", endpoints());
  server.stop();
  server.start();
  server.start();
  const std::uint16_t port = server.port();
  EXPECT_EQ(request(port, "GET /livez").status, 200);
  server.stop();
  server.stop();
  EXPECT_EQ(server.port(), 0);
  EXPECT_FALSE(Connection(port).connected());

  HttpServer again("127.0.0.1:" + std::to_string(port), endpoints());
  for (int i = 0; i < 20; ++i) {
    again.start();
    EXPECT_EQ(again.port(), port);
    again.stop();
  }
  again.start();
  EXPECT_EQ(request(port, "GET /livez").status, 200);
}

TEST(HttpServer, StopsWhileClientsAreConnected) {
  HttpServer server("127.0.0.1:0", endpoints());
  server.start();
  const std::uint16_t port = server.port();
  Connection silent(port);
  Connection half(port);
  half.send("GET /livez HT");
  std::atomic<bool> done = false;
  std::thread client([&] {
    while (!done) Connection(port).send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  });
  const auto begin = std::chrono::steady_clock::now();
  server.stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  done = true;
  client.join();
}

}  // namespace
}  // namespace relevo::http
