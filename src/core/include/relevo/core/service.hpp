// Life cycle of whatever has threads. start() returns when ready or throws; stop() blocks until the
// last thread has ended, may be called twice and before start. The daemon starts services in order
// and stops them in reverse.
#pragma once

#include <string_view>

namespace relevo::core {

class Service {
 public:
  virtual ~Service() = default;
  virtual std::string_view name() const = 0;
  virtual void start() = 0;
  virtual void stop() = 0;
};

}  // namespace relevo::core
