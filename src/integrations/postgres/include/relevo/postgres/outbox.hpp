// Reading the outbox: windows and pages for the relay, in binary form, as views into libpq's
// memory.
#pragma once

#include <memory>

#include "relevo/feed/window_reader.hpp"
#include "relevo/postgres/connection.hpp"
#include "relevo/relay/outbox_rows.hpp"

namespace relevo::postgres {

class OutboxSource final : public feed::WindowSource<relay::OutboxRows> {
 public:
  // shards: their number, a power of two; rows hash to shards by it.
  OutboxSource(std::shared_ptr<Connection> connection, int shards)
      : connection_(std::move(connection)), mask_(shards - 1) {}

  std::optional<relay::OutboxRows> small_window(const feed::Tick& a, const feed::Tick& b,
                                                feed::RowId after,
                                                std::span<const feed::Slice> slices) override;
  feed::RowId lower_bound(const feed::Tick& a, const feed::Tick& b) override;
  void request_page(const feed::Tick& a, const feed::Tick& b, feed::RowId after,
                    std::span<const feed::Slice> slices) override;
  feed::Page<relay::OutboxRows> receive_page() override;

 private:
  std::shared_ptr<Connection> connection_;
  const std::int64_t mask_;
};

class PayloadSource final : public relay::PayloadSource {
 public:
  explicit PayloadSource(std::shared_ptr<Connection> connection)
      : connection_(std::move(connection)) {}

  std::vector<std::pair<feed::RowId, std::string>> payloads(
      std::span<const feed::RowId> ids) override;

 private:
  std::shared_ptr<Connection> connection_;
};

}  // namespace relevo::postgres
