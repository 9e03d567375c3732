// What an answer over HTTP means for the job or message it is about. Pure. The table stands in
// docs/handlers.md.
#pragma once

#include <chrono>
#include <optional>

#include "relevo/core/clock.hpp"
#include "relevo/webhook/http_client.hpp"
#include "relevo/worker/circuit_breaker.hpp"
#include "relevo/worker/outcome.hpp"

namespace relevo::webhook {

// Whose fault a failure can be.
enum class Trouble {
  kNone,
  kAway,    // the endpoint's: no connection came about, or it said that it has too much to do
  kBroken,  // the endpoint's or the request's: it may be what made the endpoint fall over
  kError,   // an error of the code behind it
};

struct Meaning {
  worker::Outcome outcome;  // as long as the circuit breaker is closed
  Trouble trouble = Trouble::kNone;
  std::optional<std::chrono::milliseconds> wait;  // what the endpoint asked for
  worker::CircuitBreaker::Result result = worker::CircuitBreaker::Result::kSuccess;
};

Meaning meaning_of(const HttpAnswer& answer, core::WallTime now);

}  // namespace relevo::webhook
