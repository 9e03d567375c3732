#include "books.hpp"

#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

namespace relevo::books {
namespace {

using std::chrono::microseconds;

std::optional<std::int64_t> number_of(std::string_view text) {
  std::int64_t number = 0;
  const auto* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stopped != end) return std::nullopt;
  return number;
}

std::optional<Entry> entry_of(const kafka::ReadRecord& record, const Kind& kind) {
  const auto aggregate = number_of(record.key.value_or(""));
  const auto payload = nlohmann::json::parse(record.value.value_or(""), nullptr, false);
  if (!aggregate || !payload.is_object()) return std::nullopt;
  const auto sequence = payload.find(kind.sequence);
  const auto value = payload.find(kind.value);
  if (sequence == payload.end() || !sequence->is_number_integer()) return std::nullopt;
  if (value == payload.end() || !value->is_number_integer()) return std::nullopt;
  return Entry{*aggregate, sequence->get<std::int64_t>(), value->get<std::int64_t>()};
}

// 2026-01-31T12:34:56.123456Z
std::optional<std::chrono::sys_time<microseconds>> time_of(std::string_view text) {
  if (text.size() != 27) return std::nullopt;
  const auto part = [&](std::size_t from, std::size_t size) {
    return number_of(text.substr(from, size)).value_or(0);
  };
  using namespace std::chrono;
  const auto day =
      sys_days{year{static_cast<int>(part(0, 4))} / month{static_cast<unsigned>(part(5, 2))} /
               std::chrono::day{static_cast<unsigned>(part(8, 2))}};
  return day + hours{part(11, 2)} + minutes{part(14, 2)} + seconds{part(17, 2)} +
         microseconds{part(20, 6)};
}

std::optional<std::string_view> header(const kafka::ReadRecord& record, std::string_view name) {
  for (const auto& [key, value] : record.headers) {
    if (key == name) return value;
  }
  return std::nullopt;
}

}  // namespace

void Account::add(const Entry& entry) {
  ++events_;
  sum_ += entry.value;
  for (const auto number : {entry.sequence, entry.value}) {
    fold_ = (fold_ ^ static_cast<std::uint64_t>(number)) * 0x9e3779b97f4a7c15U;
    fold_ ^= fold_ >> 29;
  }
}

void Books::enter(const kafka::ReadRecord& record) {
  auto& next_offset = next_offset_[record.partition];
  if (record.offset > next_offset) missed_ += record.offset - next_offset;
  next_offset = record.offset + 1;

  const auto entry = entry_of(record, kind_);
  if (!entry) {
    ++received_.unreadable;
    return;
  }
  auto& account = received_.ledger[entry->aggregate];
  if (entry->sequence <= account.events()) {
    ++received_.duplicates;
    return;
  }
  if (entry->sequence > account.events() + 1) ++received_.misplaced;
  account.add(*entry);
  ++received_.events;
  received_.sum += entry->value;

  if (const auto time = time_of(header(record, "ce_time").value_or(""))) {
    const auto latency = std::chrono::floor<microseconds>(std::chrono::system_clock::now()) - *time;
    recent.add(latency);
    all.add(latency);
  }
}

}  // namespace relevo::books
