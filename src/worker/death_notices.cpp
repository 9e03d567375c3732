#include "death_notices.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;

constexpr auto kPeriod = 1s;
constexpr int kTold = 10;  // in a period

}  // namespace

void DeathNotices::tell(const JobRow& row, std::string_view state, std::string_view reason) {
  const auto now = clock_.now();
  if (now - since_ >= kPeriod) {
    if (untold_ > 0) log_.warn("more jobs died", {{"jobs", untold_}});
    since_ = now;
    told_ = 0;
    untold_ = 0;
  }
  if (told_ == kTold) {
    ++untold_;
    return;
  }
  ++told_;
  log_.warn("job died", {{"job", row.at.id},
                         {"kind", row.kind},
                         {"queue", row.queue},
                         {"state", state},
                         {"reason", reason}});
}

}  // namespace relevo::worker
