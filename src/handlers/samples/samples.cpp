#include "relevo/samples/samples.hpp"

#include "orders.hpp"
#include "points.hpp"
#include "welcome.hpp"

namespace relevo::samples {

void register_handlers(worker::Registry& registry) {
  registry.add(Welcome::kKind, std::make_unique<Welcome>(), Welcome::policy());
  registry.add(Points::kKind, std::make_unique<Points>(), Points::policy());
  registry.add_messages(Orders::kName, std::make_unique<Orders>());
}

}  // namespace relevo::samples
