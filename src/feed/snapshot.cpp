#include "relevo/feed/snapshot.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace relevo::feed {
namespace {

Xid take_number(std::string_view& rest, std::string_view whole) {
  Xid value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error != std::errc{}) {
    throw std::invalid_argument("not a pg_snapshot: \"" + std::string(whole) + "\"");
  }
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  return value;
}

void take_char(std::string_view& rest, char expected, std::string_view whole) {
  if (rest.empty() || rest.front() != expected) {
    throw std::invalid_argument("not a pg_snapshot: \"" + std::string(whole) + "\"");
  }
  rest.remove_prefix(1);
}

}  // namespace

Snapshot Snapshot::parse(std::string_view text) {
  Snapshot s;
  auto rest = text;
  s.xmin_ = take_number(rest, text);
  take_char(rest, ':', text);
  s.xmax_ = take_number(rest, text);
  take_char(rest, ':', text);
  while (!rest.empty()) {
    if (!s.xip_.empty()) take_char(rest, ',', text);
    s.xip_.push_back(take_number(rest, text));
  }
  const bool in_range = s.xip_.empty() || (s.xip_.front() >= s.xmin_ && s.xip_.back() < s.xmax_);
  const bool ascending =
      std::adjacent_find(s.xip_.begin(), s.xip_.end(), std::greater_equal<>{}) == s.xip_.end();
  if (s.xmin_ == 0 || s.xmin_ > s.xmax_ || !in_range || !ascending) {
    throw std::invalid_argument("not a pg_snapshot: \"" + std::string(text) + "\"");
  }
  s.text_ = text;
  return s;
}

bool Snapshot::sees(Xid xid) const {
  if (xid < xmin_) return true;
  if (xid >= xmax_) return false;
  return !std::binary_search(xip_.begin(), xip_.end(), xid);
}

std::vector<Xid> late_xids(const Snapshot& earlier, const Snapshot& later) {
  std::vector<Xid> late;
  for (const Xid xid : earlier.in_progress()) {
    if (later.sees(xid)) late.push_back(xid);
  }
  return late;
}

}  // namespace relevo::feed
