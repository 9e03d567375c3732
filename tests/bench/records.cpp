#include "records.hpp"

#include <array>
#include <memory>
#include <numeric>

#include "options.hpp"
#include "relevo/postgres/outbox.hpp"
#include "relevo/relay/cloud_events.hpp"
#include "support/database.hpp"

namespace relevo::bench {

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
