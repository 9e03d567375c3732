// Renews leases on a thread and a connection of its own, so that a slow batch never costs a lease,
// and tells until when each may be trusted: start of the last successful renewal + time to live -
// margin, by a clock that counts on through suspend. Also keeps the list of living replicas fresh,
// so that the slices of one that leaves are taken within a second.
//
// hold(), drop(), trusted() and alive() may be called from any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/core/heartbeat.hpp"
#include "relevo/core/log.hpp"
#include "relevo/core/outage.hpp"
#include "relevo/core/service.hpp"
#include "relevo/feed/position_store.hpp"

namespace relevo::feed {

class LeaseKeeper final : public core::Service {
 public:
  using Connect = std::function<std::unique_ptr<LeaseStore>()>;  // throws core::IntegrationError

  LeaseKeeper(std::string holder, std::chrono::milliseconds ttl, Connect connect, core::Log& log,
              const core::Clock& clock);
  ~LeaseKeeper() override;

  std::string_view name() const override { return "leases"; }
  void start() override;
  // Ends the thread and says that this replica has gone; leases are released by who holds them.
  void stop() override;

  const std::string& holder() const { return holder_; }
  std::chrono::milliseconds ttl() const { return ttl_; }

  // taken: when the statement that took the leases was sent.
  void hold(std::span<const Held> slices, core::BootTime taken);
  void drop(Slice slice);
  // Until when work for this slice may go out; a time in the past when it was lost.
  core::BootTime trusted_until(Slice slice) const;
  // Living replicas as last seen; empty until the first look.
  std::vector<std::string> alive() const;
  // Whether the last round reached the database.
  bool connected() const;

  const core::Heartbeat& heartbeat() const { return heartbeat_; }

 private:
  struct Entry {
    std::int64_t epoch = 0;
    core::BootTime until{};
  };

  void run();
  void look(LeaseStore& store);
  void renew(LeaseStore& store);
  core::BootTime trust_from(core::BootTime asked) const;

  const std::string holder_;
  const std::chrono::milliseconds ttl_;
  const Connect connect_;
  core::Log& log_;
  const core::Clock& clock_;
  core::Outage outage_;
  core::Heartbeat heartbeat_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::map<Slice, Entry> entries_;
  std::vector<std::string> alive_;
  bool connected_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace relevo::feed
