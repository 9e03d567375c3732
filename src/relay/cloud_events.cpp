#include "relevo/relay/cloud_events.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

namespace relevo::relay {
namespace {

void write_uuid(const EventId& id, char* out) {
  static constexpr char kHex[] = "0123456789abcdef";
  for (std::size_t i = 0; i < id.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *out++ = '-';
    *out++ = kHex[id[i] >> 4];
    *out++ = kHex[id[i] & 0xf];
  }
}

template <int kDigits>
char* write_number(char* out, std::uint64_t value) {
  for (int i = kDigits - 1; i >= 0; --i) {
    out[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  return out + kDigits;
}

// RFC 3339 in UTC with microseconds: 2026-01-31T12:34:56.123456Z, always 27 characters. A year
// beyond four digits cannot be written so; it is clamped.
void write_time(core::WallTime time, char* out) {
  using namespace std::chrono;
  static constexpr core::WallTime kFirst{sys_days{year{0} / 1 / 1}};
  static constexpr core::WallTime kLast{sys_days{year{10000} / 1 / 1} - microseconds{1}};
  time = std::clamp(time, kFirst, kLast);
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{time - day};
  out = write_number<4>(out, static_cast<std::uint64_t>(int{date.year()}));
  *out++ = '-';
  out = write_number<2>(out, unsigned{date.month()});
  *out++ = '-';
  out = write_number<2>(out, unsigned{date.day()});
  *out++ = 'T';
  out = write_number<2>(out, static_cast<std::uint64_t>(clock.hours().count()));
  *out++ = ':';
  out = write_number<2>(out, static_cast<std::uint64_t>(clock.minutes().count()));
  *out++ = ':';
  out = write_number<2>(out, static_cast<std::uint64_t>(clock.seconds().count()));
  *out++ = '.';
  out = write_number<6>(out, static_cast<std::uint64_t>(clock.subseconds().count()));
  *out = 'Z';
}

}  // namespace

TopicTemplate::TopicTemplate(std::string_view text) {
  while (!text.empty()) {
    const auto open = text.find('{');
    if (open != 0) parts_.emplace_back(Part::kText, text.substr(0, open));
    if (open == std::string_view::npos) break;
    const auto close = text.find('}', open);
    if (close == std::string_view::npos) throw std::invalid_argument("'{' without '}'");
    const auto name = text.substr(open + 1, close - open - 1);
    if (name == "aggregate_type") {
      parts_.emplace_back(Part::kAggregateType, std::string());
    } else if (name == "event_type") {
      parts_.emplace_back(Part::kEventType, std::string());
    } else if (name == "tenant") {
      parts_.emplace_back(Part::kTenant, std::string());
    } else {
      throw std::invalid_argument("unknown placeholder {" + std::string(name) + "}");
    }
    text.remove_prefix(close + 1);
  }
}

void TopicTemplate::render(const OutboxRow& row, std::string& topic) const {
  topic.clear();
  for (const auto& [part, text] : parts_) {
    switch (part) {
      case Part::kText: topic += text; break;
      case Part::kAggregateType: topic += row.aggregate_type; break;
      case Part::kEventType: topic += row.event_type; break;
      case Part::kTenant: topic += row.tenant.value_or(""); break;
    }
  }
}

CloudEvents::CloudEvents(TopicTemplate topic, std::string source)
    : template_(std::move(topic)), source_(std::move(source)) {}

const Record& CloudEvents::record(const OutboxRow& row, std::optional<std::string_view> value) {
  if (row.topic) {
    record_.topic = *row.topic;
  } else {
    template_.render(row, topic_);
    record_.topic = topic_;
  }
  record_.key = row.aggregate_id;
  record_.value = value;
  write_uuid(row.event_id, id_text_);
  write_time(row.created_at, time_text_);
  headers_.clear();
  headers_.push_back({"ce_specversion", "1.0"});
  headers_.push_back({"ce_id", {id_text_, sizeof id_text_}});
  headers_.push_back({"ce_source", source_});
  headers_.push_back({"ce_type", row.event_type});
  headers_.push_back({"ce_subject", row.aggregate_id});
  headers_.push_back({"ce_time", {time_text_, sizeof time_text_}});
  headers_.push_back({"content-type", row.content_type});
  if (row.tenant) headers_.push_back({"ce_tenant", *row.tenant});
  headers_.insert(headers_.end(), row.headers.begin(), row.headers.end());
  record_.headers = headers_;
  return record_;
}

}  // namespace relevo::relay
