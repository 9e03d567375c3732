// Port: position rows with their leases. Slices are shared out by these rows alone; time is the
// database's. Each call is one transaction; throws core::IntegrationError. Not thread-safe: one
// store has one connection.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "relevo/feed/position.hpp"

namespace relevo::feed {

struct Lease {
  Slice slice = 0;
  std::int64_t epoch = 0;
};

struct PositionRow {
  Held held;
  std::string holder;  // empty: nobody
  bool expired = true;
};

class PositionStore {
 public:
  virtual ~PositionStore() = default;

  // Takes up to `most` slices whose lease has lapsed; raises their epoch in the same statement that
  // reads their position.
  virtual std::vector<Held> take(const std::string& holder, std::chrono::milliseconds ttl,
                                 int most) = 0;

  // Writes `held.position` where epoch and version still match; returns the slices written, whose
  // version is one higher now.
  virtual std::vector<Slice> save(std::span<const Held> positions) = 0;

  // Gives slices back at once. Those already taken by somebody else are left alone.
  virtual void release(const std::string& holder, std::span<const Lease> leases) = 0;

  virtual std::vector<PositionRow> read() = 0;
};

// Port for the renewing thread; its own connection. Not thread-safe.
class LeaseStore {
 public:
  virtual ~LeaseStore() = default;

  // Slices whose lease was extended; a missing one is lost.
  virtual std::vector<Slice> renew(const std::string& holder, std::span<const Lease> leases,
                                   std::chrono::milliseconds ttl) = 0;

  // Says that this replica lives.
  virtual void heartbeat(const std::string& holder, std::chrono::milliseconds ttl) = 0;
  // All replicas that said so within the time, in one fixed order.
  virtual std::vector<std::string> alive(std::chrono::milliseconds ttl) = 0;

  virtual void leave(const std::string& holder) = 0;  // this replica ends
};

}  // namespace relevo::feed
