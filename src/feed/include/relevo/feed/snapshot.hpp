// PostgreSQL's pg_snapshot as a value: which transactions were finished when it was taken.
// Text form "xmin:xmax:xip,xip,…" (PostgreSQL manual, "Transaction ID and Snapshot Information
// Functions"). Immutable, thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace relevo::feed {

using Xid = std::uint64_t;  // xid8: 64 bits, does not wrap

class Snapshot {
 public:
  // Throws std::invalid_argument on anything that pg_snapshot's output function does not write.
  static Snapshot parse(std::string_view text);

  // Every transaction below xmin is finished, every one from xmax on had not finished.
  Xid xmin() const { return xmin_; }
  Xid xmax() const { return xmax_; }
  std::span<const Xid> in_progress() const { return xip_; }  // ascending, in [xmin, xmax)
  const std::string& text() const { return text_; }

  // Same answer as pg_visible_in_snapshot(xid, snapshot).
  bool sees(Xid xid) const;

 private:
  Xid xmin_ = 0;
  Xid xmax_ = 0;
  std::vector<Xid> xip_;
  std::string text_;
};

// Transactions that were in progress in `earlier` and are finished in `later`.
std::vector<Xid> late_xids(const Snapshot& earlier, const Snapshot& later);

}  // namespace relevo::feed
