// Waits for what was asked of the holders of lanes, and tells how far they are.
#pragma once

#include <cstdint>
#include <optional>

#include "cli/json_text.hpp"
#include "relevo/postgres/job_admin.hpp"

namespace relevo::cli {

// Tells the progress on standard error each second in which there is some, and once when no worker
// seems to be there. Until it is finished, or Ctrl-C: nullopt, it goes on without us.
std::optional<postgres::JobOperation> wait_for(postgres::JobAdmin& admin, std::int64_t operation);

// "cancelled", "released again", "discarded"
const char* past_of(const std::string& what);

Json operation_json(const postgres::JobOperation& operation);

}  // namespace relevo::cli
