// Where the work of one entry of the configuration (a handler or a subscription) is sent: the URL,
// its signing key, how many calls it takes at once, and its circuit breaker. Thread-safe. Borrows
// what it is given; the client is stopped before an endpoint goes.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/core/log.hpp"
#include "relevo/core/outage.hpp"
#include "relevo/webhook/answer.hpp"
#include "relevo/webhook/http_client.hpp"
#include "relevo/webhook/signature.hpp"
#include "relevo/worker/circuit_breaker.hpp"
#include "relevo/worker/outcome.hpp"

namespace relevo::webhook {

// Port: what endpoints tell about themselves. Implementations are thread-safe, do not block and
// never throw.
class EndpointMetrics {
 public:
  virtual ~EndpointMetrics() = default;

  // code: the status, or address_refused, resolve, connect, tls, timeout, reset, protocol, given_up
  virtual void http_finished(std::string_view endpoint, std::string_view code,
                             std::chrono::microseconds duration) = 0;
  // Told at each change, and once at the beginning; half-open when the first call asks for room.
  virtual void breaker_changed(std::string_view endpoint, worker::CircuitBreaker::State state) = 0;
};

struct EndpointOptions {
  std::string name;  // in logs, metrics and errors
  std::string url;
  std::chrono::milliseconds timeout{30'000};
  std::size_t concurrency = 10;       // calls at once
  std::optional<std::string> secret;  // as SigningKey, kept nowhere; none: calls are not signed
  bool allow_private = false;         // plain http, and addresses the internet does not route to
  worker::CircuitBreaker::Options breaker{};
};

// One POST. `headers` are added to those every call has.
struct HttpCall {
  std::string id;  // webhook-id, the same at each attempt; as webhook_id() makes it
  std::vector<std::string> headers;
  std::string content_type = "application/json";
  std::string body;
  std::chrono::milliseconds timeout = std::chrono::milliseconds::max();  // the shorter one counts
};

class HttpEndpoint {
 public:
  using Finished = std::function<void(worker::Outcome)>;

  // Throws std::invalid_argument that names the endpoint and what is wrong with its options.
  HttpEndpoint(const EndpointOptions& options, HttpClient& client, EndpointMetrics& metrics,
               core::Log& log, const core::Clock& clock);
  ~HttpEndpoint();

  const std::string& name() const { return name_; }

  // How many calls it takes now: one while the breaker is half-open, none while it is open.
  std::size_t room() const;

  // Whether the breaker is half-open.
  bool probes() const;

  // False: there is no room; `finished` will not be called. Else it is, exactly once, on the
  // client's thread.
  [[nodiscard]] bool start(HttpCall call, Finished finished);

  // Ends the call of this id, if it is under way; it is then snoozed.
  void abandon(std::string_view id);

  // When to come again after having found no room.
  std::chrono::milliseconds pause();

  // Waits while all calls are taken. False: the breaker is open, or somebody asked to stop.
  bool wait_for_room(const std::stop_token& stop);

  // Calls `work` on the client's thread.
  void post(std::function<void()> work) { client_.post(std::move(work)); }

 private:
  using Breaker = worker::CircuitBreaker;

  struct Running {
    std::string id;
    HttpClient::Ticket ticket = 0;
    bool abandoned = false;
  };

  HttpRequest request_of(HttpCall call) const;
  void answered(std::uint64_t number, Breaker::Permit permit, const HttpAnswer& answer,
                const Finished& finished);
  worker::Outcome judge(Breaker::Permit permit, const HttpAnswer& answer);
  std::size_t free_calls() const;
  void tell_state() const;
  void log_outage(Breaker::State before, std::string_view reason);

  const std::string name_;
  const std::string url_;
  const std::chrono::milliseconds timeout_;
  const std::size_t concurrency_;
  const bool allow_private_;
  const std::optional<SigningKey> key_;
  HttpClient& client_;
  EndpointMetrics& metrics_;
  const core::Clock& clock_;

  mutable std::mutex mutex_;
  std::condition_variable_any freed_;
  Breaker breaker_;
  mutable Breaker::State told_ = Breaker::State::kClosed;
  core::Outage outage_;
  std::map<std::uint64_t, Running> running_;
  std::uint64_t last_number_ = 0;
};

}  // namespace relevo::webhook
