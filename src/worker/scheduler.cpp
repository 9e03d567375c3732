#include "relevo/worker/scheduler.hpp"

#include <algorithm>
#include <utility>

#include "relevo/core/invariant.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBuffer = 2'000;         // ready jobs of a class before reading pauses
constexpr std::size_t kBufferBytes = 6 << 20;  // of all jobs kept here
constexpr std::size_t kGroupBuffer = 500;      // ready jobs of a class for one endpoint
constexpr std::size_t kTenantBuffer = kBuffer / 2;
constexpr std::size_t kAsideOfKey = 100;  // jobs waiting for one key
constexpr std::size_t kAside = 2'000;     // jobs waiting for another cause
constexpr std::size_t kAllAside = 6'000;
constexpr int kMostTokens = 4'000;
constexpr std::size_t kMostCauses = 20'000;
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

}  // namespace

Scheduler::Scheduler(const Registry& registry) : registry_(registry) {}
Scheduler::~Scheduler() = default;

Scheduler::Group& Scheduler::group_of(const KindEntry* kind) {
  const auto* owner = kind && kind->remote ? kind : nullptr;
  auto& group = groups_[owner];
  if (!group) group = std::make_unique<Group>();
  return *group;
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
  Item item{nullptr, registry_.find(row.kind), batch, ++sequence_};
  const auto hold_up = [&](const ScopeKey& why) {
    if (is_full(why)) return leave(row, why);
    item.job = std::make_unique<JobRecord>(row);
    item.batch = nullptr;
    known_[row.at.id] = row.token;
    bytes_ += item.job->size();
    set_aside(std::move(item), why);
  };
  if (row.concurrency_key) {
    ScopeKey key{Scope::kKey, std::string(*row.concurrency_key)};
    if (blocked_.contains(key)) return hold_up(key);  // behind those that came before
  }
  ScopeKey cause;
  if (paused(row, cause)) return hold_up(cause);
  item.job = std::make_unique<JobRecord>(row);
  if (auto why = overflow(item)) return leave(row, *why);
  known_[row.at.id] = row.token;
  bytes_ += item.job->size();
  if (batch) ++batch->left;
  make_ready(std::move(item), false);
}

// Whether one more that waits for this cause has to stay in the table.
bool Scheduler::is_full(const ScopeKey& cause) const {
  if (waiting_ >= kAllAside) return true;
  const auto found = blocked_.find(cause);
  if (found == blocked_.end()) return false;
  const auto& blocked = found->second;
  // Once some of a key were left, later ones would overtake them.
  if (cause.first == Scope::kKey) return blocked.left_id || blocked.waiting.size() >= kAsideOfKey;
  return blocked.waiting.size() >= kAside;
}

bool Scheduler::Blocked::has_left() const {
  return std::any_of(left.begin(), left.end(), [](const auto& place) { return place.has_value(); });
}

// Whether the buffer has enough of its kind, so that it must not crowd others out.
std::optional<Scheduler::ScopeKey> Scheduler::overflow(const Item& item) {
  const auto& row = item.job->row();
  const auto job_class = static_cast<std::size_t>(row.job_class);
  if (item.kind && item.kind->remote &&
      group_of(item.kind).classes[job_class].size >= kGroupBuffer) {
    return ScopeKey{Scope::kKind, item.kind->pattern};
  }
  if (row.tenant) {
    const auto ready = tenant_ready_.find({row.job_class, std::string(*row.tenant)});
    if (ready != tenant_ready_.end() && ready->second >= kTenantBuffer) {
      return ScopeKey{Scope::kTenant, std::string(*row.tenant)};
    }
  }
  return std::nullopt;
}

void Scheduler::make_ready(Item item, bool first) {
  const auto& row = item.job->row();
  auto& group = group_of(item.kind);
  auto& ready = group.classes[static_cast<std::size_t>(row.job_class)];
  const std::string name(row.tenant.value_or(""));
  auto& tenant = ready.tenants[name];
  if (tenant.size == 0) {
    const auto weight = weights_.find(name);
    tenant.weight = weight == weights_.end() ? 1 : weight->second;
    // Whoever was away does not catch up on what it did not want.
    tenant.virtual_time = std::max(tenant.virtual_time, ready.virtual_time);
    ready.active.emplace(tenant.virtual_time, name);
  }
  if (row.tenant) ++tenant_ready_[{row.job_class, name}];
  if (!item.batch) uncovered_[static_cast<std::size_t>(row.job_class)].insert(row.at);
  auto& line = tenant.by_priority[row.priority];
  if (first) {
    line.push_front(std::move(item));
  } else {
    line.push_back(std::move(item));
  }
  ++tenant.size;
  ++ready.size;
  ++group.size;
  ++ready_;
  ++class_ready_[static_cast<std::size_t>(line.front().job->row().job_class)];
}

std::optional<Scheduler::Item> Scheduler::pop(Group& group, int job_class) {
  auto& ready = group.classes[static_cast<std::size_t>(job_class)];
  if (ready.size == 0) return std::nullopt;
  const auto first = ready.active.begin();
  const auto found = ready.tenants.find(first->second);
  auto& tenant = found->second;
  auto line = tenant.by_priority.begin();
  if (tenant.by_priority.size() > 1 && ++ready.picks % kOldestEvery == 0) {
    line = std::min_element(tenant.by_priority.begin(), tenant.by_priority.end(),
                            [](const auto& x, const auto& y) {
                              return x.second.front().sequence < y.second.front().sequence;
                            });
  }
  Item item = std::move(line->second.front());
  line->second.pop_front();
  if (line->second.empty()) tenant.by_priority.erase(line);
  --tenant.size;
  --ready.size;
  --group.size;
  --ready_;
  --class_ready_[static_cast<std::size_t>(job_class)];
  if (!item.batch) {
    auto& uncovered = uncovered_[static_cast<std::size_t>(job_class)];
    uncovered.erase(uncovered.find(item.job->row().at));
  }
  ready.virtual_time = tenant.virtual_time;
  tenant.virtual_time += 1.0 / tenant.weight;
  const std::string name = found->first;
  ready.active.erase(first);
  if (tenant.size > 0) {
    ready.active.emplace(tenant.virtual_time, name);
  } else if (ready.tenants.size() > kMostCauses) {
    ready.tenants.erase(found);
  }
  if (item.job->row().tenant) {
    const auto count = tenant_ready_.find({job_class, name});
    if (--count->second <= kTenantBuffer / 2) consider_refill({Scope::kTenant, name});
    if (count->second == 0) tenant_ready_.erase(count);
  }
  if (item.kind && item.kind->remote && ready.size <= kGroupBuffer / 2) {
    consider_refill({Scope::kKind, item.kind->pattern});
  }
  return item;
}

std::optional<Scheduler::Item> Scheduler::pick(Group& group) {
  for (int tries = 0; tries < kTurns; ++tries) {
    const int job_class = class_of_turn(group.turn);
    group.turn = (group.turn + 1) % kTurns;
    if (auto item = pop(group, job_class)) return item;
  }
  return std::nullopt;
}

bool Scheduler::paused(const JobRow& row, ScopeKey& cause) const {
  for (const auto& state : pauses_) {
    if (!covers(state.queue, row.queue) || !covers(state.kind, row.kind)) continue;
    // Waits under the narrower name, so that a resume reads no more than it has to.
    cause = state.queue == "*" ? ScopeKey{Scope::kKind, state.kind}
                               : ScopeKey{Scope::kQueue, state.queue};
    return true;
  }
  return false;
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

std::optional<Scheduler::ScopeKey> Scheduler::obstacle(const Item& item, core::BootTime now,
                                                       bool starting) {
  const auto& row = item.job->row();
  ScopeKey cause;
  if (!pauses_.empty() && paused(row, cause)) return cause;
  if (!queue_limits_.empty()) {
    const auto limit = queue_limits_.find(row.queue);
    if (limit != queue_limits_.end() && limit->second.running >= limit->second.most) {
      return ScopeKey{Scope::kQueue, limit->first};
    }
  }
  if (row.concurrency_key) {
    const auto running = key_running_.find(std::string(*row.concurrency_key));
    const int most = item.kind ? item.kind->policy.key_concurrency : 1;
    if (running != key_running_.end() && running->second >= most) {
      return ScopeKey{Scope::kKey, running->first};
    }
  }
  if (row.rate_key && starting && !take_token(std::string(*row.rate_key), now)) {
    return ScopeKey{Scope::kRate, std::string(*row.rate_key)};
  }
  return std::nullopt;
}

void Scheduler::settle_batch(Item& item) {
  if (item.batch) --item.batch->left;
  item.batch = nullptr;
}

void Scheduler::set_aside(Item item, ScopeKey cause) {
  settle_batch(item);
  auto& blocked = blocked_[cause];
  blocked.scope = cause.first;
  blocked.value = cause.second;
  blocked.waiting.push_back(std::move(item));
  ++waiting_;
}

void Scheduler::leave(const JobRow& row, const ScopeKey& cause) {
  leave(cause.first, cause.second, row.job_class, before(row.at));
  if (cause.first != Scope::kKey) return;
  auto& lowest = blocked_[cause].left_id;
  lowest = std::min(lowest.value_or(row.at.id), row.at.id - 1);
}

void Scheduler::drop(Item& item) {
  settle_batch(item);
  bytes_ -= item.job->size();
}

void Scheduler::leave(Scope scope, const std::string& value, int job_class, Cursor from) {
  auto& blocked = blocked_[{scope, value}];
  blocked.scope = scope;
  blocked.value = value;
  auto& left = blocked.left[static_cast<std::size_t>(job_class)];
  left = left ? std::min(*left, from) : from;
}

void Scheduler::start(const Item& item) {
  const auto& row = item.job->row();
  running_[row.at.id] = row.token;
  if (row.concurrency_key) ++key_running_[std::string(*row.concurrency_key)];
  if (!queue_limits_.empty()) {
    if (const auto limit = queue_limits_.find(row.queue); limit != queue_limits_.end()) {
      ++limit->second.running;
    }
  }
}

std::vector<Selected> Scheduler::select(core::BootTime now, Room room) {
  now_ = now;
  std::vector<Selected> selected;
  std::size_t bytes = 0;
  for (auto& [owner, group] : groups_) {
    std::size_t left = owner ? owner->remote->room() : room.pool;
    while (left > 0 && selected.size() < room.jobs && group->size > 0) {
      auto item = pick(*group);
      if (!item) break;
      const auto& row = item->job->row();
      const auto known = known_.find(row.at.id);
      if (known == known_.end() || known->second != row.token) {
        drop(*item);  // replaced or cancelled since
        if (row.concurrency_key) release({Scope::kKey, std::string(*row.concurrency_key)}, 1);
        continue;
      }
      if (!room.lane(row.lane)) {
        make_ready(std::move(*item), true);
        break;
      }
      if (const auto cause = obstacle(*item, now, true)) {
        if (is_full(*cause)) {
          leave(row, *cause);
          known_.erase(row.at.id);
          drop(*item);
        } else {
          set_aside(std::move(*item), *cause);
        }
        continue;
      }
      const std::size_t large =
          row.payload ? 0 : static_cast<std::size_t>(std::max(row.payload_bytes, 0));
      if (large > 0 && bytes + large > room.bytes && bytes > 0) {
        make_ready(std::move(*item), true);
        break;
      }
      bytes += large;
      drop(*item);
      start(*item);
      selected.push_back({std::move(item->job), item->kind});
      --left;
    }
  }
  return selected;
}

void Scheduler::put_back(Selected selected) {
  ended(selected.job->row());
  bytes_ += selected.job->size();
  make_ready(Item{std::move(selected.job), selected.kind, nullptr, ++sequence_}, true);
}

void Scheduler::ended(const JobRow& row) {
  if (running_.erase(row.at.id) == 0) return;
  if (row.concurrency_key) {
    const std::string key(*row.concurrency_key);
    const auto running = key_running_.find(key);
    if (running != key_running_.end() && --running->second == 0) key_running_.erase(running);
    release({Scope::kKey, key}, 1);
  }
  if (queue_limits_.empty()) return;
  const auto limit = queue_limits_.find(row.queue);
  if (limit == queue_limits_.end()) return;
  if (limit->second.running > 0) --limit->second.running;
  release({Scope::kQueue, limit->first}, 1);
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
void Scheduler::release(const ScopeKey& cause, std::size_t most) {
  const auto found = blocked_.find(cause);
  if (found == blocked_.end()) return;
  auto& waiting = found->second.waiting;
  std::vector<Item> freed;
  while (!waiting.empty() && freed.size() < most) {
    freed.push_back(std::move(waiting.front()));
    waiting.pop_front();
    --waiting_;
  }
  // In front of what came later, in their own order.
  for (auto item = freed.rbegin(); item != freed.rend(); ++item) {
    make_ready(std::move(*item), true);
  }
  if (waiting.empty()) consider_refill(cause);
  erase_if_empty(found);
}

void Scheduler::erase_if_empty(std::map<ScopeKey, Blocked>::iterator blocked) {
  if (!blocked->second.waiting.empty() || blocked->second.has_left()) return;
  refills_.erase(blocked->first);
  blocked_.erase(blocked);
}

void Scheduler::consider_refill(const ScopeKey& key) {
  const auto found = blocked_.find(key);
  if (found != blocked_.end() && found->second.has_left()) refills_.insert(key);
}

void Scheduler::set_controls(const Controls& controls, int lanes_held, int lanes) {
  std::vector<QueueState> pauses;
  std::map<std::string, Limit, std::less<>> limits;
  for (const auto& state : controls.queues) {
    if (state.paused) pauses.push_back(state);
    if (!state.concurrency || state.kind != "*" || state.queue == "*") continue;
    // A replica's share of the limit; at least one, or jobs of its lanes would never run.
    const int share = std::max(1, *state.concurrency * lanes_held / std::max(lanes, 1));
    const auto before_now = queue_limits_.find(state.queue);
    limits[state.queue] = {share,
                           before_now == queue_limits_.end() ? 0 : before_now->second.running};
  }
  pauses_ = std::move(pauses);
  queue_limits_ = std::move(limits);
  weights_.clear();
  for (const auto& [tenant, weight] : controls.tenant_weights) weights_[tenant] = weight;
  // Whatever waits for a queue or kind is tried again; what is still held up goes back aside.
  std::vector<ScopeKey> held_up;
  for (const auto& [key, blocked] : blocked_) {
    const bool control = key.first == Scope::kQueue || key.first == Scope::kKind;
    if (!control) continue;
    const bool still = std::any_of(pauses_.begin(), pauses_.end(), [&](const QueueState& state) {
      return key.first == Scope::kQueue ? state.queue == key.second
                                        : state.queue == "*" && state.kind == key.second;
    });
    if (!still) held_up.push_back(key);
  }
  for (const auto& key : held_up) release(key, kAside);
  // A key whose turn went to a job that could not start after all.
  std::vector<ScopeKey> idle;
  for (const auto& [key, blocked] : blocked_) {
    if (key.first == Scope::kKey && !key_running_.contains(key.second)) idle.push_back(key);
  }
  for (const auto& key : idle) release(key, 1);
}

std::vector<std::pair<std::string, int>> Scheduler::wanted_tokens(core::BootTime now) {
  std::vector<std::pair<std::string, int>> wanted;
  for (const auto& [key, blocked] : blocked_) {
    if (key.first != Scope::kRate) continue;
    if (blocked.waiting.empty()) {
      consider_refill(key);
      continue;
    }
    const auto bucket = buckets_.find(key.second);
    if (bucket != buckets_.end() && now < bucket->second.ask_at) continue;
    const int lease = bucket == buckets_.end() ? 0 : bucket->second.lease;
    wanted.emplace_back(key.second, std::max(lease, static_cast<int>(blocked.waiting.size())));
  }
  return wanted;
}

void Scheduler::granted(const std::string& key, const Tokens& tokens, core::BootTime now) {
  auto& bucket = buckets_[key];
  bucket.unlimited = !tokens.granted;
  bucket.tokens = tokens.granted.value_or(0);
  bucket.valid_until = now + (bucket.unlimited ? std::chrono::nanoseconds(1s) : kLeaseOfTokens);
  const bool in_full = tokens.wait == 0ms;
  bucket.lease = in_full ? std::clamp(2 * bucket.tokens, 1, kMostTokens) : bucket.lease / 2;
  bucket.ask_at = now + tokens.wait;
  if (buckets_.size() > kMostCauses) {
    std::erase_if(buckets_, [&](const auto& b) { return b.second.valid_until < now; });
  }
  release({Scope::kRate, key}, bucket.unlimited ? kAside : static_cast<std::size_t>(bucket.tokens));
}

std::optional<core::BootTime> Scheduler::next_token_time() const {
  std::optional<core::BootTime> soonest;
  for (const auto& [key, blocked] : blocked_) {
    if (key.first != Scope::kRate || blocked.waiting.empty()) continue;
    const auto bucket = buckets_.find(key.second);
    const auto at = bucket == buckets_.end() ? core::BootTime{} : bucket->second.ask_at;
    if (!soonest || at < *soonest) soonest = at;
  }
  return soonest;
}

bool Scheduler::has_room(int job_class) const {
  return class_ready_[static_cast<std::size_t>(job_class)] < kBuffer && bytes_ < kBufferBytes &&
         blocked_.size() < kMostCauses;
}

std::optional<Refill> Scheduler::next_refill() {
  for (auto key = refills_.begin(); key != refills_.end();) {
    const auto found = blocked_.find(*key);
    if (found == blocked_.end() || !found->second.has_left()) {
      key = refills_.erase(key);
      continue;
    }
    auto& blocked = found->second;
    // What cannot be taken in is left again.
    if (key->first == Scope::kKey) {
      Refill refill{key->first, key->second, 0, {0, blocked.left_id.value_or(-1)}, blocked.left};
      blocked.left = {};
      blocked.left_id.reset();
      refills_.erase(key);
      return refill;
    }
    for (int c = 0; c < kClasses; ++c) {
      auto& place = blocked.left[static_cast<std::size_t>(c)];
      if (!place || !has_room(c)) continue;
      Refill refill{key->first, key->second, c, *place, {}};
      place.reset();
      return refill;
    }
    ++key;  // no room now
  }
  return std::nullopt;
}

void Scheduler::refilled(const Refill& refill, const JobRows& rows,
                         std::optional<Cursor> scanned_to) {
  const ScopeKey key{refill.scope, refill.value};
  auto& blocked = blocked_[key];
  blocked.scope = refill.scope;
  blocked.value = refill.value;
  if (refill.scope == Scope::kKey) {
    // Read by its own index, all classes at once, in the order of ids.
    for (const auto& row : rows.rows) {
      if (!row.due || known_.contains(row.at.id)) continue;
      Item item{std::make_unique<JobRecord>(row), registry_.find(row.kind), nullptr, ++sequence_};
      known_[row.at.id] = row.token;
      bytes_ += item.job->size();
      set_aside(std::move(item), key);
    }
    if (scanned_to) {
      blocked.left = refill.previous;
      blocked.left_id = scanned_to->id;
    }
    if (!key_running_.contains(refill.value)) release(key, 1);
  } else {
    for (const auto& row : rows.rows) offer(row, nullptr);
    const bool full = blocked.left[static_cast<std::size_t>(refill.job_class)].has_value();
    if (scanned_to) leave(refill.scope, refill.value, refill.job_class, *scanned_to);
    if (!full) consider_refill(key);
  }
  if (const auto found = blocked_.find(key); found != blocked_.end()) erase_if_empty(found);
}

void Scheduler::skip_from(int job_class, Cursor after) {
  leave(Scope::kAll, "", job_class, after);
  consider_refill({Scope::kAll, ""});
}

Skipped Scheduler::skipped() const {
  Skipped all;
  const auto include = [&](int job_class, Cursor place) {
    auto& lowest = all[static_cast<std::size_t>(job_class)];
    lowest = lowest ? std::min(*lowest, place) : place;
  };
  for (const auto& [key, blocked] : blocked_) {
    for (int c = 0; c < kClasses; ++c) {
      if (const auto& left = blocked.left[static_cast<std::size_t>(c)]) include(c, *left);
    }
    for (const auto& item : blocked.waiting) {
      include(item.job->row().job_class, before(item.job->row().at));
    }
  }
  for (int c = 0; c < kClasses; ++c) {
    const auto& uncovered = uncovered_[static_cast<std::size_t>(c)];
    if (!uncovered.empty()) include(c, before(*uncovered.begin()));
  }
  for (const auto& [id, place] : changed_) include(place.first, place.second);
  return all;
}

template <class Keep>
void Scheduler::filter_ready(Keep keep) {
  std::vector<Item> kept;
  for (auto& [owner, group] : groups_) {
    for (int c = 0; c < kClasses; ++c) {
      auto& ready = group->classes[static_cast<std::size_t>(c)];
      for (auto& [name, tenant] : ready.tenants) {
        for (auto& [priority, line] : tenant.by_priority) {
          for (auto& item : line) {
            if (keep(item)) {
              kept.push_back(std::move(item));
            } else {
              known_.erase(item.job->row().at.id);
              drop(item);
            }
          }
        }
        tenant.by_priority.clear();
        tenant.size = 0;
      }
      ready.active.clear();
      ready.size = 0;
    }
    group->size = 0;
  }
  ready_ = 0;
  class_ready_ = {};
  uncovered_ = {};
  tenant_ready_.clear();
  for (auto& item : kept) make_ready(std::move(item), false);
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
  filter_ready([lane](const Item& item) { return item.job->row().lane != lane; });
  for (auto blocked = blocked_.begin(); blocked != blocked_.end();) {
    auto& waiting = blocked->second.waiting;
    const auto count = waiting.size();
    std::erase_if(waiting, [&](const Item& item) {
      if (item.job->row().lane != lane) return false;
      known_.erase(item.job->row().at.id);
      bytes_ -= item.job->size();
      return true;
    });
    waiting_ -= count - waiting.size();
    const auto next = std::next(blocked);
    erase_if_empty(blocked);
    blocked = next;
  }
}

void Scheduler::forget_waiting() {
  const auto left = skipped();
  filter_ready([](const Item&) { return false; });
  for (auto& [key, blocked] : blocked_) {
    for (auto& item : blocked.waiting) {
      known_.erase(item.job->row().at.id);
      drop(item);
    }
  }
  blocked_.clear();
  refills_.clear();
  waiting_ = 0;
  for (int c = 0; c < kClasses; ++c) {
    if (const auto& place = left[static_cast<std::size_t>(c)]) skip_from(c, *place);
  }
}

}  // namespace relevo::worker
