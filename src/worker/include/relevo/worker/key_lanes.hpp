// Which messages may run now: those of one key one after the other in the order of their arrival,
// keys side by side. A message that must wait holds up its own key and no other. Knows how much is
// held, and up to where each partition is finished without a gap: the only offset that may be
// committed.
//
// Pure bookkeeping: tickets stand for messages, which the owner keeps. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/worker/message_source.hpp"

namespace relevo::worker {

class KeyLanes {
 public:
  // Of a message held; free for another one after finish(), put_back() that forgets it, revoke().
  using Ticket = std::uint32_t;

  struct Limits {
    std::size_t messages = 20'000;
    std::size_t bytes = 8U << 20U;
  };

  explicit KeyLanes(Limits limits) : limits_(limits) {}

  // No more should be added until there is room. One message is always taken.
  bool full() const { return held_ >= limits_.messages || bytes_ >= limits_.bytes; }
  // Less than half full: worth to go on reading after it was full.
  bool roomy() const { return held_ < limits_.messages / 2 + 1 && bytes_ <= limits_.bytes / 2; }
  std::size_t held() const { return held_; }
  std::size_t waiting() const { return held_ - at_work_; }

  void open(const TopicPartition& partition);  // assigned; does nothing when it is open
  // Whether add() may follow: the partition is open, and the offset was not seen before.
  bool accepts(const TopicPartition& partition, std::int64_t offset) const;
  // A message of an open partition, offsets ascending. No key: no order to keep, a lane of its own.
  Ticket add(const TopicPartition& partition, std::int64_t offset,
             const std::optional<std::string_view>& key, std::size_t bytes);

  // Messages that are due, of keys with none at work, at most `per_key` of each, in the order of
  // their arrival within a key; they are at work until finish() or put_back(). A message that was
  // put back before comes alone, so that it can spoil no other's work.
  std::vector<Ticket> take(core::BootTime now, std::size_t most, std::size_t per_key);
  // Keys that take() would find messages of now.
  std::size_t due(core::BootTime now);
  // When the next key falls due that waits for its time; nullopt: none does.
  std::optional<core::BootTime> next_due() const;

  void finish(Ticket ticket);
  // To be tried again, before later ones of its key, not earlier than `due`; the key waits.
  // suspect: alone (see take()).
  // false: its partition was revoked, and it is forgotten.
  bool put_back(Ticket ticket, core::BootTime due, bool suspect);

  // Of a partition, next to the last offset below which all is finished; nullopt: not open, or
  // nothing new since the last call.
  std::optional<std::int64_t> advanced(const TopicPartition& partition);
  std::vector<TopicPartition> partitions() const;

  // To be revoked: forgets the messages that wait and returns their tickets. Those at work may
  // still finish and count; put back, they are forgotten too.
  std::vector<Ticket> revoke(const TopicPartition& partition);
  // Revoked: what is still at work no longer counts.
  void drop(const TopicPartition& partition);
  // Messages of the partition, dropped or not, that are at work.
  std::size_t at_work(const TopicPartition& partition) const;
  std::size_t at_work() const { return at_work_; }

 private:
  static constexpr Ticket kNone = UINT32_MAX;

  struct Progress {
    struct Entry {
      std::int64_t offset = 0;
      bool done = false;
    };
    TopicPartition partition;
    bool accepting = true;             // until revoke()
    bool open = true;                  // until drop()
    std::deque<Entry> entries;         // in order of offsets; the first is not done
    std::int64_t newest = -1;          // offset
    std::uint64_t first = 0;           // number of entries[0] since the partition was opened
    std::optional<std::int64_t> next;  // what advanced() has to tell
    std::size_t at_work = 0;
  };

  struct Lane {
    enum class Place { kNowhere, kReady, kTimed };

    std::string name;
    Ticket first = kNone;
    Ticket last = kNone;
    std::size_t at_work = 0;
    core::BootTime not_before{};
    Place place = Place::kNowhere;
    std::list<Lane*>::iterator ready;
    std::multimap<core::BootTime, Lane*>::iterator timer;
  };

  struct Node {
    std::list<Progress>::iterator progress;
    std::uint64_t entry = 0;    // number of the message in its partition
    std::uint64_t arrival = 0;  // number among all
    Lane* lane = nullptr;
    Ticket next = kNone;  // in the lane
    std::size_t bytes = 0;
    bool suspect = false;
  };

  Lane& lane_of(const std::optional<std::string_view>& key);
  void put_in_place(Lane& lane);
  void take_out_of_place(Lane& lane);
  void wake(core::BootTime now);
  void leave_work(Ticket ticket);
  void release(Ticket ticket);
  void remove_if_idle(Lane& lane);

  const Limits limits_;
  std::size_t held_ = 0;
  std::size_t bytes_ = 0;
  std::size_t at_work_ = 0;
  std::uint64_t arrivals_ = 0;
  std::vector<Node> nodes_;
  std::vector<Ticket> free_;
  std::list<Progress> progress_;  // open ones, and dropped ones with messages at work
  std::map<TopicPartition, std::list<Progress>::iterator> open_;
  std::unordered_map<std::string, Lane> lanes_;
  std::list<Lane*> ready_;
  std::multimap<core::BootTime, Lane*> timed_;
};

}  // namespace relevo::worker
