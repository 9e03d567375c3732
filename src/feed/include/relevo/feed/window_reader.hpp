// Reads a table as a stream, one window (a, b] after the other: rows visible in tick b and not in
// tick a, in the order of their ids (or whatever At the table is paged by), for the slices this
// replica holds. Slices that stand at the
// same place form a group and are read by one query; a slice that was just taken over catches up in
// a group of its own and joins the others where they meet.
//
// Pure control: which statement comes next. Rows pass through untouched, so the outbox and the jobs
// use the same reader. One thread; borrows ticker and source for its life. Any exception from the
// source leaves the reader to be cleared: clear(), then add() the slices again at their saved
// positions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "relevo/core/invariant.hpp"
#include "relevo/feed/position.hpp"
#include "relevo/feed/ticker.hpp"

namespace relevo::feed {

// What one read found. Rows: a movable container of rows that carry their slice and id.
template <class Rows, class At = RowId>
struct Page {
  Rows rows;  // ascending
  // The last row the scan looked at, ours or not; nullopt: end of the window.
  std::optional<At> scanned_to;
};

// Port. Each call is one transaction; throws core::IntegrationError.
template <class Rows, class At = RowId>
class WindowSource {
 public:
  virtual ~WindowSource() = default;

  // All rows of the window beyond `after`, ascending; nullopt when there are more than a page.
  virtual std::optional<Rows> small_window(const Tick& a, const Tick& b, At after,
                                           std::span<const Slice> slices) = 0;

  // A place before which the window has no row; bounded work however much the table retains.
  virtual At lower_bound(const Tick& a, const Tick& b) = 0;

  // Asks for the page beyond `after`; the answer is fetched by receive_page(), so that the server
  // works while the caller handles the page before. At most one is outstanding.
  virtual void request_page(const Tick& a, const Tick& b, At after,
                            std::span<const Slice> slices) = 0;
  virtual Page<Rows, At> receive_page() = 0;
};

// Rows to work off, and where their slices stand before and after them.
template <class Rows, class At = RowId>
struct Delivery {
  Rows rows;
  std::vector<Slice> slices;
  BasicPosition<At> before;
  BasicPosition<At> after;
};

// Whether the next page of a huge window is asked for while the caller works on the one before. Not
// for a table whose rows end: a page read before a row ended would show it again afterwards.
enum class ReadAhead { kNo, kYes };

template <class Rows, class At = RowId>
class WindowReader {
 public:
  using Position = BasicPosition<At>;

  WindowReader(Ticker& ticker, WindowSource<Rows, At>& source,
               ReadAhead read_ahead = ReadAhead::kYes)
      : ticker_(ticker), source_(source), read_ahead_(read_ahead) {}

  // Starts reading a slice at its position. False when this database does not know the ticks the
  // position names: another history, nothing can be read for it.
  [[nodiscard]] bool add(Slice slice, const Position& position) {
    settle();
    auto b = ticker_.find(position.b, position.fingerprint);
    auto a = position.a == position.b ? b : ticker_.find(position.a);
    if (!a || !b) return false;
    groups_.push_back(Group{{slice}, a, b, a == b ? kStart<At> : position.last_id});
    join();
    return true;
  }

  // Stops reading a slice. A page that was already read may still hold rows of it: the caller, who
  // no longer holds the slice, drops them.
  void remove(Slice slice) {
    settle();
    for (auto group = groups_.begin(); group != groups_.end(); ++group) {
      if (std::erase(group->slices, slice) == 0) continue;
      if (group->slices.empty()) groups_.erase(group);
      return;
    }
  }

  // Whether anything became visible since the last look; opens windows on it. False: nothing new.
  bool look() {
    settle();
    const auto tick = ticker_.look();
    if (!tick) return true;  // somebody else is ticking: not idle, look again
    return open(tick);
  }

  // The second half of look(), for readers that share one: opens windows up to this tick.
  bool open(const TickPtr& tick) {
    bool opened = false;
    for (auto& group : groups_) {
      if (group.a != group.b || group.b->id >= tick->id) continue;
      group.b = tick;
      group.read_to = kStart<At>;
      group.paged = false;
      opened = true;
    }
    join();
    return opened;
  }

  // Whether a group has an open window, so that step() will deliver.
  bool has_window() const {
    return std::any_of(groups_.begin(), groups_.end(), [](const Group& g) { return g.a != g.b; });
  }
  // Whether a group has read all it knows of, so that look() could open a window for it.
  bool wants_look() const {
    return std::any_of(groups_.begin(), groups_.end(), [](const Group& g) { return g.a == g.b; });
  }

  // The tick up to which all has been read for every slice; nullptr: they do not stand at one tick,
  // or there is none.
  TickPtr caught_up() const {
    TickPtr tick;
    for (const auto& group : groups_) {
      if (group.a != group.b || (tick && tick != group.b)) return nullptr;
      tick = group.b;
    }
    return tick;
  }

  // Reads the next piece of one open window, the groups in turn. Requires has_window().
  Delivery<Rows, At> step() {
    auto group =
        std::find_if(groups_.begin(), groups_.end(), [](const Group& g) { return g.a != g.b; });
    RELEVO_INVARIANT(group != groups_.end(), "step() needs an open window");
    auto delivery = group->paged ? next_page(*group) : first_look(*group);
    groups_.splice(groups_.end(), groups_, group);
    return delivery;
  }

  // After an exception, with the source on a fresh connection: forgets everything.
  void clear() {
    groups_.clear();
    asked_ = nullptr;
  }
  std::size_t groups() const { return groups_.size(); }

 private:
  struct Group {
    std::vector<Slice> slices;
    TickPtr a;
    TickPtr b;
    At read_to = kStart<At>;
    bool paged = false;                     // the window is larger than one read
    std::optional<Page<Rows, At>> ready{};  // received, not yet delivered

    Position position() const { return {a->id, b->id, read_to, b->fingerprint}; }
    void close() {
      a = b;
      read_to = kStart<At>;
      paged = false;
    }
  };

  Delivery<Rows, At> first_look(Group& group) {
    settle();
    Delivery<Rows, At> delivery{{}, group.slices, group.position(), {}};
    if (auto rows = source_.small_window(*group.a, *group.b, group.read_to, group.slices)) {
      delivery.rows = std::move(*rows);
      group.close();
    } else {
      group.paged = true;
      if (group.read_to == kStart<At>) group.read_to = source_.lower_bound(*group.a, *group.b);
      if (read_ahead_ == ReadAhead::kYes) ask(group);
    }
    delivery.after = group.position();
    return delivery;
  }

  Delivery<Rows, At> next_page(Group& group) {
    Delivery<Rows, At> delivery{{}, group.slices, group.position(), {}};
    if (!group.ready && asked_ != &group) {
      settle();
      ask(group);
    }
    if (!group.ready) settle();
    auto page = std::move(*std::exchange(group.ready, std::nullopt));
    delivery.rows = std::move(page.rows);
    if (page.scanned_to) {
      group.read_to = *page.scanned_to;
      if (!asked_ && read_ahead_ == ReadAhead::kYes) ask(group);
    } else {
      group.close();
    }
    delivery.after = group.position();
    return delivery;
  }

  void ask(Group& group) {
    source_.request_page(*group.a, *group.b, group.read_to, group.slices);
    asked_ = &group;
  }

  // Receives the page that is outstanding, so that the source is free for another statement.
  void settle() {
    if (asked_) std::exchange(asked_, nullptr)->ready = source_.receive_page();
  }

  void join() {
    for (auto group = groups_.begin(); group != groups_.end(); ++group) {
      for (auto other = std::next(group); other != groups_.end();) {
        const bool same = other->a == group->a && other->b == group->b && !other->paged &&
                          !group->paged && other->read_to == group->read_to;
        if (!same) {
          ++other;
          continue;
        }
        group->slices.insert(group->slices.end(), other->slices.begin(), other->slices.end());
        other = groups_.erase(other);
      }
    }
  }

  Ticker& ticker_;
  WindowSource<Rows, At>& source_;
  const ReadAhead read_ahead_;
  std::list<Group> groups_;
  Group* asked_ = nullptr;  // whose page is outstanding; list nodes do not move
};

}  // namespace relevo::feed
