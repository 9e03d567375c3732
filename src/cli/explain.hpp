// From a fault of PostgreSQL or Kafka to what a person reads and the exit code.
#pragma once

#include <string>

#include "relevo/core/error.hpp"

namespace relevo::cli {

// What to do about it, e.g. "run `relevo migrate`"; empty when the error says so itself.
std::string advice(const core::IntegrationError& error);
// A member of another role asked for what this one may not see.
bool is_not_permitted(const core::IntegrationError& error);
// "operation: detail; advice".
std::string explain(const core::IntegrationError& error);

int exit_code_of(const core::IntegrationError& error);

}  // namespace relevo::cli
