// Ticks, positions and leases in PostgreSQL: the ports of src/feed over the tables relevo.tick,
// relevo.position and relevo.replica. Each object owns or borrows one connection; errors as
// Connection.
#pragma once

#include <memory>
#include <string>

#include "relevo/feed/position_store.hpp"
#include "relevo/feed/ticker.hpp"
#include "relevo/postgres/connection.hpp"

namespace relevo::postgres {

// connection: shared with the reader of the same session, which receives its page before a look.
class TickSource final : public feed::TickSource {
 public:
  explicit TickSource(std::shared_ptr<Connection> connection)
      : connection_(std::move(connection)) {}

  std::string probe() override;
  std::optional<feed::Tick> next_tick() override;
  std::vector<feed::Tick> find_ticks(std::span<const feed::TickId> ids) override;

 private:
  std::shared_ptr<Connection> connection_;
};

// connection: shared with DeadEvents and payloads of the same session.
class PositionStore final : public feed::PositionStore {
 public:
  // shards: their number as configured; a table with another number gives none away.
  PositionStore(std::shared_ptr<Connection> connection, int shards)
      : connection_(std::move(connection)), shards_(shards) {}

  std::vector<feed::Held> take(const std::string& holder, std::chrono::milliseconds ttl,
                               int most) override;
  std::vector<feed::Slice> save(std::span<const feed::Held> positions) override;
  void release(const std::string& holder, std::span<const feed::Lease> leases) override;
  std::vector<feed::PositionRow> read() override;

 private:
  std::shared_ptr<Connection> connection_;
  const int shards_;
};

// What a replica says about itself in relevo.replica.
struct ReplicaInfo {
  std::string version;
  std::string host;
  std::string roles;
};

// What is leased: shards of the outbox or lanes of the jobs. They are shared out among the replicas
// that have the role.
enum class Leased { kShards, kLanes };

class LeaseStore final : public feed::LeaseStore {
 public:
  LeaseStore(const ConnectOptions& options, ReplicaInfo info, Leased leased = Leased::kShards)
      : connection_(options), info_(std::move(info)), leased_(leased) {}

  std::vector<feed::Slice> renew(const std::string& holder, std::span<const feed::Lease> leases,
                                 std::chrono::milliseconds ttl) override;
  void heartbeat(const std::string& holder, std::chrono::milliseconds ttl) override;
  std::vector<std::string> alive(std::chrono::milliseconds ttl) override;
  void leave(const std::string& holder) override;

 private:
  Connection connection_;
  ReplicaInfo info_;
  const Leased leased_;
};

}  // namespace relevo::postgres
