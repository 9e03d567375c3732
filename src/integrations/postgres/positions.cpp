#include "relevo/postgres/positions.hpp"

#include "statements.hpp"

namespace relevo::postgres {
namespace {

feed::Tick tick_of(const Result& result, int row) {
  return {result.int8(row, 0), result.int8(row, 1), feed::Snapshot::parse(result.text(row, 2))};
}

struct LeaseColumns {
  std::vector<feed::Slice> shards;
  std::vector<std::int64_t> epochs;

  explicit LeaseColumns(std::span<const feed::Lease> leases) {
    for (const auto& lease : leases) {
      shards.push_back(lease.slice);
      epochs.push_back(lease.epoch);
    }
  }
};

std::vector<feed::Slice> slices_of(const Result& result) {
  std::vector<feed::Slice> slices;
  for (int i = 0; i < result.rows(); ++i) {
    slices.push_back(static_cast<feed::Slice>(result.int2(i, 0)));
  }
  return slices;
}

}  // namespace

std::string TickSource::probe() { return connection_->run(statements::kProbe).string(0, 0); }

std::optional<feed::Tick> TickSource::next_tick() {
  const auto result = connection_->run(statements::kNextTick);
  if (result.rows() == 0 || result.is_null(0, 0)) return std::nullopt;
  return tick_of(result, 0);
}

std::vector<feed::Tick> TickSource::find_ticks(std::span<const feed::TickId> ids) {
  const auto result = connection_->run(statements::kTickByIds, Params().add_array(ids));
  std::vector<feed::Tick> ticks;
  for (int i = 0; i < result.rows(); ++i) ticks.push_back(tick_of(result, i));
  return ticks;
}

std::vector<feed::Held> PositionStore::take(const std::string& holder,
                                            std::chrono::milliseconds ttl, int most) {
  const auto result = connection_->run(
      statements::kTake,
      Params().add(holder).add(ttl).add(std::int64_t{most}).add(std::int64_t{shards_}));
  std::vector<feed::Held> taken;
  for (int i = 0; i < result.rows(); ++i) {
    taken.push_back({static_cast<feed::Slice>(result.int2(i, 0)),
                     result.int8(i, 1),
                     result.int8(i, 2),
                     {result.int8(i, 3), result.int8(i, 4), result.int8(i, 5), result.int8(i, 6)}});
  }
  return taken;
}

std::vector<feed::Slice> PositionStore::save(std::span<const feed::Held> positions) {
  std::vector<feed::Slice> shards;
  std::vector<std::int64_t> epochs, versions, as, bs, last_ids, fingerprints;
  for (const auto& held : positions) {
    shards.push_back(held.slice);
    epochs.push_back(held.epoch);
    versions.push_back(held.version);
    as.push_back(held.position.a);
    bs.push_back(held.position.b);
    last_ids.push_back(held.position.last_id);
    fingerprints.push_back(held.position.fingerprint);
  }
  return slices_of(connection_->run(statements::kSave, Params()
                                                           .add_array(shards)
                                                           .add_array(epochs)
                                                           .add_array(versions)
                                                           .add_array(as)
                                                           .add_array(bs)
                                                           .add_array(last_ids)
                                                           .add_array(fingerprints)));
}

void PositionStore::release(const std::string& holder, std::span<const feed::Lease> leases) {
  if (leases.empty()) return;
  const LeaseColumns columns(leases);
  connection_->run(statements::kRelease,
                   Params().add_array(columns.shards).add_array(columns.epochs).add(holder));
}

std::vector<feed::PositionRow> PositionStore::read() {
  const auto result = connection_->run(statements::kPositions);
  std::vector<feed::PositionRow> rows;
  for (int i = 0; i < result.rows(); ++i) {
    rows.push_back({{static_cast<feed::Slice>(result.int2(i, 0)),
                     result.int8(i, 3),
                     result.int8(i, 5),
                     {result.int8(i, 6), result.int8(i, 7), result.int8(i, 8), result.int8(i, 9)}},
                    result.is_null(i, 2) ? std::string() : result.string(i, 2),
                    !result.boolean(i, 4)});
  }
  return rows;
}

std::vector<feed::Slice> LeaseStore::renew(const std::string& holder,
                                           std::span<const feed::Lease> leases,
                                           std::chrono::milliseconds ttl) {
  const LeaseColumns columns(leases);
  return slices_of(connection_.run(
      leased_ == Leased::kLanes ? statements::kLaneRenew : statements::kRenew,
      Params().add_array(columns.shards).add_array(columns.epochs).add(holder).add(ttl)));
}

void LeaseStore::heartbeat(const std::string& holder, std::chrono::milliseconds ttl) {
  connection_.run(
      statements::kHeartbeat,
      Params().add(holder).add(info_.version).add(info_.host).add(info_.roles).add(ttl));
}

std::vector<std::string> LeaseStore::alive(std::chrono::milliseconds ttl) {
  const auto result =
      connection_.run(statements::kReplicasAlive,
                      Params().add(ttl).add(leased_ == Leased::kLanes ? "worker" : "relay"));
  std::vector<std::string> alive;
  for (int i = 0; i < result.rows(); ++i) alive.push_back(result.string(i, 0));
  return alive;
}

void LeaseStore::leave(const std::string& holder) {
  connection_.run(statements::kReplicaGone, Params().add(holder));
}

}  // namespace relevo::postgres
