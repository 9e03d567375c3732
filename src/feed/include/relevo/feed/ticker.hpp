// Finds out cheaply whether anything became visible, and takes a tick when so.
// One thread. Borrows its source for its life.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "relevo/feed/tick.hpp"

namespace relevo::feed {

// Port. Each call is one transaction; throws core::IntegrationError.
class TickSource {
 public:
  virtual ~TickSource() = default;

  virtual std::string probe() = 0;              // text of the current snapshot; touches no table
  virtual std::optional<Tick> next_tick() = 0;  // nullopt: somebody else is ticking just now
  virtual std::vector<Tick> find_ticks(std::span<const TickId> ids) = 0;  // those that exist
};

class Ticker {
 public:
  explicit Ticker(TickSource& source) : source_(source) {}

  // The newest tick; the same one as before when nothing became visible since.
  // nullptr: somebody else is taking one, look again.
  TickPtr look();

  // A tick by its number; nullptr when this database does not know it. With a fingerprint, also
  // nullptr when it is another tick under the same number.
  TickPtr find(TickId id, std::optional<std::int64_t> fingerprint = std::nullopt);

  // After an error or a new connection: look again in full. Ticks that were committed stay valid.
  void forget_probe() { probe_.reset(); }
  // Another history (fail-over, restore) may have other ticks under the same numbers.
  void forget_ticks();

 private:
  static constexpr std::size_t kRemembered = 64;

  TickPtr remember(Tick tick);

  TickSource& source_;
  std::optional<std::string> probe_;  // text of the last look that was complete
  TickPtr newest_;
  std::map<TickId, TickPtr> known_;
};

}  // namespace relevo::feed
