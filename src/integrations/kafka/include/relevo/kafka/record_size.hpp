// Exact size of a record on the broker, for comparison with a topic's max.message.bytes.
#pragma once

#include <cstddef>

#include "relevo/relay/record.hpp"

namespace relevo::kafka {

// Bytes of an uncompressed record batch (format v2, KIP-98) that holds this record alone. Brokers
// compare max.message.bytes with the size of the batch; with compression the batch may be smaller,
// but whether it is cannot be known before, so the uncompressed size is what counts here.
std::size_t batch_size_of(const relay::Record& record);

}  // namespace relevo::kafka
