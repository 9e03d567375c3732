// Sends HTTP requests without a thread per request: one thread drives all transfers, and keeps
// connections for the next ones. What comes back is limited in time and size; redirects, cookies,
// compression and the proxy variables of the environment are left alone; certificates are verified.
//
// send(), cancel() and post() may be called from any thread. What they are given is called on the
// client's thread and must neither block nor throw; before start() and after stop() on the
// caller's.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "relevo/core/service.hpp"

namespace relevo::webhook {

struct HttpRequest {
  std::string url;                   // checked by check_url()
  std::vector<std::string> headers;  // "name: value"
  std::string body;
  std::chrono::milliseconds timeout{30'000};  // for everything, from the name to the last byte
  // Else only https, and only addresses the internet routes to. Looked at for each connection:
  // what a name resolves to changes.
  bool allow_private = false;
};

enum class HttpFailure {
  kNone,            // there is an answer, complete but for its body
  kAddressRefused,  // not public
  kResolve,
  kConnect,
  kTls,
  kTimeout,
  kReset,     // the connection ended before the answer was complete
  kProtocol,  // the answer is not HTTP, or its headers are too large
  kGivenUp,   // cancelled, or the client stopped
};

std::string_view to_string(HttpFailure failure);  // as in metrics: address_refused, resolve, …

struct HttpAnswer {
  HttpFailure failure = HttpFailure::kGivenUp;
  bool sent = false;   // the other side may have seen the request
  std::string detail;  // of the failure; no secrets
  int status = 0;
  std::optional<std::string> retry_after;
  std::string body;  // the first kBodyLimit bytes
  bool body_cut = false;
  std::chrono::microseconds duration{};
};

// Throws std::invalid_argument that says what is wrong, without repeating the URL: https (or http,
// where private addresses are allowed), a host, no user name or password.
void check_url(const std::string& url, bool allow_private);

class HttpClient final : public core::Service {
 public:
  using Ticket = std::uint64_t;
  using Answered = std::function<void(HttpAnswer)>;

  static constexpr std::size_t kBodyLimit = 65'536;
  static constexpr std::size_t kHeadLimit = 32'768;

  struct Options {
    std::string ca_file;  // instead of the system's certificates; empty: those
  };

  explicit HttpClient(Options options = {});
  ~HttpClient() override;

  std::string_view name() const override { return "http client"; }
  void start() override;
  // Gives up what is under way.
  void stop() override;

  // `answered` is called exactly once.
  Ticket send(HttpRequest request, Answered answered);
  // The answer says kGivenUp, unless it came first.
  void cancel(Ticket ticket);
  void post(std::function<void()> work);

 private:
  class Loop;

  void put(std::function<void()> work);  // under mutex_
  void run();
  bool work_off();  // false: it is time to end

  const Options options_;
  std::mutex life_;  // start() and stop() one after the other

  std::mutex mutex_;
  std::unique_ptr<Loop> loop_;  // there while the thread is
  bool accepting_ = false;      // the thread will look at inbox_ once more
  std::vector<std::function<void()>> inbox_;
  Ticket last_ticket_ = 0;
  std::thread thread_;
};

}  // namespace relevo::webhook
