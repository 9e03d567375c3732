#include "handler_set.hpp"

#include <stdexcept>

#include "relevo/config/secret_file.hpp"
#include "relevo/core/error.hpp"
#include "relevo/core/invariant.hpp"
#include "relevo/samples/samples.hpp"
#include "relevo/webhook/http_job_handler.hpp"
#include "relevo/webhook/http_message_handler.hpp"
#include "relevo/worker/message_jobs.hpp"

namespace relevo {
namespace {

// The built-in message handlers of a subscription are known by its own name, which no registered
// one can have.
std::string built_in(const std::string& subscription) { return "subscription " + subscription; }

}  // namespace

HandlerSet::HandlerSet(const config::Config& config, webhook::EndpointMetrics& metrics,
                       core::Log& log, const core::Clock& clock)
    : metrics_(metrics), log_(log), clock_(clock) {
  try {
    add_contexts();
    add_http(config);
    add_subscriptions(config);
    apply_policies(config);
  } catch (const std::invalid_argument& error) {
    throw core::IntegrationError(core::ErrorKind::kMisconfigured, "handlers", error.what());
  }
}

HandlerSet::~HandlerSet() { stop(); }

// One line a context.
void HandlerSet::add_contexts() { samples::register_handlers(registry_); }

webhook::HttpEndpoint& HandlerSet::endpoint(const std::string& name,
                                            const config::HttpHandler& http) {
  webhook::EndpointOptions options;
  options.name = name;
  options.url = http.url;
  options.timeout = http.timeout;
  options.concurrency = static_cast<std::size_t>(http.concurrency);
  options.allow_private = http.allow_private;
  if (!http.secret_file.empty()) {
    options.secret = config::read_secret_file(http.secret_file).reveal();
  }
  endpoints_.push_back(
      std::make_unique<webhook::HttpEndpoint>(std::move(options), client_, metrics_, log_, clock_));
  return *endpoints_.back();
}

void HandlerSet::add_http(const config::Config& config) {
  for (const auto& handler : config.handlers) {
    worker::KindPolicy policy;
    policy.timeout = handler.http.timeout;
    registry_.add(handler.kind,
                  std::make_unique<webhook::HttpJobHandler>(endpoint(handler.kind, handler.http)),
                  policy);
  }
}

void HandlerSet::add_subscriptions(const config::Config& config) {
  for (const auto& subscription : config.subscriptions) {
    if (!subscription.enqueue.empty()) {
      registry_.add_messages(built_in(subscription.name),
                             std::make_unique<worker::MessageJobs>(subscription.enqueue));
    } else if (subscription.http) {
      registry_.add_messages(
          built_in(subscription.name),
          std::make_unique<webhook::HttpMessageHandler>(
              endpoint(subscription.name, *subscription.http), subscription.name));
    } else if (!registry_.find_messages(subscription.handler)) {
      throw std::invalid_argument("subscription " + subscription.name + ": handler \"" +
                                  subscription.handler + "\" is not in this program");
    }
  }
}

void HandlerSet::apply_policies(const config::Config& config) {
  for (const auto& kind : config.kinds) {
    const bool done_here = registry_.set_policy(kind.kind, [&](worker::KindPolicy& policy) {
      policy.max_attempts = kind.max_attempts.value_or(policy.max_attempts);
      policy.backoff_base = kind.backoff_base.value_or(policy.backoff_base);
      policy.backoff_cap = kind.backoff_cap.value_or(policy.backoff_cap);
      policy.timeout = kind.timeout.value_or(policy.timeout);
      policy.unique_for = kind.unique_for.value_or(policy.unique_for);
      policy.key_concurrency = kind.key_concurrency.value_or(policy.key_concurrency);
      if (kind.history) {
        policy.history =
            *kind.history == "failures" ? worker::History::kFailures : worker::History::kAll;
      }
    });
    if (!done_here) {
      throw std::invalid_argument("kinds: no handler does \"" + kind.kind +
                                  "\"; correct the name, or add it to `handlers`");
    }
  }
}

worker::MessageHandler& HandlerSet::messages(const config::Subscription& subscription) const {
  const bool registered = !subscription.handler.empty();
  auto* handler =
      registry_.find_messages(registered ? subscription.handler : built_in(subscription.name));
  RELEVO_INVARIANT(handler, "every subscription was given its handler at the start");
  return *handler;
}

void HandlerSet::start() { client_.start(); }
void HandlerSet::stop() { client_.stop(); }

}  // namespace relevo
