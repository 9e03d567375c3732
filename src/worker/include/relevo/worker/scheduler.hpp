// Which of the jobs read so far start next. Pure: no SQL, no threads; time is handed in.
//
// Jobs that may start stand ready, by class (16 : 4 : 1, so that none starves), inside a class by
// tenant (weighted fair share), inside a tenant by priority, then in the order they came, suspects
// of a crash before the others, since they had their turn; one in eight is the oldest whatever its
// priority. A call that probes an endpoint goes to any of the jobs that failed least. Jobs that
// something stands in the way of (a paused queue, a key at its limit, an empty bucket, a tenant
// with more than its share of the buffer, an endpoint that is down) wait aside, a hundred a cause;
// what is beyond that is left in the table and only the place is remembered where to read again
// (refill), so memory stays bounded.
//
// A row that was offered is never lost: until it is selected either the position of its batch
// stands before it, or skipped() does, or it has a run_at, by which the due index shows it again.
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
#include <random>
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
  std::uint64_t sequence = 0;       // its place in the order of arrival; 0: before all others
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
  std::size_t jobs = 0;                          // in all
  std::size_t pool = 0;                          // for handlers of this process
  std::size_t bytes = 0;                         // of large payloads
  std::function<std::size_t(feed::Slice)> lane;  // claims that the lane's journal takes
};

class Scheduler {
 public:
  // only: queues whose jobs may start, as if all others were paused; empty: all.
  explicit Scheduler(const Registry& registry, std::vector<std::string> only = {});
  ~Scheduler();

  // Takes a row in, unless it is known, not due, or has to wait in the table. batch: whose read it
  // was; may be nullptr.
  void offer(const JobRow& row, ReadBatch* batch);

  // The next jobs to start, each counted as running until ended().
  std::vector<Selected> select(core::BootTime now, const Room& room);
  // Puts a selected job back that was not started; not before `until`.
  void put_back(Selected selected, core::BootTime until = {});
  // A run is over, or was never begun: frees what it held. Its row stays known, and is not taken in
  // again, until forget() says that its end was committed.
  void ended(const JobRow& row);
  void forget(const JobKey& job);

  void set_controls(const Controls& controls, int lanes_held, int lanes);
  // Rate keys of which more jobs wait, or could start in this room for handlers of this process,
  // than tokens are there: ask for so many.
  std::vector<std::pair<std::string, int>> wanted_tokens(core::BootTime now, std::size_t room);
  void granted(const std::string& key, const Tokens& tokens, core::BootTime now);

  // Whether a page of this class may be read.
  bool has_room(int job_class) const;
  // The same for one of jobs that have fallen due: retries do not wait for a backlog to shrink.
  bool has_room_for_due(int job_class) const;
  std::optional<Refill> next_refill();
  void refilled(const Refill& refill, const JobRows& rows, std::optional<Cursor> scanned_to);
  // Rows of a class beyond this place were left by the holder before.
  void skip_from(int job_class, Cursor after);
  // Per class, beyond which place rows are left in the table, or kept here without a batch.
  Skipped skipped() const;
  // Lets the positions of a class go on, however long what is ready has to wait: its places are
  // remembered one by one instead.
  void uncouple(int job_class);

  // Takes a job that is not running out, as it was cancelled; nullopt: it is not here.
  std::optional<JobKey> remove(JobId id);
  void drop_lane(feed::Slice lane);
  // Everything that does not run goes back to the table, to be read again.
  void forget_waiting();

  bool knows(JobId id) const { return known_.contains(id); }
  bool is_running(JobId id) const;
  std::size_t ready() const { return ready_; }
  std::size_t waiting() const { return waiting_ + postponed_.size(); }
  // Whether rows were left in the table.
  bool has_left() const { return !refills_.empty() || reading_; }
  std::size_t bytes() const { return bytes_; }
  // When a bucket that jobs wait for should be asked again, or a job that was put back may be
  // tried; nullopt: none.
  std::optional<core::BootTime> next_time() const;

 private:
  struct Item {
    std::unique_ptr<JobRecord> job;
    const KindEntry* kind = nullptr;
    ReadBatch* batch = nullptr;
    std::uint64_t sequence = 0;
    bool holds_key = false;  // waits for another cause, and nobody of its key may pass it
  };

  struct TenantQueue {
    std::map<int, std::deque<Item>, std::greater<>> by_priority;  // each in order of arrival
    std::size_t size = 0;
    double virtual_time = 0;
    int weight = 1;
  };
  using Lines = decltype(TenantQueue::by_priority);
  using Tenants = std::map<std::string, TenantQueue, std::less<>>;

  // Jobs of one class that one executor runs.
  struct ReadyClass {
    Tenants tenants;
    std::set<std::pair<double, std::string>> active;  // by virtual time
    double virtual_time = 0;
    std::size_t size = 0;
    std::size_t bytes = 0;
    std::uint64_t picks = 0;

    std::size_t of_tenant(std::string_view tenant) const;
  };

  struct Group {
    std::array<ReadyClass, kClasses> classes;
    std::size_t size = 0;
    int turn = 0;
  };

  // What holds jobs up. pause: which pause, when that is the reason, since several may be of one
  // queue. endpoint: of which kind's endpoint a tenant has its share.
  struct Cause {
    Scope scope = Scope::kAll;
    std::string value;
    std::string pause;
    std::string endpoint{};

    friend auto operator<=>(const Cause&, const Cause&) = default;
  };

  struct Blocked {
    std::deque<Item> waiting;      // in order of arrival
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

  struct Reading {
    Cause cause;
    Refill refill;
  };

  struct Postponed {
    core::BootTime until{};
    Item item;
  };

  Group& group_of(const KindEntry* kind);
  const ReadyClass* remote_class(const std::string& pattern, int job_class) const;
  std::size_t group_buffer() const;
  bool is_stale(const JobRow& row) const;
  std::optional<Cause> obstacle(const Item& item);
  bool is_ahead_of_its_key(const Item& item);
  std::optional<Cause> behind(const JobRow& row, const KindEntry* kind) const;
  std::optional<Cause> overflow(const JobRow& row, const KindEntry* kind) const;
  void keep(Item item, const Cause& why);
  void make_ready(Item item);
  void make_ready(std::vector<Item> items);
  std::deque<Item>& line_for(const Item& item);
  void set_aside(Item item, const Cause& cause);
  void leave(const JobRow& row, const Cause& cause);
  void leave(const Cause& cause, int job_class, Cursor from);
  Item take_out(Group& group, int job_class, Tenants::iterator found, Lines::iterator line,
                const std::deque<Item>::iterator& place);
  std::optional<Item> pop(Group& group, int job_class);
  std::optional<Item> pick(Group& group);
  std::optional<Item> pick_any(Group& group);
  void select_from(const KindEntry* owner, Group& group, core::BootTime now, const Room& room,
                   std::vector<Selected>& selected, std::size_t& bytes,
                   std::map<feed::Slice, std::size_t>& taken);
  void uncouple(Item& item);
  void remember(const Item& item);
  void let_go(Item& item);
  void drop(Item& item);
  void release(const Cause& cause, std::size_t most);
  void release_key(const std::string& key);
  void release_queue(std::string_view queue);
  void hold_up(Item item, const Cause& cause);
  void make_way(Blocked& blocked, const Item& item, const Cause& cause);
  void give_back(Item& item, const Cause& cause);
  void pass_on(const JobRow& row, Scope but);
  std::size_t free_of_queue(std::string_view queue) const;
  std::size_t free_of_key(const std::string& key, const KindEntry* kind) const;
  bool may_read(const Cause& cause, const Blocked& blocked, int job_class) const;
  bool has_room(int job_class, std::size_t buffers) const;
  std::optional<Cause> pause_of(const JobRow& row) const;
  bool is_paused(const Cause& cause) const;
  bool is_full(const Cause& cause, JobId id) const;
  void take_of_key(const Cause& cause, const Refill& refill, const JobRows& rows,
                   std::optional<Cursor> scanned_to);
  bool take_token(const std::string& key, core::BootTime now);
  int tokens_of(const std::string& key, core::BootTime now) const;
  void start(const JobRow& row);
  void erase_if_empty(std::map<Cause, Blocked>::iterator blocked);
  template <class Keep>
  void filter(Keep keep);

  const Registry& registry_;
  const std::vector<std::string> only_;
  std::map<const KindEntry*, std::unique_ptr<Group>> groups_;  // nullptr: handlers of this process
  std::map<Cause, Blocked> blocked_;
  std::set<Cause> refills_;  // of which rows were left
  Cause last_refill_;
  std::optional<Reading> reading_;
  std::deque<Postponed> postponed_;
  std::array<std::multiset<Cursor>, kClasses> places_;  // of what is kept here without a batch
  std::unordered_map<JobId, Token>
      known_;  // ready, waiting aside, running or about to be forgotten
  std::unordered_map<JobId, Token> running_;
  // Of those that run: class and place of a row that has changed since, to be read afterwards.
  std::unordered_map<JobId, std::pair<int, Cursor>> changed_;
  std::unordered_map<std::string, int> key_running_;
  std::unordered_map<std::string, int> key_held_;
  // Keys of which earlier ones were read later than what was ready then: from which id on, and the
  // arrivals at that time.
  struct Reread {
    std::uint64_t sequence = 0;
    JobId from = 0;
  };
  std::unordered_map<std::string, Reread> reread_;
  std::map<std::string, int, std::less<>> queue_running_;
  std::map<std::string, int, std::less<>> queue_limits_;
  std::unordered_map<std::string, Bucket> buckets_;
  std::vector<QueueState> pauses_;
  std::map<std::string, int, std::less<>> weights_;
  std::map<std::pair<int, std::string>, std::size_t> tenant_ready_;
  std::unordered_map<std::string, std::size_t> rate_ready_;  // for handlers of this process
  std::size_t ready_ = 0;
  std::size_t waiting_ = 0;
  std::size_t bytes_ = 0;
  std::size_t aside_bytes_ = 0;
  std::uint64_t suspects_ = 0;
  std::uint64_t sequence_ = std::uint64_t{1} << 32;  // beyond every suspect
  std::size_t rounds_ = 0;
  std::minstd_rand random_;  // which job a probe takes; the same in every run
};

}  // namespace relevo::worker
