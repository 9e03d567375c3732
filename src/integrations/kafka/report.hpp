// What a delivery report's error means for the record. Included by the sources of this folder only.
#pragma once

#include <librdkafka/rdkafka.h>

#include "relevo/relay/publisher.hpp"

namespace relevo::kafka {

relay::Outcome outcome_of(rd_kafka_resp_err_t error);

}  // namespace relevo::kafka
