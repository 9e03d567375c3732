#include "relevo/core/outage.hpp"

namespace relevo::core {

void Outage::failed(std::string_view reason) {
  if (since_) return;
  since_ = clock_.now();
  log_.warn("outage", {{"of", subject_}, {"reason", reason}});
}

void Outage::recovered() {
  if (!since_) return;
  const auto lasted = std::chrono::duration<double>(clock_.now() - *since_);
  since_.reset();
  log_.info("outage over", {{"of", subject_}, {"seconds", lasted.count()}});
}

}  // namespace relevo::core
