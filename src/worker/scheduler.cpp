#include "relevo/worker/scheduler.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "relevo/core/invariant.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBuffer = 2'000;         // ready jobs of a class before reading pauses
constexpr std::size_t kBufferBytes = 2 << 20;  // of them
constexpr std::size_t kGroupBuffer = 500;      // ready jobs of a class for one endpoint …
constexpr std::size_t kRemoteBuffer = 2'000;   // … and for all of them
constexpr std::size_t kRemoteBytes = 4 << 20;
constexpr std::size_t kTenantBuffer = kBuffer / 2;
constexpr std::size_t kAsideOfKey = 100;  // jobs waiting for one key
constexpr std::size_t kAside = 2'000;     // jobs waiting for another cause
constexpr std::size_t kAllAside = 6'000;
constexpr std::size_t kAsideBytes = 6 << 20;
constexpr int kMostTokens = 4'000;
constexpr std::size_t kMostCauses = 20'000;
constexpr std::size_t kMostPassedBy = 256;  // in one selection
constexpr std::size_t kRefillsLookedAt = 64;
constexpr std::size_t kRatesLookedAt = 64;
constexpr std::uint64_t kOldestEvery = 8;
constexpr auto kLeaseOfTokens = 100ms;
// Shares of the classes: of 21 turns 16 are high, 4 normal, 1 low.
constexpr int kTurns = 21;
constexpr int class_of_turn(int turn) { return turn == 20 ? 2 : turn % 5 == 4 ? 1 : 0; }

bool covers(std::string_view pattern, std::string_view name) {
  if (pattern == "*") return true;
  if (pattern.ends_with('*')) return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == name;
}

Cursor before(Cursor at) { return {at.xid, at.id - 1}; }

std::size_t index(int job_class) { return static_cast<std::size_t>(job_class); }

std::string name_of(const QueueState& pause) { return pause.queue + '\n' + pause.kind; }

// Instead of the name of a pause, which holds a queue.
constexpr auto kNotOurs = "\n";

// Keeps the order of arrival, whichever way an item comes back.
template <class Item>
void insert_in_order(std::deque<Item>& line, Item item) {
  if (line.empty() || line.back().sequence < item.sequence) {
    line.push_back(std::move(item));
    return;
  }
  const auto place = std::lower_bound(
      line.begin(), line.end(), item.sequence,
      [](const Item& other, std::uint64_t sequence) { return other.sequence < sequence; });
  line.insert(place, std::move(item));
}

// Of those added that have the fewest attempts one, each as likely as the others.
template <class Place>
struct LeastTried {
  void add(int tried, const Place& place, std::minstd_rand& random) {
    if (one && tried > attempts) return;
    if (!one || tried < attempts) alike = 0;
    attempts = tried;
    if (std::uniform_int_distribution(0, alike++)(random) == 0) one = place;
  }

  std::optional<Place> one;
  int attempts = 0;
  int alike = 0;
};

}  // namespace

std::size_t Scheduler::ReadyClass::of_tenant(std::string_view tenant) const {
  const auto found = tenants.find(tenant);
  return found == tenants.end() ? 0 : found->second.size;
}

Scheduler::Scheduler(const Registry& registry, std::vector<std::string> only)
    : registry_(registry), only_(std::move(only)) {}
Scheduler::~Scheduler() = default;

Scheduler::Group& Scheduler::group_of(const KindEntry* kind) {
  const auto* owner = is_remote(kind) ? kind : nullptr;
  auto& group = groups_[owner];
  if (!group) group = std::make_unique<Group>();
  return *group;
}

const Scheduler::ReadyClass* Scheduler::remote_class(const std::string& pattern,
                                                     int job_class) const {
  for (const auto& [owner, group] : groups_) {
    if (owner && owner->pattern == pattern) return &group->classes[index(job_class)];
  }
  return nullptr;
}

// Many endpoints share what is kept for all of them, lest those that are down take all memory.
std::size_t Scheduler::group_buffer() const {
  return std::clamp(kRemoteBuffer / std::max<std::size_t>(groups_.size(), 1), std::size_t{16},
                    kGroupBuffer);
}

bool Scheduler::is_stale(const JobRow& row) const {
  const auto known = known_.find(row.at.id);
  return known == known_.end() || known->second != row.token;
}

void Scheduler::offer(const JobRow& row, ReadBatch* batch) {
  if (!row.due) return;
  if (const auto known = known_.find(row.at.id); known != known_.end()) {
    if (known->second == row.token) return;
    if (running_.contains(row.at.id)) {
      changed_[row.at.id] = {row.job_class, before(row.at)};
      return;
    }
    remove(row.at.id);  // replaced since it was read
  }
  auto& arrivals = row.crashes > 0 ? suspects_ : sequence_;
  Item item{nullptr, registry_.find(row.kind), batch, ++arrivals};
  std::optional<Cause> why = behind(row, item.kind);
  if (why) return leave(row, *why);
  if (row.concurrency_key) {
    Cause key{Scope::kKey, std::string(*row.concurrency_key), {}};
    if (blocked_.contains(key)) why = std::move(key);  // behind those that came before
  }
  if (!why) why = pause_of(row);
  if (why) {
    if (is_full(*why, row.at.id)) return leave(row, *why);
    item.batch = nullptr;
    item.job = std::make_unique<JobRecord>(row);
    keep(std::move(item), *why);
    return;
  }
  if (const auto full = overflow(row, item.kind)) return leave(row, *full);
  item.job = std::make_unique<JobRecord>(row);
  known_[row.at.id] = row.token;
  bytes_ += item.job->size();
  if (batch) {
    ++batch->left;
  } else {
    remember(item);
  }
  make_ready(std::move(item));
}

// Takes in what waits aside from the beginning.
void Scheduler::keep(Item item, const Cause& why) {
  known_[item.job->row().at.id] = item.job->row().token;
  bytes_ += item.job->size();
  remember(item);
  set_aside(std::move(item), why);
}

// Whether one more that waits for this cause has to stay in the table.
bool Scheduler::is_full(const Cause& cause, JobId id) const {
  if (waiting_ >= kAllAside || aside_bytes_ >= kAsideBytes) return true;
  const auto found = blocked_.find(cause);
  if (found == blocked_.end()) return false;
  const auto& blocked = found->second;
  if (cause.scope != Scope::kKey) return blocked.waiting.size() >= kAside;
  // Once some of a key were left, later ones would overtake them.
  return (blocked.left_id && id > *blocked.left_id) || blocked.waiting.size() >= kAsideOfKey;
}

bool Scheduler::Blocked::has_left() const {
  return std::any_of(left.begin(), left.end(), [](const auto& place) { return place.has_value(); });
}

// Of which cause earlier rows were left that this one must not overtake.
std::optional<Scheduler::Cause> Scheduler::behind(const JobRow& row, const KindEntry* kind) const {
  if (refills_.empty()) return std::nullopt;
  const auto is_behind = [&](const Cause& cause) {
    const auto found = blocked_.find(cause);
    if (found == blocked_.end()) return false;
    const auto& place = found->second.left[index(row.job_class)];
    return place && *place < row.at;
  };
  const auto of = [](Scope scope, std::string_view value) {
    return Cause{scope, std::string(value), {}};
  };
  std::vector<Cause> causes;
  if (is_remote(kind)) {
    causes.push_back(of(Scope::kKind, kind->pattern));
    if (row.tenant) {
      causes.push_back({Scope::kTenant, std::string(*row.tenant), {}, kind->pattern});
    }
  }
  if (row.tenant) causes.push_back(of(Scope::kTenant, *row.tenant));
  if (row.rate_key) causes.push_back(of(Scope::kRate, *row.rate_key));
  if (queue_limits_.contains(row.queue)) causes.push_back(of(Scope::kQueue, row.queue));
  const auto cause = std::find_if(causes.begin(), causes.end(), is_behind);
  return cause == causes.end() ? std::nullopt : std::optional(*cause);
}

// Whether the buffer has enough of its kind, so that it must not crowd others out.
std::optional<Scheduler::Cause> Scheduler::overflow(const JobRow& row,
                                                    const KindEntry* kind) const {
  if (is_remote(kind)) {
    const auto* ready = remote_class(kind->pattern, row.job_class);
    const auto most = group_buffer();
    if (ready && (ready->size >= most || ready->bytes >= kRemoteBytes * most / kRemoteBuffer)) {
      return Cause{Scope::kKind, kind->pattern, {}};
    }
    if (row.tenant && ready && ready->of_tenant(*row.tenant) >= most / 2) {
      return Cause{Scope::kTenant, std::string(*row.tenant), {}, kind->pattern};
    }
  }
  if (!row.tenant) return std::nullopt;
  const auto ready = tenant_ready_.find({row.job_class, std::string(*row.tenant)});
  if (ready == tenant_ready_.end() || ready->second < kTenantBuffer) return std::nullopt;
  return Cause{Scope::kTenant, ready->first.second, {}};
}

void Scheduler::make_ready(Item item) {
  auto& line = line_for(item);
  insert_in_order(line, std::move(item));
}

// Those of a line in order of arrival, so that it is put in order once and not once an item.
void Scheduler::make_ready(std::vector<Item> items) {
  std::map<std::deque<Item>*, std::size_t> grown;  // lines, and their lengths before
  for (auto& item : items) {
    auto& line = line_for(item);
    grown.try_emplace(&line, line.size());
    line.push_back(std::move(item));
  }
  for (const auto& [line, length] : grown) {
    const auto added = line->begin() + static_cast<std::ptrdiff_t>(length);
    std::inplace_merge(line->begin(), added, line->end(),
                       [](const Item& x, const Item& y) { return x.sequence < y.sequence; });
  }
}

// Where it is to stand ready; counts it there.
std::deque<Scheduler::Item>& Scheduler::line_for(const Item& item) {
  const auto& row = item.job->row();
  const auto job_class = row.job_class;
  auto& group = group_of(item.kind);
  auto& ready = group.classes[index(job_class)];
  const std::string name(row.tenant.value_or(""));
  auto& tenant = ready.tenants[name];
  if (tenant.size == 0) {
    const auto weight = weights_.find(name);
    tenant.weight = weight == weights_.end() ? 1 : std::max(weight->second, 1);
    // Whoever was away does not catch up on what it did not want.
    tenant.virtual_time = std::max(tenant.virtual_time, ready.virtual_time);
    ready.active.emplace(tenant.virtual_time, name);
  }
  if (row.tenant) ++tenant_ready_[{job_class, name}];
  if (row.rate_key && !is_remote(item.kind)) ++rate_ready_[std::string(*row.rate_key)];
  ready.bytes += item.job->size();
  ++tenant.size;
  ++ready.size;
  ++group.size;
  ++ready_;
  return tenant.by_priority[row.priority];
}

Scheduler::Item Scheduler::take_out(Group& group, int job_class, Tenants::iterator found,
                                    Lines::iterator line, const std::deque<Item>::iterator& place) {
  auto& ready = group.classes[index(job_class)];
  auto& tenant = found->second;
  Item item = std::move(*place);
  line->second.erase(place);
  if (line->second.empty()) tenant.by_priority.erase(line);
  --tenant.size;
  --ready.size;
  --group.size;
  --ready_;
  ready.bytes -= item.job->size();
  const std::string name = found->first;
  ready.virtual_time = ready.active.begin()->first;
  ready.active.erase({tenant.virtual_time, name});
  tenant.virtual_time += 1.0 / tenant.weight;
  if (tenant.size > 0) {
    ready.active.emplace(tenant.virtual_time, name);
  } else if (ready.tenants.size() > kMostCauses) {
    ready.tenants.erase(found);
  }
  if (item.job->row().tenant) {
    const auto count = tenant_ready_.find({job_class, name});
    if (--count->second == 0) tenant_ready_.erase(count);
  }
  if (item.job->row().rate_key && !is_remote(item.kind)) {
    const auto count = rate_ready_.find(std::string(*item.job->row().rate_key));
    if (--count->second == 0) rate_ready_.erase(count);
  }
  return item;
}

std::optional<Scheduler::Item> Scheduler::pop(Group& group, int job_class) {
  auto& ready = group.classes[index(job_class)];
  if (ready.size == 0) return std::nullopt;
  const auto found = ready.tenants.find(ready.active.begin()->second);
  auto& tenant = found->second;
  auto line = tenant.by_priority.begin();
  if (tenant.by_priority.size() > 1 && ++ready.picks % kOldestEvery == 0) {
    line = std::min_element(tenant.by_priority.begin(), tenant.by_priority.end(),
                            [](const auto& x, const auto& y) {
                              return x.second.front().sequence < y.second.front().sequence;
                            });
  }
  return take_out(group, job_class, found, line, line->second.begin());
}

std::optional<Scheduler::Item> Scheduler::pick(Group& group) {
  for (int tries = 0; tries < kTurns; ++tries) {
    const int job_class = class_of_turn(group.turn);
    group.turn = (group.turn + 1) % kTurns;
    if (auto item = pop(group, job_class)) return item;
  }
  return std::nullopt;
}

// For a probe: one of those that failed least, of any class and tenant alike, but none that would
// overtake another of its concurrency key.
std::optional<Scheduler::Item> Scheduler::pick_any(Group& group) {
  struct Place {
    int job_class = 0;
    Tenants::iterator tenant;
    Lines::iterator line;
    std::deque<Item>::iterator item;
  };
  LeastTried<Place> chosen;
  for (int c = 0; c < kClasses; ++c) {
    auto& ready = group.classes[index(c)];
    for (const auto& [time, name] : ready.active) {
      LeastTried<Place> of_tenant;
      const auto tenant = ready.tenants.find(name);
      auto& lines = tenant->second.by_priority;
      for (auto line = lines.begin(); line != lines.end(); ++line) {
        for (auto item = line->second.begin(); item != line->second.end(); ++item) {
          of_tenant.add(item->job->row().attempts, {c, tenant, line, item}, random_);
        }
      }
      chosen.add(of_tenant.attempts, *of_tenant.one, random_);
    }
  }
  if (!chosen.one) return std::nullopt;
  auto [job_class, tenant, line, place] = *chosen.one;
  if (const auto key = place->job->row().concurrency_key) {
    const auto of_key = [&](const Item& item) { return item.job->row().concurrency_key == key; };
    for (line = tenant->second.by_priority.begin();; ++line) {
      place = std::find_if(line->second.begin(), line->second.end(), of_key);
      if (place != line->second.end()) break;
    }
  }
  return take_out(group, job_class, tenant, line, place);
}

std::optional<Scheduler::Cause> Scheduler::pause_of(const JobRow& row) const {
  if (!only_.empty() && std::find(only_.begin(), only_.end(), row.queue) == only_.end()) {
    return Cause{Scope::kQueue, std::string(row.queue), kNotOurs};
  }
  for (const auto& state : pauses_) {
    if (!covers(state.queue, row.queue) || !covers(state.kind, row.kind)) continue;
    // Waits under the narrower name, so that a resume reads no more than it has to.
    return state.queue == "*" ? Cause{Scope::kKind, state.kind, name_of(state)}
                              : Cause{Scope::kQueue, state.queue, name_of(state)};
  }
  return std::nullopt;
}

bool Scheduler::take_token(const std::string& key, core::BootTime now) {
  auto& bucket = buckets_[key];
  if (now >= bucket.valid_until) {
    bucket.unlimited = false;
    bucket.tokens = 0;
  }
  if (bucket.unlimited) return true;
  if (bucket.tokens == 0) return false;
  --bucket.tokens;
  return true;
}

// What stands in the way of a start, but for the rate: to ask that draws a token.
std::optional<Scheduler::Cause> Scheduler::obstacle(const Item& item) {
  const auto& row = item.job->row();
  if (auto pause = pause_of(row)) return pause;
  if (row.concurrency_key) {
    Cause key{Scope::kKey, std::string(*row.concurrency_key), {}};
    if (free_of_key(key.value, item.kind) == 0) return key;
    const auto blocked = blocked_.find(key);
    // Earlier ones of it were left in the table.
    if (blocked != blocked_.end() && blocked->second.left_id &&
        *blocked->second.left_id < row.at.id) {
      return key;
    }
  }
  if (!queue_limits_.empty() && free_of_queue(row.queue) == 0) {
    return Cause{Scope::kQueue, std::string(row.queue), {}};
  }
  return std::nullopt;
}

// It became ready before earlier ones of its key, which had been left in the table, came back.
bool Scheduler::is_ahead_of_its_key(const Item& item) {
  const auto& row = item.job->row();
  if (reread_.empty() || !row.concurrency_key || row.crashes > 0) return false;
  const auto reread = reread_.find(std::string(*row.concurrency_key));
  if (reread == reread_.end()) return false;
  if (item.sequence <= reread->second.sequence) return row.at.id > reread->second.from;
  reread_.erase(reread);  // what was older in this line has gone before
  return false;
}

void Scheduler::remember(const Item& item) {
  const auto& row = item.job->row();
  if (!row.run_at) places_[index(row.job_class)].insert(row.at);
}

void Scheduler::uncouple(Item& item) {
  if (!item.batch) return;
  --item.batch->left;
  item.batch = nullptr;
  remember(item);
}

void Scheduler::uncouple(int job_class) {
  for (auto& [owner, group] : groups_) {
    for (auto& [name, tenant] : group->classes[index(job_class)].tenants) {
      for (auto& [priority, line] : tenant.by_priority) {
        for (auto& item : line) uncouple(item);
      }
    }
  }
}

// It does not wait for its cause any more.
void Scheduler::let_go(Item& item) {
  aside_bytes_ -= item.job->size();
  --waiting_;
  if (!std::exchange(item.holds_key, false)) return;
  const auto held = key_held_.find(std::string(*item.job->row().concurrency_key));
  if (--held->second == 0) key_held_.erase(held);
}

// The item leaves this memory.
void Scheduler::drop(Item& item) {
  const auto& row = item.job->row();
  bytes_ -= item.job->size();
  if (item.batch) {
    --item.batch->left;
    item.batch = nullptr;
  } else if (!row.run_at) {
    auto& places = places_[index(row.job_class)];
    const auto place = places.find(row.at);
    RELEVO_INVARIANT(place != places.end(), "what has no batch has a place");
    places.erase(place);
  }
}

void Scheduler::set_aside(Item item, const Cause& cause) {
  uncouple(item);
  aside_bytes_ += item.job->size();
  ++waiting_;
  // Later jobs of its key must not pass it; a pause may last, so it keeps nobody else.
  const bool holds = cause.pause.empty() && cause.scope != Scope::kKey;
  if (const auto& key = item.job->row().concurrency_key; holds && key) {
    item.holds_key = true;
    ++key_held_[std::string(*key)];
  }
  insert_in_order(blocked_[cause].waiting, std::move(item));
}

void Scheduler::leave(const JobRow& row, const Cause& cause) {
  leave(cause, row.job_class, before(row.at));
  if (cause.scope != Scope::kKey) return;
  auto& lowest = blocked_[cause].left_id;
  lowest = std::min(lowest.value_or(row.at.id), row.at.id - 1);
}

void Scheduler::leave(const Cause& cause, int job_class, Cursor from) {
  auto& left = blocked_[cause].left[index(job_class)];
  left = left ? std::min(*left, from) : from;
  refills_.insert(cause);
}

void Scheduler::start(const JobRow& row) {
  running_[row.at.id] = row.token;
  if (row.concurrency_key) ++key_running_[std::string(*row.concurrency_key)];
  const auto queue = queue_running_.find(row.queue);
  if (queue == queue_running_.end()) {
    queue_running_.emplace(row.queue, 1);
  } else {
    ++queue->second;
  }
}

std::vector<Selected> Scheduler::select(core::BootTime now, const Room& room) {
  for (auto one = postponed_.begin(); one != postponed_.end();) {
    if (one->until > now) {
      ++one;
      continue;
    }
    make_ready(std::move(one->item));
    one = postponed_.erase(one);
  }
  std::vector<Selected> selected;
  std::size_t bytes = 0;
  std::map<feed::Slice, std::size_t> taken;
  // The groups take turns in being first, so that none takes all the room each time.
  std::vector<const KindEntry*> owners;
  for (const auto& [owner, group] : groups_) owners.push_back(owner);
  if (owners.empty()) return selected;
  std::rotate(owners.begin(),
              owners.begin() + static_cast<std::ptrdiff_t>(rounds_++ % owners.size()),
              owners.end());
  for (const auto* owner : owners) {
    select_from(owner, *groups_.at(owner), now, room, selected, bytes, taken);
  }
  return selected;
}

void Scheduler::select_from(const KindEntry* owner, Group& group, core::BootTime now,
                            const Room& room, std::vector<Selected>& selected, std::size_t& bytes,
                            std::map<feed::Slice, std::size_t>& taken) {
  std::size_t left = owner ? owner->remote->room() : room.pool;
  const bool probes = owner && owner->remote->probes();
  std::vector<Item> later;  // what finds no room in this selection holds up its own key only
  const auto of_later_key = [&later](const JobRow& row) {
    return row.concurrency_key && std::any_of(later.begin(), later.end(), [&](const Item& item) {
             return item.job->row().concurrency_key == row.concurrency_key;
           });
  };
  while (left > 0 && selected.size() < room.jobs && group.size > 0 &&
         later.size() < kMostPassedBy) {
    auto item = probes ? pick_any(group) : pick(group);
    if (!item) break;
    const auto& row = item->job->row();
    if (is_stale(row)) {
      drop(*item);  // replaced or cancelled since
      pass_on(row, Scope::kAll);
      continue;
    }
    if (is_ahead_of_its_key(*item)) {
      give_back(*item, {Scope::kKey, std::string(*row.concurrency_key), {}});
      pass_on(row, Scope::kKey);
      continue;
    }
    if (const auto cause = obstacle(*item)) {
      hold_up(std::move(*item), *cause);
      continue;
    }
    const auto large =
        row.payload ? std::size_t{0} : static_cast<std::size_t>(std::max(row.payload_bytes, 0));
    const bool too_large = large > 0 && bytes > 0 && bytes + large > room.bytes;
    if (too_large || taken[row.lane] >= room.lane(row.lane) || of_later_key(row)) {
      later.push_back(std::move(*item));
      continue;
    }
    if (row.rate_key && !take_token(std::string(*row.rate_key), now)) {
      hold_up(std::move(*item), Cause{Scope::kRate, std::string(*row.rate_key), {}});
      continue;
    }
    bytes += large;
    ++taken[row.lane];
    drop(*item);
    start(row);
    selected.push_back({std::move(item->job), item->kind, item->sequence});
    --left;
  }
  for (auto& item : later) make_ready(std::move(item));
}

// Sets aside what was ready, or leaves it in the table.
void Scheduler::hold_up(Item item, const Cause& cause) {
  const auto* job = item.job.get();
  const auto found = blocked_.find(cause);
  if (cause.scope == Scope::kKey && found != blocked_.end()) make_way(found->second, item, cause);
  if (is_full(cause, job->row().at.id)) {
    give_back(item, cause);
    pass_on(job->row(), cause.scope);
    return;
  }
  set_aside(std::move(item), cause);
  pass_on(job->row(), cause.scope);
}

// Of a key, later ones must not wait here while an earlier one is left in the table: all that come
// after it go back, to be read again in their order.
void Scheduler::make_way(Blocked& blocked, const Item& item, const Cause& cause) {
  const bool left = blocked.left_id && item.job->row().at.id > *blocked.left_id;
  while (!blocked.waiting.empty() && (left || blocked.waiting.size() >= kAsideOfKey) &&
         (left || blocked.waiting.back().sequence > item.sequence)) {
    Item last = std::move(blocked.waiting.back());
    blocked.waiting.pop_back();
    let_go(last);
    give_back(last, cause);
  }
}

// To the table.
void Scheduler::give_back(Item& item, const Cause& cause) {
  const auto& row = item.job->row();
  if (!is_stale(row)) {
    leave(row, cause);
    known_.erase(row.at.id);
  }
  drop(item);
}

// A job whose turn it was did not start after all: the turn goes to the next.
void Scheduler::pass_on(const JobRow& row, Scope but) {
  if (row.concurrency_key && but != Scope::kKey) release_key(std::string(*row.concurrency_key));
  if (but != Scope::kQueue) release_queue(row.queue);
}

void Scheduler::put_back(Selected selected, core::BootTime until) {
  const auto& row = selected.job->row();
  ended(row);
  Item item{std::move(selected.job), selected.kind, nullptr, selected.sequence};
  bytes_ += item.job->size();
  remember(item);
  if (until == core::BootTime{}) {
    make_ready(std::move(item));
  } else {
    postponed_.push_back({until, std::move(item)});
  }
}

void Scheduler::ended(const JobRow& row) {
  if (running_.erase(row.at.id) == 0) return;
  if (row.concurrency_key) {
    const std::string key(*row.concurrency_key);
    const auto running = key_running_.find(key);
    if (running != key_running_.end() && --running->second == 0) key_running_.erase(running);
    release_key(key);
  }
  const auto queue = queue_running_.find(row.queue);
  if (queue == queue_running_.end()) return;
  if (--queue->second == 0) queue_running_.erase(queue);
  release_queue(row.queue);
}

void Scheduler::forget(const JobKey& job) {
  const auto known = known_.find(job.id);
  // Another token: a newer version of the row was taken in meanwhile.
  if (known != known_.end() && known->second == job.token) known_.erase(known);
  if (running_.contains(job.id)) return;
  if (const auto changed = changed_.find(job.id); changed != changed_.end()) {
    skip_from(changed->second.first, changed->second.second);
    changed_.erase(changed);
  }
}

// What waited for this cause may be tried again.
void Scheduler::release(const Cause& cause, std::size_t most) {
  const auto found = blocked_.find(cause);
  if (found == blocked_.end()) return;
  auto& waiting = found->second.waiting;
  std::vector<Item> freed;
  while (freed.size() < most && !waiting.empty()) {
    let_go(waiting.front());
    freed.push_back(std::move(waiting.front()));
    waiting.pop_front();
  }
  erase_if_empty(found);
  make_ready(std::move(freed));
}

void Scheduler::release_key(const std::string& key) {
  const Cause cause{Scope::kKey, key, {}};
  const auto found = blocked_.find(cause);
  if (found == blocked_.end() || found->second.waiting.empty()) return;
  release(cause, free_of_key(key, found->second.waiting.front().kind));
}

// How many more of this key may start: those that wait elsewhere have their turn already.
std::size_t Scheduler::free_of_key(const std::string& key, const KindEntry* kind) const {
  const auto count = [&](const auto& counts) {
    const auto found = counts.find(key);
    return found == counts.end() ? 0 : found->second;
  };
  const int most = kind ? std::max(kind->policy.key_concurrency, 1) : 1;
  return static_cast<std::size_t>(std::max(most - count(key_running_) - count(key_held_), 0));
}

void Scheduler::release_queue(std::string_view queue) {
  if (blocked_.empty()) return;
  release({Scope::kQueue, std::string(queue), {}}, free_of_queue(queue));
}

// How many more of this queue may run.
std::size_t Scheduler::free_of_queue(std::string_view queue) const {
  const auto limit = queue_limits_.find(queue);
  if (limit == queue_limits_.end()) return kAside;
  const auto running = queue_running_.find(queue);
  const int now = running == queue_running_.end() ? 0 : running->second;
  return static_cast<std::size_t>(std::max(limit->second - now, 0));
}

void Scheduler::erase_if_empty(std::map<Cause, Blocked>::iterator blocked) {
  if (!blocked->second.waiting.empty() || blocked->second.has_left()) return;
  refills_.erase(blocked->first);
  blocked_.erase(blocked);
}

void Scheduler::set_controls(const Controls& controls, int lanes_held, int lanes) {
  pauses_.clear();
  queue_limits_.clear();
  weights_.clear();
  for (const auto& state : controls.queues) {
    if (state.paused) pauses_.push_back(state);
    if (!state.concurrency || state.kind != "*" || state.queue == "*") continue;
    // A replica's share of the limit; at least one, or jobs of its lanes would never run.
    const auto share = std::int64_t{*state.concurrency} * lanes_held / std::max(lanes, 1);
    queue_limits_[state.queue] = static_cast<int>(
        std::clamp(share, std::int64_t{1}, std::int64_t{std::numeric_limits<int>::max()}));
  }
  for (const auto& [tenant, weight] : controls.tenant_weights) weights_[tenant] = weight;
  std::vector<Cause> causes;
  for (const auto& [cause, blocked] : blocked_) {
    if (!blocked.waiting.empty()) causes.push_back(cause);
  }
  for (const auto& cause : causes) {
    if (cause.scope == Scope::kKey) {
      release_key(cause.value);
    } else if (!cause.pause.empty()) {
      if (!is_paused(cause)) release(cause, kAside);
    } else if (cause.scope == Scope::kQueue) {
      release_queue(cause.value);
    }
  }
}

bool Scheduler::is_paused(const Cause& cause) const {
  if (cause.pause == kNotOurs) return true;
  return std::any_of(pauses_.begin(), pauses_.end(),
                     [&](const QueueState& state) { return name_of(state) == cause.pause; });
}

std::vector<std::pair<std::string, int>> Scheduler::wanted_tokens(core::BootTime now,
                                                                  std::size_t room) {
  std::vector<std::pair<std::string, int>> wanted;
  std::set<std::string_view> asked;
  for (auto i = blocked_.lower_bound({Scope::kRate, {}, {}});
       i != blocked_.end() && i->first.scope == Scope::kRate; ++i) {
    if (i->second.waiting.empty()) continue;
    const auto& key = i->first.value;
    asked.insert(key);
    const auto bucket = buckets_.find(key);
    if (bucket != buckets_.end() && now < bucket->second.ask_at) continue;
    const int lease = bucket == buckets_.end() ? 0 : bucket->second.lease;
    wanted.emplace_back(key, std::max(lease, static_cast<int>(i->second.waiting.size())));
  }
  // Before their turn comes: one that finds its bucket empty then has to wait aside. No more than
  // can start, since what is not used is lost to all.
  auto ready = rate_ready_.begin();
  for (std::size_t i = 0; i < kRatesLookedAt && ready != rate_ready_.end(); ++i, ++ready) {
    const auto& [key, jobs] = *ready;
    const auto starts = static_cast<int>(std::min({jobs, room, std::size_t{kMostTokens}}));
    const int here = tokens_of(key, now);
    if (starts > here && !asked.contains(key)) wanted.emplace_back(key, starts - here);
  }
  return wanted;
}

// How many jobs of this rate may start without asking for more; asking is of no use: as many as
// there are.
int Scheduler::tokens_of(const std::string& key, core::BootTime now) const {
  const auto found = buckets_.find(key);
  if (found == buckets_.end()) return 0;
  const auto& bucket = found->second;
  const bool valid = now < bucket.valid_until;
  if ((valid && bucket.unlimited) || now < bucket.ask_at) return kMostTokens;
  return valid ? bucket.tokens : 0;
}

void Scheduler::granted(const std::string& key, const Tokens& tokens, core::BootTime now) {
  auto& bucket = buckets_[key];
  const int left = now < bucket.valid_until && !bucket.unlimited ? bucket.tokens : 0;
  const int more = std::max(tokens.granted.value_or(0), 0);
  bucket.unlimited = !tokens.granted;
  bucket.tokens = left + more;
  bucket.valid_until = now + (bucket.unlimited ? std::chrono::nanoseconds(1s) : kLeaseOfTokens);
  const bool in_full = tokens.wait == 0ms;
  bucket.lease = in_full ? std::clamp(more, 1, kMostTokens / 2) * 2 : std::max(bucket.lease / 2, 1);
  bucket.ask_at = now + tokens.wait;
  release({Scope::kRate, key, {}},
          bucket.unlimited ? kAside : static_cast<std::size_t>(bucket.tokens));
  if (buckets_.size() > kMostCauses) {
    std::erase_if(buckets_, [&](const auto& b) { return b.second.valid_until < now; });
  }
}

std::optional<core::BootTime> Scheduler::next_time() const {
  std::optional<core::BootTime> soonest;
  const auto consider = [&](core::BootTime at) {
    if (!soonest || at < *soonest) soonest = at;
  };
  for (auto i = blocked_.lower_bound({Scope::kRate, {}, {}});
       i != blocked_.end() && i->first.scope == Scope::kRate; ++i) {
    if (i->second.waiting.empty()) continue;
    const auto bucket = buckets_.find(i->first.value);
    consider(bucket == buckets_.end() ? core::BootTime{} : bucket->second.ask_at);
  }
  for (const auto& one : postponed_) consider(one.until);
  return soonest;
}

// Only jobs for handlers of this process count: endpoints that are down must not stop the reading.
bool Scheduler::has_room(int job_class) const { return has_room(job_class, 1); }

bool Scheduler::has_room_for_due(int job_class) const { return has_room(job_class, 2); }

bool Scheduler::has_room(int job_class, std::size_t buffers) const {
  const auto group = groups_.find(nullptr);
  if (blocked_.size() >= kMostCauses) return false;
  if (group == groups_.end()) return true;
  const auto& ready = group->second->classes[index(job_class)];
  return ready.size < buffers * kBuffer && ready.bytes < buffers * kBufferBytes;
}

// Whether reading what was left of this cause would not only leave it again.
bool Scheduler::may_read(const Cause& cause, const Blocked& blocked, int job_class) const {
  if (cause.scope == Scope::kAll) return has_room(job_class);
  if (!blocked.waiting.empty() || !has_room(job_class)) return false;
  if (!cause.pause.empty()) return !is_paused(cause);
  if (cause.scope == Scope::kQueue) return free_of_queue(cause.value) > 0;
  if (cause.scope == Scope::kTenant && !cause.endpoint.empty()) {
    const auto* ready = remote_class(cause.endpoint, job_class);
    return !ready || ready->of_tenant(cause.value) <= group_buffer() / 4;
  }
  if (cause.scope == Scope::kTenant) {
    const auto ready = tenant_ready_.find({job_class, cause.value});
    return ready == tenant_ready_.end() || ready->second <= kTenantBuffer / 2;
  }
  if (cause.scope == Scope::kKind) {
    const auto* ready = remote_class(cause.value, job_class);
    const auto half = group_buffer() / 2;
    return !ready || (ready->size <= half && ready->bytes <= kRemoteBytes * half / kRemoteBuffer);
  }
  return true;
}

std::optional<Refill> Scheduler::next_refill() {
  RELEVO_INVARIANT(!reading_, "one refill at a time");
  const auto looks = std::min(refills_.size(), kRefillsLookedAt);
  for (std::size_t i = 0; i < looks && !refills_.empty(); ++i) {
    auto at = refills_.upper_bound(last_refill_);
    if (at == refills_.end()) at = refills_.begin();
    last_refill_ = *at;
    const auto cause = *at;
    const auto found = blocked_.find(cause);
    if (found == blocked_.end() || !found->second.has_left()) {
      refills_.erase(at);
      continue;
    }
    auto& blocked = found->second;
    // What cannot be taken in is left again; until it is known, reading_ remembers the place.
    if (cause.scope == Scope::kKey) {
      if (!blocked.waiting.empty()) continue;
      Refill refill{cause.scope, cause.value, 0, {0, blocked.left_id.value_or(-1)}, blocked.left};
      blocked.left = {};
      blocked.left_id.reset();
      reading_ = Reading{cause, refill};
      return refill;
    }
    for (int c = 0; c < kClasses; ++c) {
      auto& place = blocked.left[index(c)];
      if (!place || !may_read(cause, blocked, c)) continue;
      Refill refill{cause.scope, cause.value, c, *place, {}};
      refill.previous[index(c)] = *place;
      place.reset();
      reading_ = Reading{cause, refill};
      return refill;
    }
  }
  return std::nullopt;
}

void Scheduler::refilled(const Refill& refill, const JobRows& rows,
                         std::optional<Cursor> scanned_to) {
  RELEVO_INVARIANT(reading_, "a refill is answered once");
  const auto cause = std::exchange(reading_, std::nullopt)->cause;
  const bool asked = cause.scope == refill.scope && cause.value == refill.value;
  RELEVO_INVARIANT(asked, "what was asked for is answered");
  if (cause.scope == Scope::kKey) {
    take_of_key(cause, refill, rows, scanned_to);
  } else {
    for (const auto& row : rows.rows) offer(row, nullptr);
    if (scanned_to) leave(cause, refill.job_class, *scanned_to);
  }
  if (const auto found = blocked_.find(cause); found != blocked_.end()) erase_if_empty(found);
}

// Read by its own index, all classes at once, in the order of ids.
void Scheduler::take_of_key(const Cause& cause, const Refill& refill, const JobRows& rows,
                            std::optional<Cursor> scanned_to) {
  bool some = false;
  for (const auto& row : rows.rows) {
    if (!row.due) continue;
    if (const auto known = known_.find(row.at.id); known != known_.end()) {
      if (known->second == row.token || running_.contains(row.at.id)) continue;
      remove(row.at.id);
    }
    // At least one, or a key would wait as long as others fill the memory.
    if (some && (waiting_ >= kAllAside || aside_bytes_ >= kAsideBytes)) {
      scanned_to = before(row.at);
      break;
    }
    if (!some) {
      if (reread_.size() >= kMostCauses) reread_.clear();  // of jobs that were removed since
      reread_[cause.value] = {sequence_, row.at.id};
    }
    some = true;
    keep(Item{std::make_unique<JobRecord>(row), registry_.find(row.kind), nullptr, ++sequence_},
         cause);
  }
  if (scanned_to) {
    auto& blocked = blocked_[cause];
    for (int c = 0; c < kClasses; ++c) {
      if (const auto& place = refill.previous[index(c)]) leave(cause, c, *place);
    }
    blocked.left_id = std::min(blocked.left_id.value_or(scanned_to->id), scanned_to->id);
  }
  release_key(cause.value);
}

void Scheduler::skip_from(int job_class, Cursor after) {
  leave({Scope::kAll, {}, {}}, job_class, after);
}

Skipped Scheduler::skipped() const {
  Skipped all = reading_ ? reading_->refill.previous : Skipped{};
  for (int c = 0; c < kClasses; ++c) {
    auto& lowest = all[index(c)];
    const auto include = [&](Cursor place) { lowest = lowest ? std::min(*lowest, place) : place; };
    if (!places_[index(c)].empty()) include(before(*places_[index(c)].begin()));
    for (const auto& cause : refills_) {
      const auto found = blocked_.find(cause);
      if (found == blocked_.end()) continue;
      if (const auto& left = found->second.left[index(c)]) include(*left);
    }
  }
  for (const auto& [id, changed] : changed_) {
    auto& lowest = all[index(changed.first)];
    lowest = lowest ? std::min(*lowest, changed.second) : changed.second;
  }
  return all;
}

// Keeps only some of what does not run.
template <class Keep>
void Scheduler::filter(Keep keep) {
  const auto sort_out = [&](Item& item) {
    if (keep(item)) return false;
    if (!is_stale(item.job->row())) known_.erase(item.job->row().at.id);
    drop(item);
    return true;
  };
  std::vector<Item> kept;
  for (auto& [owner, group] : groups_) {
    for (auto& ready : group->classes) {
      for (auto& [name, tenant] : ready.tenants) {
        for (auto& [priority, line] : tenant.by_priority) {
          for (auto& item : line) {
            if (!sort_out(item)) kept.push_back(std::move(item));
          }
        }
        tenant.by_priority.clear();
        tenant.size = 0;
      }
      ready.active.clear();
      ready.size = 0;
      ready.bytes = 0;
    }
    group->size = 0;
  }
  ready_ = 0;
  tenant_ready_.clear();
  rate_ready_.clear();
  make_ready(std::move(kept));
  for (auto blocked = blocked_.begin(); blocked != blocked_.end();) {
    const auto next = std::next(blocked);
    std::erase_if(blocked->second.waiting, [&](Item& item) {
      if (!sort_out(item)) return false;
      let_go(item);
      return true;
    });
    erase_if_empty(blocked);
    blocked = next;
  }
  std::erase_if(postponed_, [&](Postponed& one) { return sort_out(one.item); });
}

std::optional<JobKey> Scheduler::remove(JobId id) {
  const auto known = known_.find(id);
  if (known == known_.end() || running_.contains(id)) return std::nullopt;
  const JobKey key{id, known->second};
  // The record itself is dropped when it is picked: it is not known any more.
  known_.erase(known);
  return key;
}

bool Scheduler::is_running(JobId id) const { return running_.contains(id); }

void Scheduler::drop_lane(feed::Slice lane) {
  filter([lane](const Item& item) { return item.job->row().lane != lane; });
}

void Scheduler::forget_waiting() {
  const auto left = skipped();
  reading_.reset();
  filter([](const Item&) { return false; });
  blocked_.clear();
  refills_.clear();
  reread_.clear();
  for (int c = 0; c < kClasses; ++c) {
    if (const auto& place = left[index(c)]) skip_from(c, *place);
  }
}

}  // namespace relevo::worker
