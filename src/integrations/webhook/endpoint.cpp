#include "relevo/webhook/endpoint.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "relevo/core/invariant.hpp"

namespace relevo::webhook {
namespace {

using std::chrono::milliseconds;
using worker::CircuitBreaker;

// In the order of the members, so that the first problem is told.
std::string checked_url(const EndpointOptions& options) {
  try {
    check_url(options.url, options.allow_private);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument("endpoint " + options.name + ": url: " + error.what());
  }
  return options.url;
}

std::optional<SigningKey> key_of(const EndpointOptions& options) {
  if (!options.secret) return std::nullopt;
  try {
    return SigningKey(*options.secret);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument("endpoint " + options.name + ": secret: " + error.what());
  }
}

std::string code_of(const HttpAnswer& answer) {
  return answer.failure == HttpFailure::kNone ? std::to_string(answer.status)
                                              : std::string(to_string(answer.failure));
}

}  // namespace

HttpEndpoint::HttpEndpoint(const EndpointOptions& options, HttpClient& client,
                           EndpointMetrics& metrics, core::Log& log, const core::Clock& clock)
    : name_(options.name),
      url_(checked_url(options)),
      timeout_(options.timeout),
      concurrency_(options.concurrency),
      allow_private_(options.allow_private),
      key_(key_of(options)),
      client_(client),
      metrics_(metrics),
      clock_(clock),
      breaker_(options.breaker),
      outage_("handler " + options.name, log, clock) {
  if (concurrency_ == 0) {
    throw std::invalid_argument("endpoint " + name_ + ": concurrency: must be at least 1");
  }
  metrics_.breaker_changed(name_, told_);
}

HttpEndpoint::~HttpEndpoint() {
  RELEVO_INVARIANT(running_.empty(), "the client stops before its endpoints go");
}

std::size_t HttpEndpoint::room() const {
  const std::lock_guard lock(mutex_);
  return free_calls();
}

bool HttpEndpoint::probes() const {
  const std::lock_guard lock(mutex_);
  return breaker_.state(clock_.now()) == CircuitBreaker::State::kHalfOpen;
}

// Under the lock. A half-open breaker finds a free place: that of the call which opened it.
std::size_t HttpEndpoint::free_calls() const {
  tell_state();
  const auto now = clock_.now();
  if (!breaker_.admits(now)) return 0;
  return breaker_.state(now) == CircuitBreaker::State::kClosed ? concurrency_ - running_.size() : 1;
}

bool HttpEndpoint::start(HttpCall call, Finished finished) {
  std::uint64_t number = 0;
  std::optional<CircuitBreaker::Permit> permit;
  {
    const std::lock_guard lock(mutex_);
    if (free_calls() == 0) return false;
    permit = breaker_.admit(clock_.now());
    number = ++last_number_;
    running_.emplace(number, Running{call.id, 0, false});
  }
  // Not under the lock: a client that has stopped answers at once.
  const auto ticket =
      client_.send(request_of(std::move(call)),
                   [this, number, permit = *permit, finished = std::move(finished)](
                       const HttpAnswer& answer) { answered(number, permit, answer, finished); });
  const std::lock_guard lock(mutex_);
  const auto running = running_.find(number);
  if (running == running_.end()) return true;
  running->second.ticket = ticket;
  if (running->second.abandoned) client_.cancel(ticket);
  return true;
}

void HttpEndpoint::abandon(std::string_view id) {
  const std::lock_guard lock(mutex_);
  for (auto& [number, running] : running_) {
    if (running.id != id) continue;
    running.abandoned = true;
    if (running.ticket != 0) client_.cancel(running.ticket);
  }
}

milliseconds HttpEndpoint::pause() {
  const std::lock_guard lock(mutex_);
  return breaker_.pause(clock_.now());
}

bool HttpEndpoint::wait_for_room(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const auto open = [this] { return breaker_.state(clock_.now()) == CircuitBreaker::State::kOpen; };
  freed_.wait(lock, stop, [&] { return free_calls() > 0 || open(); });
  return !stop.stop_requested() && !open();
}

HttpRequest HttpEndpoint::request_of(HttpCall call) const {
  HttpRequest request;
  request.url = url_;
  request.timeout = std::min(timeout_, call.timeout);
  request.allow_private = allow_private_;
  const auto now = timestamp(clock_.wall());
  request.headers = {"content-type: " + call.content_type,
                     "accept: application/json",
                     "accept-encoding: identity",
                     "webhook-id: " + call.id,
                     "webhook-timestamp: " + now,
                     "expect:"};  // libcurl would wait for leave to send a larger body
  if (key_) {
    request.headers.push_back("webhook-signature: " + sign(*key_, call.id, now, call.body));
  }
  request.headers.insert(request.headers.end(), std::make_move_iterator(call.headers.begin()),
                         std::make_move_iterator(call.headers.end()));
  request.body = std::move(call.body);
  return request;
}

void HttpEndpoint::answered(std::uint64_t number, CircuitBreaker::Permit permit,
                            const HttpAnswer& answer, const Finished& finished) {
  metrics_.http_finished(name_, code_of(answer), answer.duration);
  std::optional<worker::Outcome> outcome;
  {
    const std::lock_guard lock(mutex_);
    running_.erase(number);
    outcome = judge(permit, answer);
    freed_.notify_all();
  }
  finished(std::move(*outcome));
}

// A call burns an attempt only if its request may be what went wrong: not when others had found the
// endpoint down before it ended, nor when it was the probe and nobody read it.
worker::Outcome HttpEndpoint::judge(CircuitBreaker::Permit permit, const HttpAnswer& answer) {
  const auto now = clock_.now();
  const auto before = breaker_.state(now);
  auto meaning = meaning_of(answer, clock_.wall());
  const bool known_to_be_down = before != CircuitBreaker::State::kClosed && !permit.probe;
  breaker_.finished(permit, meaning.result, now, meaning.wait);
  tell_state();
  if (const auto* retry = std::get_if<worker::Retry>(&meaning.outcome)) {
    log_outage(before, retry->reason);
  } else {
    log_outage(before, {});
  }
  if (meaning.trouble == Trouble::kAway ? known_to_be_down || permit.probe
                                        : meaning.trouble == Trouble::kBroken && known_to_be_down) {
    return worker::snooze(std::max(breaker_.pause(now), meaning.wait.value_or(milliseconds(0))));
  }
  return std::move(meaning.outcome);
}

void HttpEndpoint::log_outage(CircuitBreaker::State before, std::string_view reason) {
  const auto after = breaker_.state(clock_.now());
  if (after == before) return;
  if (after == CircuitBreaker::State::kOpen) outage_.failed(reason);
  if (after == CircuitBreaker::State::kClosed) outage_.recovered();
}

// Under the lock.
void HttpEndpoint::tell_state() const {
  const auto state = breaker_.state(clock_.now());
  if (state == told_) return;
  told_ = state;
  metrics_.breaker_changed(name_, state);
}

}  // namespace relevo::webhook
