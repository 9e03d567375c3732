// Logs a dependency's outage on its edges: once when it starts, once when it ends, with its length;
// attempts in between are silent. One owner, one thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "relevo/core/clock.hpp"
#include "relevo/core/log.hpp"

namespace relevo::core {

class Outage {
 public:
  // subject: "postgres", "kafka". Borrows log and clock for its life.
  Outage(std::string subject, Log& log, const Clock& clock)
      : subject_(std::move(subject)), log_(log), clock_(clock) {}

  void failed(std::string_view reason);  // the first reason is the one that is logged
  void recovered();
  bool ongoing() const { return since_.has_value(); }

 private:
  std::string subject_;
  Log& log_;
  const Clock& clock_;
  std::optional<BootTime> since_;
};

}  // namespace relevo::core
