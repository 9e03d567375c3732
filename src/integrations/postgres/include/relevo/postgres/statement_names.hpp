// The names of all statements, for metrics that should exist before the first of them has run.
#pragma once

#include <span>
#include <string_view>

namespace relevo::postgres {

std::span<const std::string_view> statement_names();

}  // namespace relevo::postgres
