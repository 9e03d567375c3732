#include "relevo/postgres/outbox.hpp"

#include <algorithm>
#include <utility>

#include "outbox_columns.hpp"
#include "statements.hpp"

namespace relevo::postgres {
namespace {

// The statements' literal LIMIT: one row more than a page shows that there are more.
constexpr int kPageRows = 2000;

void append(const Result& result, int count, feed::RowId after, relay::OutboxRows& rows,
            EventMemory& memory) {
  memory.results.push_back(result.memory());
  rows.rows.reserve(rows.rows.size() + static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    if (result.int8(i, EventColumns::kId) <= after) continue;
    rows.rows.push_back(decode_event(result, i, memory));
  }
}

}  // namespace

std::optional<relay::OutboxRows> OutboxSource::small_window(const feed::Tick& a,
                                                            const feed::Tick& b, feed::RowId after,
                                                            std::span<const feed::Slice> slices) {
  auto memory = std::make_shared<EventMemory>();
  relay::OutboxRows rows;
  const auto fresh = connection_->run(statements::kSmallWindow,
                                      Params()
                                          .add(static_cast<std::int64_t>(a.snapshot.xmax()))
                                          .add(static_cast<std::int64_t>(b.snapshot.xmax()))
                                          .add(b.snapshot.text())
                                          .add(mask_)
                                          .add_array(slices));
  if (fresh.rows() > kPageRows) return std::nullopt;
  append(fresh, fresh.rows(), after, rows, *memory);
  if (const auto late = feed::late_xids(a.snapshot, b.snapshot); !late.empty()) {
    const auto found = connection_->run(
        statements::kSmallWindowLate,
        Params().add_array(std::span<const feed::Xid>(late)).add(mask_).add_array(slices));
    if (fresh.rows() + found.rows() > kPageRows) return std::nullopt;
    append(found, found.rows(), after, rows, *memory);
  }
  std::sort(rows.rows.begin(), rows.rows.end(),
            [](const auto& x, const auto& y) { return x.id < y.id; });
  rows.memory = std::move(memory);
  return rows;
}

feed::RowId OutboxSource::lower_bound(const feed::Tick& a, const feed::Tick& b) {
  const auto late = feed::late_xids(a.snapshot, b.snapshot);
  const auto found = connection_->run(statements::kWindowStart,
                                      Params()
                                          .add(static_cast<std::int64_t>(a.snapshot.xmax()))
                                          .add_array(std::span<const feed::Xid>(late)));
  if (found.rows() == 0 || found.is_null(0, 0)) return feed::kWindowStart;
  return std::max(feed::kWindowStart, found.int8(0, 0));
}

void OutboxSource::request_page(const feed::Tick& a, const feed::Tick& b, feed::RowId after,
                                std::span<const feed::Slice> slices) {
  connection_->send(statements::kPage, Params()
                                           .add(after)
                                           .add(a.snapshot.text())
                                           .add(b.snapshot.text())
                                           .add(mask_)
                                           .add_array(slices));
}

feed::Page<relay::OutboxRows> OutboxSource::receive_page() {
  const auto result = connection_->receive();
  auto memory = std::make_shared<EventMemory>();
  feed::Page<relay::OutboxRows> page;
  // The last row is no event: it tells how far the scan came.
  const int last = result.rows() - 1;
  if (last >= 0 && !result.is_null(last, EventColumns::kId)) {
    page.scanned_to = result.int8(last, EventColumns::kId);
  }
  append(result, std::max(last, 0), feed::kWindowStart, page.rows, *memory);
  page.rows.memory = std::move(memory);
  return page;
}

std::vector<std::pair<feed::RowId, std::string>> PayloadSource::payloads(
    std::span<const feed::RowId> ids) {
  const auto result = connection_->run(statements::kPayloads, Params().add_array(ids));
  std::vector<std::pair<feed::RowId, std::string>> payloads;
  for (int i = 0; i < result.rows(); ++i) {
    payloads.emplace_back(result.int8(i, 0), result.string(i, 1));
  }
  std::sort(payloads.begin(), payloads.end(),
            [](const auto& x, const auto& y) { return x.first < y.first; });
  return payloads;
}

}  // namespace relevo::postgres
