// A context to learn from and to try things with: docs/handlers.md walks through it.
#pragma once

#include "relevo/worker/registry.hpp"

namespace relevo::samples {

void register_handlers(worker::Registry& registry);

}  // namespace relevo::samples
