#include "relevo/core/error.hpp"

#include <utility>

namespace relevo::core {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kDisconnected: return "disconnected";
    case ErrorKind::kOverloaded: return "overloaded";
    case ErrorKind::kRejected: return "rejected";
    case ErrorKind::kConflict: return "conflict";
    case ErrorKind::kMisconfigured: return "misconfigured";
  }
  return "unknown";
}

IntegrationError::IntegrationError(ErrorKind kind, std::string operation, std::string detail)
    : std::runtime_error(operation + ": " + detail),
      kind_(kind),
      operation_(std::move(operation)),
      detail_(std::move(detail)) {}

}  // namespace relevo::core
