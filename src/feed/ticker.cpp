#include "relevo/feed/ticker.hpp"

#include <utility>

namespace relevo::feed {

TickPtr Ticker::look() {
  auto text = source_.probe();
  if (newest_ && probe_ == text) return newest_;
  auto tick = source_.next_tick();
  if (!tick) {
    // Whoever is ticking may die before it commits: the text must not count as looked at.
    probe_.reset();
    return nullptr;
  }
  // The text was taken before the tick: what became visible in between only costs another look.
  probe_ = std::move(text);
  if (!newest_ || newest_->id != tick->id || newest_->fingerprint != tick->fingerprint) {
    newest_ = remember(std::move(*tick));
  }
  return newest_;
}

TickPtr Ticker::find(TickId id, std::optional<std::int64_t> fingerprint) {
  TickPtr tick;
  if (const auto known = known_.find(id); known != known_.end()) {
    tick = known->second;
  } else {
    auto found = source_.find_ticks(std::span(&id, 1));
    if (found.empty()) return nullptr;
    tick = remember(std::move(found.front()));
  }
  if (fingerprint && tick->fingerprint != *fingerprint) return nullptr;
  return tick;
}

void Ticker::forget_ticks() {
  forget_probe();
  newest_.reset();
  known_.clear();
}

TickPtr Ticker::remember(Tick tick) {
  // One object a tick: readers compare ticks by identity.
  if (const auto same = known_.find(tick.id);
      same != known_.end() && same->second->fingerprint == tick.fingerprint) {
    return same->second;
  }
  auto shared = std::make_shared<const Tick>(std::move(tick));
  known_[shared->id] = shared;
  while (known_.size() > kRemembered) known_.erase(known_.begin());
  return shared;
}

}  // namespace relevo::feed
