// Which of the jobs read so far start next. Pure: no SQL, no threads; time is handed in.
//
// Jobs that may start stand ready, by class (16 : 4 : 1, so that none starves), inside a class by
// tenant (weighted fair share), inside a tenant by priority, then in the order they came; one in
// eight is the oldest whatever its priority. Jobs that something stands in the way of (a paused
// queue, a key at its limit, an empty bucket, a tenant with more than its share of the buffer, an
// endpoint that is down) wait aside, a hundred a cause; what is beyond that is left in the table
// and only the place is remembered where to read again (refill), so memory stays bounded.
//
// One thread. Borrows the registry for its life.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/worker/job_row.hpp"
#include "relevo/worker/job_store.hpp"
#include "relevo/worker/registry.hpp"

namespace relevo::worker {

// Rows of one read; its position counts as done when none of them stands ready any more.
struct ReadBatch {
  JobPosition after;
  std::vector<feed::Slice> lanes;
  int left = 0;
};

struct Selected {
  std::unique_ptr<JobRecord> job;
  const KindEntry* kind = nullptr;  // nullptr: no handler here
};

// Where rows were left that may be read now.
struct Refill {
  Scope scope = Scope::kAll;
  std::string value;
  int job_class = 0;
  Cursor after;      // of a key: only its id counts
  Skipped previous;  // of a key: what was left, per class
};

struct Room {
  std::size_t jobs = 0;                   // in all
  std::size_t pool = 0;                   // for handlers of this process
  std::size_t bytes = 0;                  // of large payloads
  std::function<bool(feed::Slice)> lane;  // whether the lane's journal takes one more
};

class Scheduler {
 public:
  explicit Scheduler(const Registry& registry);
  ~Scheduler();

  // Takes a row in, unless it is known, not due, or has to wait in the table. batch: whose read it
  // was; may be nullptr.
  void offer(const JobRow& row, ReadBatch* batch);

  // The next jobs to start, each counted as running until ended().
  std::vector<Selected> select(core::BootTime now, Room room);
  // Puts a selected job back: its unique row was locked.
  void put_back(Selected selected);
  // A run is over, or was never begun: frees what it held. Its row stays known, and is not taken in
  // again, until forget() says that its end was committed.
  void ended(const JobRow& row);
  void forget(const JobKey& job);

  void set_controls(const Controls& controls, int lanes_held, int lanes);
  // Rate keys of which jobs wait and nothing is known: ask for so many tokens.
  std::vector<std::pair<std::string, int>> wanted_tokens(core::BootTime now);
  void granted(const std::string& key, const Tokens& tokens, core::BootTime now);

  // Whether a page of this class may be read.
  bool has_room(int job_class) const;
  std::optional<Refill> next_refill();
  void refilled(const Refill& refill, const JobRows& rows, std::optional<Cursor> scanned_to);
  // Rows of a class beyond this place were left by the holder before.
  void skip_from(int job_class, Cursor after);
  // Per class, beyond which place there are rows that no read position covers: left in the table,
  // waiting aside, or ready again after that.
  Skipped skipped() const;

  // Takes a job that is not running out, as it was cancelled; nullopt: it is not here.
  std::optional<JobKey> remove(JobId id);
  void drop_lane(feed::Slice lane);
  // Everything that does not run goes back to the table, to be read again.
  void forget_waiting();

  bool knows(JobId id) const { return known_.contains(id); }
  bool is_running(JobId id) const;
  std::size_t ready() const { return ready_; }
  std::size_t waiting() const { return waiting_; }
  std::size_t bytes() const { return bytes_; }
  // When a bucket that jobs wait for should be asked again; nullopt: none.
  std::optional<core::BootTime> next_token_time() const;

 private:
  struct Item {
    std::unique_ptr<JobRecord> job;
    const KindEntry* kind = nullptr;
    ReadBatch* batch = nullptr;
    std::uint64_t sequence = 0;
  };

  struct TenantQueue {
    std::map<int, std::deque<Item>, std::greater<>> by_priority;
    std::size_t size = 0;
    double virtual_time = 0;
    int weight = 1;
  };

  // Jobs of one class that one executor runs.
  struct ReadyClass {
    std::map<std::string, TenantQueue, std::less<>> tenants;
    std::set<std::pair<double, std::string>> active;  // by virtual time
    double virtual_time = 0;
    std::size_t size = 0;
    std::uint64_t picks = 0;
  };

  struct Group {
    std::array<ReadyClass, kClasses> classes;
    std::size_t size = 0;
    int turn = 0;
  };

  // One cause that holds jobs up.
  struct Blocked {
    Scope scope = Scope::kAll;
    std::string value;
    std::deque<Item> waiting;
    Skipped left;                  // in the table, per class
    std::optional<JobId> left_id;  // of a key: the same in the order of its own index

    bool has_left() const;
  };

  struct Bucket {
    bool unlimited = false;
    int tokens = 0;
    int lease = 0;  // tokens asked for at a time; grows while they are granted in full
    core::BootTime valid_until{};
    core::BootTime ask_at{};
  };

  struct Limit {
    int most = 0;
    int running = 0;
  };

  using ScopeKey = std::pair<Scope, std::string>;

  Group& group_of(const KindEntry* kind);
  std::optional<ScopeKey> obstacle(const Item& item, core::BootTime now, bool starting);
  std::optional<ScopeKey> overflow(const Item& item);
  void make_ready(Item item, bool first);
  void set_aside(Item item, ScopeKey cause);
  void leave(const JobRow& row, const ScopeKey& cause);
  void leave(Scope scope, const std::string& value, int job_class, Cursor before);
  std::optional<Item> pop(Group& group, int job_class);
  std::optional<Item> pick(Group& group);
  void settle_batch(Item& item);
  void release(const ScopeKey& cause, std::size_t most);
  void consider_refill(const ScopeKey& key);
  bool paused(const JobRow& row, ScopeKey& cause) const;
  bool is_full(const ScopeKey& cause) const;
  void drop(Item& item);
  bool take_token(const std::string& key, core::BootTime now);
  void start(const Item& item);
  void erase_if_empty(std::map<ScopeKey, Blocked>::iterator blocked);
  template <class Keep>
  void filter_ready(Keep keep);

  const Registry& registry_;
  std::map<const KindEntry*, std::unique_ptr<Group>> groups_;  // nullptr: handlers of this process
  std::map<ScopeKey, Blocked> blocked_;
  std::set<ScopeKey> refills_;
  std::unordered_map<JobId, Token> known_;  // ready, waiting aside or running
  std::unordered_map<JobId, Token> running_;
  // Of those that run: class and place of a row that has changed since, to be read afterwards.
  std::unordered_map<JobId, std::pair<int, Cursor>> changed_;
  std::unordered_map<std::string, int> key_running_;
  std::map<std::string, Limit, std::less<>> queue_limits_;
  std::unordered_map<std::string, Bucket> buckets_;
  std::vector<QueueState> pauses_;
  std::map<std::string, int, std::less<>> weights_;
  // Ready jobs that belong to no read: the position may have passed them.
  std::array<std::multiset<Cursor>, kClasses> uncovered_;
  std::map<std::pair<int, std::string>, std::size_t> tenant_ready_;
  std::array<std::size_t, kClasses> class_ready_{};
  std::size_t ready_ = 0;
  std::size_t waiting_ = 0;
  std::size_t bytes_ = 0;
  std::uint64_t sequence_ = 0;
  core::BootTime now_{};
};

}  // namespace relevo::worker
