#include "relevo/http/http_server.hpp"

#include <httplib.h>
#include <chrono>
#include <future>
#include <thread>
#include <utility>

#include "bind_check.hpp"
#include "pages.hpp"
#include "relevo/config/listen_address.hpp"
#include "relevo/core/error.hpp"

namespace relevo::http {

namespace {

using namespace std::chrono_literals;

constexpr const char* kText = "text/plain; charset=utf-8";
constexpr const char* kHint = "not found; there are /livez, /readyz and /metrics\n";
// One for Prometheus, the others so that a probe gets through while somebody holds a connection.
constexpr std::size_t kThreads = 4;

core::IntegrationError misconfigured(std::string detail) {
  return {core::ErrorKind::kMisconfigured, "http.listen", std::move(detail)};
}

void answer(const std::function<Health()>& probe, const httplib::Request& request,
            httplib::Response& response) {
  const Health health = probe();
  response.status = health.ok() ? 200 : 503;
  if (request.get_header_value("Accept").find("application/json") != std::string::npos) {
    response.set_content(health_json(health), "application/json");
  } else {
    response.set_content(health_text(health), kText);
  }
}

}  // namespace

// The listening server and its thread, from a successful start to the stop.
class HttpServer::Running {
 public:
  Running(const std::string& listen, const Endpoints& endpoints) {
    const auto address = config::parse_listen_address(listen);
    if (!address) throw misconfigured("must be host:port, as in 0.0.0.0:9464 or [::1]:0");
    set_limits();
    set_routes(endpoints);
    bind(*address);
    listen_in_thread();
  }

  ~Running() {
    server_.stop();
    thread_.join();
  }

  std::uint16_t port() const { return port_; }

 private:
  // The library's defaults are long or without limit, and differ between its versions.
  void set_limits() {
    server_.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    server_.set_keep_alive_max_count(1);
    server_.set_keep_alive_timeout(1);
    server_.set_read_timeout(1s);
    server_.set_write_timeout(5s);
    server_.set_payload_max_length(4'096);
    // Its own choice is SO_REUSEPORT, with which two processes share a port without noticing.
    server_.set_socket_options([](socket_t socket) {
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    server_.set_default_headers(
        {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}});
  }

  void set_routes(const Endpoints& endpoints) {
    server_.Get("/livez", [&endpoints](const auto& request, auto& response) {
      answer(endpoints.live, request, response);
    });
    server_.Get("/readyz", [&endpoints](const auto& request, auto& response) {
      answer(endpoints.ready, request, response);
    });
    server_.Get("/metrics", [&endpoints](const auto&, auto& response) {
      response.set_content(endpoints.metrics(), "text/plain; version=0.0.4; charset=utf-8");
    });
    server_.Get("/", [&endpoints](const auto&, auto& response) {
      response.set_content(index_html(endpoints.title), "text/html; charset=utf-8");
    });
    server_.set_pre_routing_handler([](const auto& request, auto& response) {
      if (request.method == "GET" || request.method == "HEAD")
        return httplib::Server::HandlerResponse::Unhandled;
      response.status = 405;
      response.set_header("Allow", "GET, HEAD");
      response.set_content("only GET and HEAD\n", kText);
      return httplib::Server::HandlerResponse::Handled;
    });
    server_.set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (response.status == 404) response.set_content(kHint, kText);
    });
    // Without one the library sends what() to the client.
    server_.set_exception_handler(
        [](const httplib::Request&, httplib::Response& response, const std::exception_ptr&) {
          response.status = 500;
          response.set_content("internal error\n", kText);
        });
  }

  void bind(const config::ListenAddress& address) {
    require_bindable(address);
    const int bound = address.port == 0 ? server_.bind_to_any_port(address.host)
                      : server_.bind_to_port(address.host, address.port) ? address.port
                                                                         : -1;
    if (bound <= 0)
      throw misconfigured(address.host + ":" + std::to_string(address.port) +
                          " cannot be listened on");
    port_ = static_cast<std::uint16_t>(bound);
  }

  // A stop() before the loop runs would be lost, so wait until it does.
  void listen_in_thread() {
    std::promise<void> ended;
    const auto end = ended.get_future();
    thread_ = std::thread([this, promise = std::move(ended)]() mutable {
      server_.listen_after_bind();
      promise.set_value();
    });
    while (!server_.is_running()) {
      if (end.wait_for(1ms) != std::future_status::ready) continue;
      thread_.join();
      throw misconfigured("the server ended as soon as it had started");
    }
  }

  httplib::Server server_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

HttpServer::HttpServer(std::string listen, Endpoints endpoints)
    : listen_(std::move(listen)), endpoints_(std::move(endpoints)) {}

HttpServer::~HttpServer() { stop(); }

void HttpServer::start() {
  const std::lock_guard lock(mutex_);
  if (!running_) running_ = std::make_unique<Running>(listen_, endpoints_);
}

void HttpServer::stop() {
  const std::lock_guard lock(mutex_);
  running_.reset();
}

std::uint16_t HttpServer::port() const {
  const std::lock_guard lock(mutex_);
  return running_ ? running_->port() : std::uint16_t{0};
}

}  // namespace relevo::http
