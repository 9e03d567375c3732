// The producer's batch.size, so that no record is refused for the batch it travels in. librdkafka
// fills batches up to batch.size; a record larger than that travels alone. It is fixed for a
// producer's life, hence wanted() and applied(). Included by the sources of this folder only.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>

#include "relevo/core/clock.hpp"

namespace relevo::kafka {

class BatchLimit {
 public:
  explicit BatchLimit(std::size_t configured) : ceiling_(configured), applied_(configured) {}

  // No larger than the smallest max.message.bytes of the topics in use.
  void keep_below(std::optional<std::size_t> limit) {
    if (limit) ceiling_ = std::min(ceiling_, std::max<std::size_t>(*limit, 1));
  }

  // A batch was refused as too large: by this limit if it is known, else by one that is found by
  // trying.
  void shrink(std::optional<std::size_t> limit) {
    if (limit && *limit < applied_) {
      keep_below(limit);
    } else {
      ceiling_ = std::min(ceiling_, std::max<std::size_t>(applied_ / 4, 1));
    }
  }

  // Some record of a batch is not acceptable: send each alone for a while, so that it is found.
  void isolate(core::BootTime now) { isolated_until_ = now + kIsolation; }
  void expire(core::BootTime now) {
    if (isolated_until_ && now >= *isolated_until_) isolated_until_.reset();
  }

  std::size_t wanted() const { return isolated_until_ ? 1 : ceiling_; }
  bool is_change_due() const { return wanted() != applied_; }
  void applied() { applied_ = wanted(); }

  // Whether a record of this size shared its batch with no other under the present batch.size.
  bool was_alone(std::size_t size) const { return size > applied_; }

 private:
  static constexpr std::chrono::seconds kIsolation{5};

  std::size_t ceiling_;
  std::size_t applied_;
  std::optional<core::BootTime> isolated_until_;
};

}  // namespace relevo::kafka
