#include "relevo/postgres/statement_names.hpp"

#include "statements.hpp"

namespace relevo::postgres {

std::span<const std::string_view> statement_names() { return statements::kNames; }

}  // namespace relevo::postgres
