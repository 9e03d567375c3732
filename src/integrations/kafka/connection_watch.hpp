// Turns the stream of librdkafka's errors and log lines into few lines of the log: an outage on its
// edges, one line a minute of each other kind. Included by the sources of this folder only.
#pragma once

#include <librdkafka/rdkafka.h>

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "relevo/core/clock.hpp"
#include "relevo/core/log.hpp"
#include "relevo/core/outage.hpp"

namespace relevo::kafka {

class ConnectionWatch {
 public:
  ConnectionWatch(core::Log& log, const core::Clock& clock)
      : log_(log), clock_(clock), outage_("kafka", log, clock) {}

  void error(rd_kafka_resp_err_t code, std::string_view text);
  void line(int level, std::string_view facility, std::string_view text);

  void answered();  // a broker did what was asked
  void silent();    // no broker answered a question

  // Once a second: whether records are in flight, and whether any was reported since the last call.
  void tick(bool in_flight, bool progress);

  // A broker has answered, and nothing since says that all are gone.
  bool reachable() const { return answered_ && !all_down_ && !outage_.ongoing(); }

  // What went wrong last with a connection; empty when nothing did since a broker answered.
  const std::string& trouble() const { return trouble_; }

 private:
  bool is_due(std::string_view kind);

  core::Log& log_;
  const core::Clock& clock_;
  core::Outage outage_;
  std::string trouble_;
  bool trouble_is_new_ = false;
  bool all_down_ = false;
  bool answered_ = false;
  unsigned stalled_ticks_ = 0;
  std::map<std::string, core::BootTime, std::less<>> logged_;  // by facility or code: a closed set
};

}  // namespace relevo::kafka
