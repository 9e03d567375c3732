#include "connection_watch.hpp"

namespace relevo::kafka {
namespace {

using namespace std::chrono_literals;

constexpr auto kOncePer = 60s;
constexpr unsigned kTicksUntilStalled = 5;
constexpr int kSyslogWarning = 4;

std::string_view reason(const std::string& trouble) {
  return trouble.empty() ? std::string_view("no acknowledgement from the brokers") : trouble;
}

}  // namespace

void ConnectionWatch::error(rd_kafka_resp_err_t code, std::string_view text) {
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
    // Says less than the error before it. Also comes when brokers close idle connections, so it
    // becomes an outage only when records wait (tick) or questions stay open (silent).
    all_down_ = true;
    if (trouble_.empty()) trouble_ = text;
    return;
  }
  trouble_ = text;
  trouble_is_new_ = true;
}

void ConnectionWatch::line(int level, std::string_view facility, std::string_view text) {
  if (level > kSyslogWarning) {
    log_.debug("kafka client", {{"facility", facility}, {"text", text}});
    return;
  }
  if (facility == "FAIL" || facility == "ERROR") return;  // comes as an error, too
  if (outage_.ongoing() || !is_due(facility)) return;
  log_.warn("kafka client", {{"facility", facility}, {"text", text}});
}

void ConnectionWatch::answered() {
  answered_ = true;
  stalled_ticks_ = 0;
  if (!all_down_ && !outage_.ongoing()) return;
  all_down_ = false;
  trouble_.clear();
  trouble_is_new_ = false;
  outage_.recovered();
}

void ConnectionWatch::silent() {
  if (!outage_.ongoing()) outage_.failed(reason(trouble_));
}

void ConnectionWatch::tick(bool in_flight, bool progress) {
  if (!in_flight || progress) {
    stalled_ticks_ = 0;
  } else if (++stalled_ticks_ >= (all_down_ ? 2 : kTicksUntilStalled)) {
    silent();
  }
  // Some broker of several fails while others serve.
  if (trouble_is_new_ && !all_down_ && !outage_.ongoing() && is_due("broker")) {
    log_.warn("kafka broker fails", {{"text", trouble_}});
  }
  trouble_is_new_ = false;
}

bool ConnectionWatch::is_due(std::string_view kind) {
  const auto now = clock_.now();
  const auto found = logged_.find(kind);
  if (found == logged_.end()) {
    logged_.emplace(kind, now);
    return true;
  }
  if (now - found->second < kOncePer) return false;
  found->second = now;
  return true;
}

}  // namespace relevo::kafka
