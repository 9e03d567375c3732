#include "records.hpp"

#include <array>
#include <memory>
#include <numeric>

#include "options.hpp"
#include "relevo/postgres/outbox.hpp"
#include "relevo/relay/cloud_events.hpp"
#include "support/database.hpp"

namespace relevo::bench {
namespace {

constexpr std::int64_t kChunk = 10'000;  // events of one transaction

// Payload and key as an application might have them; 200 bytes of payload.
constexpr const char* kFill = R"(
  INSERT INTO relevo.outbox (aggregate_type, aggregate_id, event_type, payload)
  SELECT 'order', 'order-' || n % $3::bigint, 'OrderPaid',
         convert_to(rpad(format('{"n": %s, "text": "%s%s%s', n, md5(n::text), md5((n + 1)::text), md5((n + 2)::text)),
                         198, 'x') || '"}', 'UTF8')
  FROM generate_series($1::bigint, $2::bigint) n)";

}  // namespace

void Records::append(std::string_view piece) {
  bytes_ += piece;
  lengths_.push_back(static_cast<std::uint32_t>(piece.size()));
}

void Records::add(const relay::Record& record) {
  starts_.push_back({bytes_.size(), lengths_.size(), record.headers.size()});
  append(record.key);
  append(record.value.value_or(""));
  for (const auto& header : record.headers) {
    append(header.name);
    append(header.value);
  }
}

const relay::Record& Records::at(std::size_t index) {
  const auto& start = starts_[index];
  const char* byte = bytes_.data() + start.byte;
  const auto* length = lengths_.data() + start.length;
  const auto next = [&] {
    const std::string_view piece(byte, *length++);
    byte += piece.size();
    return piece;
  };
  record_.key = next();
  record_.value = next();
  headers_.resize(start.headers);
  for (auto& header : headers_) {
    header.name = next();
    header.value = next();
  }
  record_.headers = headers_;
  return record_;
}

void fill_outbox(const std::string& url, std::int64_t events) {
  test::Connection connection(url);
  for (std::int64_t first = 0; first < events; first += kChunk) {
    const auto last = std::min(first + kChunk, events) - 1;
    connection.query(kFill,
                     {std::to_string(first), std::to_string(last), std::to_string(kAggregates)});
  }
  // What autovacuum would do sooner or later, so that it does not do it beside one measurement
  // only.
  connection.exec("VACUUM (ANALYZE) relevo.outbox");
  connection.exec("CHECKPOINT");
}

Records records_of_outbox(const std::string& database_url) {
  postgres::ConnectOptions options;
  options.url = database_url;
  postgres::OutboxSource source(std::make_shared<postgres::Connection>(options), kShards);
  const auto now = test::Connection(database_url).value("SELECT pg_current_snapshot()::text");
  const feed::Tick none{0, 0, feed::Snapshot::parse("1:1:")};
  const feed::Tick all{1, 1, feed::Snapshot::parse(now)};
  std::array<feed::Slice, kShards> shards{};
  std::iota(shards.begin(), shards.end(), feed::Slice{0});

  Records records;
  relay::CloudEvents format(relay::TopicTemplate("{aggregate_type}"), "/relevo");
  for (feed::RowId after = 0;;) {
    source.request_page(none, all, after, shards);
    const auto page = source.receive_page();
    for (const auto& row : page.rows.rows) records.add(format.record(row, row.payload));
    if (!page.scanned_to) return records;
    after = *page.scanned_to;
  }
}

std::string_view header_of(const relay::Record& record, std::string_view name) {
  for (const auto& header : record.headers) {
    if (header.name == name) return header.value;
  }
  return {};
}

}  // namespace relevo::bench
