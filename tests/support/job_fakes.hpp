// The worker's ports on tables in memory, with the fences of the real statements: what a test wants
// to go wrong, goes wrong at exactly the call it names.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/core/error.hpp"
#include "relevo/worker/job_store.hpp"
#include "relevo/worker/metrics.hpp"
#include "relevo/worker/worker.hpp"

namespace relevo::test {

class FakeJobs {
 public:
  struct Row {
    worker::Cursor at;
    worker::Token token = 0;
    int state = 0;  // as in relevo.job
    int job_class = 1;
    int attempts = 0;
    int crashes = 0;
    std::string queue = "default";
    std::string kind = "count";
    std::optional<std::string> unique;
    std::optional<std::string> key;
    std::optional<std::string> rate;
    std::optional<core::WallTime> run_at;
    bool large = false;
  };

  struct Lane {
    std::string holder;
    std::int64_t epoch = 0;
    std::int64_t version = 0;
    core::WallTime expires{};
    worker::Positions positions;
    std::vector<worker::JobKey> open;
    worker::Skipped skipped;
  };

  struct Operation {
    bool cancels = true;  // else it retries
    std::string kind;
    int lanes_left = 0;
    int changed = 0;
    int stopping = 0;
  };

  // lanes: a power of two.
  explicit FakeJobs(int lanes) : lanes_(static_cast<std::size_t>(lanes)) {
    (void)next_tick();
    for (auto& lane : lanes_) lane.positions.fill({1, 1, {}, 1001});
  }

  worker::JobSession connect() {
    return call([&] { return session(); });
  }
  std::unique_ptr<worker::ResultWriter> connect_results() {
    return call([&] { return std::unique_ptr<worker::ResultWriter>(new Writer(*this)); });
  }
  std::unique_ptr<worker::UnitSource> units() { return std::make_unique<Units>(*this); }

  worker::JobId put(Row row) {
    std::lock_guard lock(mutex_);
    row.at = {next_xid_++, ++last_id_};
    rows_[row.at.id] = row;
    return row.at.id;
  }
  void cancel(worker::JobId id) {
    std::lock_guard lock(mutex_);
    signals_.push_back({++last_signal_, lane_of(rows_.at(id)), worker::SignalKind::kCancel, id});
  }
  // A wish to change a job that waits: made by the holder of its lane, or told not to have been.
  void edit(worker::JobId id, std::function<void(Row&)> change) {
    std::lock_guard lock(mutex_);
    signals_.push_back({++last_signal_, lane_of(rows_.at(id)), worker::SignalKind::kEdit, id});
    edits_[last_signal_] = std::move(change);
  }
  // Cancels, or else retries, all jobs of a kind, lane by lane. Returns the operation's id.
  std::int64_t operate(bool cancels, std::string kind) {
    std::lock_guard lock(mutex_);
    operations_.push_back({cancels, std::move(kind), static_cast<int>(lanes_.size()), 0});
    const auto id = static_cast<std::int64_t>(operations_.size()) - 1;
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      signals_.push_back(
          {++last_signal_, static_cast<feed::Slice>(i), worker::SignalKind::kOperation, id});
    }
    return id;
  }
  Operation operation(std::int64_t id) const {
    std::lock_guard lock(mutex_);
    return operations_.at(static_cast<std::size_t>(id));
  }
  std::size_t signals() const {
    std::lock_guard lock(mutex_);
    return signals_.size();
  }
  // A worker that died has this job in the journal of its lane.
  void leave_open(worker::JobId id) {
    std::lock_guard lock(mutex_);
    const auto& row = rows_.at(id);
    auto& lane = lanes_[lane_of(row)];
    lane.holder = "gone";
    lane.open.push_back({id, row.token});
  }
  // The sweep finds it overdue.
  void suspect(worker::JobId id) {
    std::lock_guard lock(mutex_);
    suspected_.insert(id);
  }
  int sweeps() const { return sweeps_; }
  void set_controls(worker::Controls controls) {
    std::lock_guard lock(mutex_);
    controls_ = std::move(controls);
  }
  // Whether somebody else is always ticking just now.
  void hold_ticks(bool hold) {
    std::lock_guard lock(mutex_);
    no_ticks_ = hold;
  }
  // Another transaction holds the row.
  void lock(worker::JobId id) {
    std::lock_guard lock(mutex_);
    locked_.insert(id);
  }
  void unlock(worker::JobId id) {
    std::lock_guard lock(mutex_);
    locked_.erase(id);
  }
  // Replaces a unique job that waits, as enqueue() does; false: it runs.
  bool replace(worker::JobId id) {
    std::lock_guard lock(mutex_);
    auto& row = rows_.at(id);
    if (row.state != 0) return false;
    change(row);
    return true;
  }

  std::vector<Row> rows() const {
    std::lock_guard lock(mutex_);
    std::vector<Row> all;
    for (const auto& [id, row] : rows_) all.push_back(row);
    return all;
  }
  std::vector<Lane> lanes() const {
    std::lock_guard lock(mutex_);
    return lanes_;
  }
  // Ends that changed a row, by id: more than one is an effect that came twice.
  std::map<worker::JobId, int> completed() const {
    std::lock_guard lock(mutex_);
    return completed_;
  }
  int calls() const { return calls_; }
  // The connection is lost at these calls, before or after they have had their effect.
  void lose_at(std::set<int> calls, bool after) {
    lose_at_ = std::move(calls);
    after_ = after;
  }

  feed::Slice lane_of(const Row& row) const {
    const auto text = row.key ? *row.key : std::to_string(row.at.id);
    return static_cast<feed::Slice>(std::hash<std::string>{}(text) & (lanes_.size() - 1));
  }

 private:
  template <class Do>
  std::invoke_result_t<Do> call(Do work) {
    const int number = ++calls_;
    std::lock_guard lock(mutex_);
    const bool lost = lose_at_.contains(number);
    const auto lose = [] {
      throw core::IntegrationError(core::ErrorKind::kDisconnected, "test", "lost");
    };
    if (lost && !after_) lose();
    if constexpr (std::is_void_v<decltype(work())>) {
      work();
      if (lost) lose();
    } else {
      auto result = work();
      if (lost) lose();
      return result;
    }
  }

  static core::WallTime now() { return core::system_clock().wall(); }
  static bool holds(std::span<const feed::Slice> lanes, feed::Slice lane) {
    return std::find(lanes.begin(), lanes.end(), lane) != lanes.end();
  }
  bool fenced(std::span<const feed::Lease> leases, const Row& row) const {
    const auto lane = lane_of(row);
    return std::none_of(leases.begin(), leases.end(), [&](const feed::Lease& lease) {
      return lease.slice == lane && lanes_[lane].epoch == lease.epoch;
    });
  }

  bool is_open(const Row& row) const {
    const auto& open = lanes_[lane_of(row)].open;
    return std::find(open.begin(), open.end(), worker::JobKey{row.at.id, row.token}) != open.end();
  }
  std::vector<worker::Signal>::iterator signal(std::int64_t id) {
    return std::find_if(signals_.begin(), signals_.end(),
                        [id](const worker::Signal& one) { return one.id == id; });
  }

  feed::Tick next_tick() {
    const auto xmax = std::to_string(next_xid_);
    const auto text = xmax + ":" + xmax + ":";
    if (ticks_.empty() || ticks_.back().snapshot.text() != text) {
      const auto id = static_cast<feed::TickId>(ticks_.size()) + 1;
      ticks_.push_back({id, 1000 + id, feed::Snapshot::parse(text)});
    }
    return ticks_.back();
  }
  void change(Row& row) {
    row.at.xid = next_xid_++;
    ++row.token;
  }
  Row* standing(const worker::JobKey& key) {
    const auto found = rows_.find(key.id);
    if (found == rows_.end() || found->second.token != key.token || found->second.state >= 2) {
      return nullptr;
    }
    return locked_.contains(key.id) ? nullptr : &found->second;
  }
  bool finish(const worker::JobKey& key) {
    if (!standing(key)) return false;
    rows_.erase(key.id);
    ++completed_[key.id];
    return true;
  }
  bool fail(const worker::Failure& failure) {
    auto* row = standing(failure.key);
    if (!row) return false;
    change(*row);
    row->attempts = failure.attempts;
    row->state = static_cast<int>(failure.then);
    row->run_at = now() + failure.delay;
    return true;
  }

  // Rows of a page, with memory of their own.
  class PageOf {
   public:
    explicit PageOf(const FakeJobs& jobs) : jobs_(jobs) {}
    void add(const Row& row) { held_->push_back(row); }
    worker::JobRows rows() const {
      worker::JobRows rows;
      for (const auto& row : *held_) {
        worker::JobRow view;
        view.at = row.at;
        view.lane = jobs_.lane_of(row);
        view.job_class = row.job_class;
        view.token = row.token;
        view.run_at = row.run_at;
        view.due = !row.run_at || *row.run_at <= now();
        view.queue = row.queue;
        view.kind = row.kind;
        view.attempts = row.attempts;
        view.crashes = row.crashes;
        view.unique_key = row.unique;
        view.concurrency_key = row.key;
        view.rate_key = row.rate;
        view.created_at = now();
        view.headers = "{}";
        view.payload_bytes = row.large ? 5'000 : 2;
        if (!row.large) view.payload = "{}";
        rows.rows.push_back(view);
      }
      rows.memory.push_back(held_);
      return rows;
    }
    std::vector<Row>& held() { return *held_; }

   private:
    const FakeJobs& jobs_;
    std::shared_ptr<std::vector<Row>> held_ = std::make_shared<std::vector<Row>>();
  };

  template <class Wanted>
  PageOf page(Wanted wanted) const {
    PageOf page(*this);
    for (const auto& [id, row] : rows_) {
      if (row.state == 0 && wanted(row)) page.add(row);
    }
    std::sort(page.held().begin(), page.held().end(),
              [](const Row& x, const Row& y) { return x.at < y.at; });
    return page;
  }

  class Ticks final : public feed::TickSource {
   public:
    explicit Ticks(FakeJobs& jobs) : jobs_(jobs) {}
    std::string probe() override {
      return jobs_.call([&] { return std::to_string(jobs_.next_xid_); });
    }
    std::optional<feed::Tick> next_tick() override {
      return jobs_.call(
          [&] { return jobs_.no_ticks_ ? std::nullopt : std::optional(jobs_.next_tick()); });
    }
    std::vector<feed::Tick> find_ticks(std::span<const feed::TickId> ids) override {
      return jobs_.call([&] {
        std::vector<feed::Tick> found;
        for (const auto id : ids) {
          if (id >= 1 && id <= std::ssize(jobs_.ticks_)) {
            found.push_back(jobs_.ticks_[static_cast<std::size_t>(id - 1)]);
          }
        }
        return found;
      });
    }

   private:
    FakeJobs& jobs_;
  };

  class Windows final : public feed::WindowSource<worker::JobRows, worker::Cursor> {
   public:
    Windows(FakeJobs& jobs, int job_class) : jobs_(jobs), class_(job_class) {}
    std::optional<worker::JobRows> small_window(const feed::Tick& a, const feed::Tick& b,
                                                worker::Cursor after,
                                                std::span<const feed::Slice> lanes) override {
      return jobs_.call([&] {
        return std::optional(jobs_
                                 .page([&](const Row& row) {
                                   return row.job_class == class_ && row.at > after &&
                                          !a.snapshot.sees(row.at.xid) &&
                                          b.snapshot.sees(row.at.xid) &&
                                          holds(lanes, jobs_.lane_of(row));
                                 })
                                 .rows());
      });
    }
    worker::Cursor lower_bound(const feed::Tick&, const feed::Tick&) override { return {}; }
    void request_page(const feed::Tick&, const feed::Tick&, worker::Cursor,
                      std::span<const feed::Slice>) override {}
    feed::Page<worker::JobRows, worker::Cursor> receive_page() override { return {}; }

   private:
    FakeJobs& jobs_;
    const int class_;
  };

  class Lanes final : public worker::LaneStore {
   public:
    explicit Lanes(FakeJobs& jobs) : jobs_(jobs) {}

    std::vector<worker::LaneRow> take(const std::string& holder, std::chrono::milliseconds ttl,
                                      int most) override {
      return jobs_.call([&] {
        std::vector<worker::LaneRow> taken;
        for (std::size_t i = 0; i < jobs_.lanes_.size() && std::ssize(taken) < most; ++i) {
          auto& lane = jobs_.lanes_[i];
          if (lane.expires > now()) continue;
          taken.push_back(own(i, holder, ttl));
        }
        return taken;
      });
    }
    std::vector<worker::LaneRow> retake(const std::string& holder, std::chrono::milliseconds ttl,
                                        std::span<const feed::Lease> leases) override {
      return jobs_.call([&] {
        std::vector<worker::LaneRow> taken;
        for (const auto& lease : leases) {
          const auto& lane = jobs_.lanes_[lease.slice];
          if (lane.epoch != lease.epoch || lane.holder != holder) continue;
          taken.push_back(own(lease.slice, holder, ttl));
        }
        return taken;
      });
    }
    std::optional<worker::Settled> settle(feed::Slice slice, std::int64_t epoch,
                                          std::int64_t version, bool crash, int,
                                          std::chrono::milliseconds, const std::string&) override {
      return jobs_.call([&]() -> std::optional<worker::Settled> {
        auto& lane = jobs_.lanes_[slice];
        if (lane.epoch != epoch || lane.version != version) return std::nullopt;
        std::vector<worker::JobKey> left;
        for (const auto& key : lane.open) {
          const auto found = jobs_.rows_.find(key.id);
          if (found == jobs_.rows_.end() || found->second.token != key.token) continue;
          auto* row = jobs_.standing(key);
          if (!row) {
            left.push_back(key);
            continue;
          }
          jobs_.change(*row);
          row->state = 0;
          row->run_at = now();
          if (crash) ++row->crashes;
        }
        lane.open = left;
        return worker::Settled{++lane.version, static_cast<int>(left.size())};
      });
    }
    std::vector<worker::Journalled> journal(std::span<const worker::LaneRow* const> lanes,
                                            std::span<const worker::UniqueStart> unique) override {
      return jobs_.call([&] {
        std::vector<worker::Journalled> written;
        for (const auto* state : lanes) {
          auto& lane = jobs_.lanes_[state->lane];
          if (lane.epoch != state->epoch || lane.version != state->version) continue;
          lane.positions = state->positions;
          lane.open = state->open;
          lane.skipped = state->skipped;
          ++lane.version;
          auto& one = written.emplace_back(worker::Journalled{state->lane, {}});
          for (const auto& start : unique) {
            if (start.lane != state->lane) continue;
            auto* row = jobs_.standing(start.key);
            if (!row || row->state != 0) continue;
            row->state = 1;
            one.marked.push_back(start.key.id);
          }
        }
        return written;
      });
    }
    void release(std::span<const worker::LaneRow* const> lanes) override {
      jobs_.call([&] {
        for (const auto* state : lanes) {
          auto& lane = jobs_.lanes_[state->lane];
          if (lane.epoch != state->epoch || lane.version != state->version) continue;
          lane.holder.clear();
          lane.expires = {};
          ++lane.version;
        }
      });
    }

   private:
    worker::LaneRow own(std::size_t i, const std::string& holder, std::chrono::milliseconds ttl) {
      auto& lane = jobs_.lanes_[i];
      const auto previous = std::exchange(lane.holder, holder);
      ++lane.epoch;
      ++lane.version;
      lane.expires = now() + ttl;
      return {static_cast<feed::Slice>(i),
              lane.epoch,
              lane.version,
              lane.positions,
              lane.open,
              lane.skipped,
              previous};
    }
    FakeJobs& jobs_;
  };

  class Reader final : public worker::JobReader {
   public:
    explicit Reader(FakeJobs& jobs) : jobs_(jobs) {}

    worker::JobRows peek(const feed::Tick& since, std::span<const feed::Slice> lanes) override {
      return jobs_.call([&] {
        return jobs_
            .page([&](const Row& row) {
              return !since.snapshot.sees(row.at.xid) && holds(lanes, jobs_.lane_of(row));
            })
            .rows();
      });
    }
    worker::DuePage due(int job_class, const worker::DueCursor& after,
                        std::span<const feed::Slice> lanes) override {
      return jobs_.call([&] {
        auto found = jobs_.page([&](const Row& row) {
          if (row.job_class != job_class || !row.run_at || *row.run_at > now()) return false;
          if (after.run_at &&
              std::pair(*row.run_at, row.at.id) <= std::pair(*after.run_at, after.id)) {
            return false;
          }
          return true;
        });
        worker::DuePage page;
        for (const auto& row : found.held()) {
          const worker::DueCursor here{row.run_at, row.at.id};
          const bool later =
              !page.scanned_to || std::pair(*page.scanned_to->run_at, page.scanned_to->id) <
                                      std::pair(*here.run_at, here.id);
          if (later) page.scanned_to = here;
        }
        std::erase_if(found.held(),
                      [&](const Row& row) { return !holds(lanes, jobs_.lane_of(row)); });
        page.rows = found.rows();
        return page;
      });
    }
    std::optional<std::chrono::milliseconds> next_due(
        std::span<const worker::DueCursor, worker::kClasses> after) override {
      return jobs_.call([&] {
        std::optional<std::chrono::milliseconds> soonest;
        for (const auto& [id, row] : jobs_.rows_) {
          if (row.state != 0 || !row.run_at) continue;
          const auto& from = after[static_cast<std::size_t>(row.job_class)];
          if (from.run_at && std::pair(*row.run_at, id) <= std::pair(*from.run_at, from.id)) {
            continue;
          }
          const auto in =
              std::max(std::chrono::milliseconds(0),
                       std::chrono::ceil<std::chrono::milliseconds>(*row.run_at - now()));
          soonest = std::min(soonest.value_or(in), in);
        }
        return soonest;
      });
    }
    worker::ScanPage scan(int job_class, worker::Cursor after, worker::Scope scope,
                          const std::string& value, std::span<const feed::Slice> lanes) override {
      return jobs_.call([&] {
        return worker::ScanPage{jobs_
                                    .page([&](const Row& row) {
                                      const bool matches =
                                          scope == worker::Scope::kQueue  ? row.queue == value
                                          : scope == worker::Scope::kKind ? row.kind == value
                                          : scope == worker::Scope::kRate ? row.rate == value
                                                                          : true;
                                      return matches && row.job_class == job_class &&
                                             row.at > after && holds(lanes, jobs_.lane_of(row));
                                    })
                                    .rows(),
                                std::nullopt};
      });
    }
    worker::JobRows of_key(const std::string& key, worker::JobId after,
                           std::span<const feed::Slice> lanes) override {
      return jobs_.call([&] {
        auto found = jobs_.page([&](const Row& row) {
          return row.key == key && row.at.id > after && holds(lanes, jobs_.lane_of(row));
        });
        std::sort(found.held().begin(), found.held().end(),
                  [](const Row& x, const Row& y) { return x.at.id < y.at.id; });
        if (found.held().size() > 100) found.held().resize(100);
        return found.rows();
      });
    }
    std::vector<LargePayload> payloads(std::span<const worker::JobId> ids) override {
      return jobs_.call([&] {
        std::vector<LargePayload> found;
        for (const auto id : ids) {
          if (jobs_.rows_.contains(id)) found.push_back({id, "{\"large\":1}"});
        }
        return found;
      });
    }
    std::vector<worker::JobId> still(std::span<const worker::JobKey> jobs) override {
      return jobs_.call([&] {
        std::vector<worker::JobId> ids;
        for (const auto& key : jobs) {
          const auto found = jobs_.rows_.find(key.id);
          if (found != jobs_.rows_.end() && found->second.token == key.token) {
            ids.push_back(key.id);
          }
        }
        return ids;
      });
    }
    worker::Controls controls() override {
      return jobs_.call([&] {
        auto controls = jobs_.controls_;
        controls.now = now();
        return controls;
      });
    }
    bool anything_due(std::span<const std::string> queues) override {
      return jobs_.call([&] {
        return std::any_of(jobs_.rows_.begin(), jobs_.rows_.end(), [&](const auto& entry) {
          const auto& row = entry.second;
          const bool wanted =
              queues.empty() || std::find(queues.begin(), queues.end(), row.queue) != queues.end();
          return wanted && row.state < 2 && (!row.run_at || *row.run_at <= now());
        });
      });
    }
    std::vector<worker::Signal> signals(std::span<const feed::Slice> lanes) override {
      return jobs_.call([&] {
        auto found = jobs_.signals_;
        std::erase_if(found, [&](const worker::Signal& one) { return !holds(lanes, one.lane); });
        return found;
      });
    }
    void signals_done(std::span<const std::int64_t> ids) override {
      jobs_.call([&] {
        std::erase_if(jobs_.signals_, [&](const worker::Signal& one) {
          return std::find(ids.begin(), ids.end(), one.id) != ids.end();
        });
      });
    }
    bool cancel_waiting(std::span<const feed::Lease> lanes, worker::JobId job,
                        const std::string&) override {
      return jobs_.call([&] {
        const auto found = jobs_.rows_.find(job);
        if (found == jobs_.rows_.end() || found->second.state != 0) return false;
        if (jobs_.locked_.contains(job) || jobs_.fenced(lanes, found->second)) return false;
        jobs_.rows_.erase(found);
        return true;
      });
    }
    bool lives(worker::JobId job) override {
      return jobs_.call([&] {
        const auto found = jobs_.rows_.find(job);
        return found != jobs_.rows_.end() && found->second.state < 2;
      });
    }
    void retry_now(std::span<const feed::Lease>, std::span<const worker::JobId>) override {}
    bool edit_waiting(std::span<const feed::Lease> lanes, std::int64_t id) override {
      return jobs_.call([&] {
        const auto signal = jobs_.signal(id);
        if (signal == jobs_.signals_.end()) return false;
        const auto found = jobs_.rows_.find(signal->subject);
        const bool lives = found != jobs_.rows_.end();
        if (lives && jobs_.locked_.contains(found->first)) return false;
        if (lives && jobs_.fenced(lanes, found->second)) return false;
        const bool waits = lives && found->second.state == 0 && !jobs_.is_open(found->second);
        if (waits) {
          jobs_.change(found->second);
          jobs_.edits_.at(id)(found->second);
        }
        jobs_.signals_.erase(signal);
        return waits;
      });
    }
    worker::OperationPage apply_operation(std::int64_t id, std::span<const feed::Lease> lanes,
                                          worker::JobId after,
                                          std::span<const worker::JobId> held) override {
      return jobs_.call([&] {
        for (const auto& lane : lanes) {
          if (jobs_.lanes_[lane.slice].epoch == lane.epoch) continue;
          throw core::IntegrationError(core::ErrorKind::kConflict, "test", "another epoch");
        }
        constexpr int kPage = 3;
        auto& operation = jobs_.operations_.at(static_cast<std::size_t>(id));
        worker::OperationPage page;
        int looked_at = 0;
        for (auto at = jobs_.rows_.upper_bound(after); at != jobs_.rows_.end();) {
          if (looked_at++ == kPage) return page;
          page.last_id = at->first;
          auto& row = at->second;
          const bool wanted = !jobs_.fenced(lanes, row) && row.kind == operation.kind;
          if (wanted && jobs_.locked_.contains(at->first)) {
            page.missed = true;
            ++at;
            continue;
          }
          const bool flies =
              row.state == 1 || std::find(held.begin(), held.end(), at->first) != held.end();
          if (wanted && operation.cancels && flies) page.running.push_back(at->first);
          if (wanted && operation.cancels && !flies && row.state == 0) {
            page.changed.push_back(at->first);
            ++operation.changed;
            at = jobs_.rows_.erase(at);
            continue;
          }
          if (wanted && !operation.cancels && (row.state >= 2 || row.run_at > now())) {
            jobs_.change(row);
            row.state = 0;
            row.run_at = now();
            page.changed.push_back(at->first);
            ++operation.changed;
          }
          ++at;
        }
        page.last_id.reset();
        return page;
      });
    }
    void operation_lane_done(std::int64_t id, std::int64_t signal, std::size_t stopping) override {
      jobs_.call([&] {
        const auto found = jobs_.signal(signal);
        if (found == jobs_.signals_.end()) return;
        jobs_.signals_.erase(found);
        auto& operation = jobs_.operations_.at(static_cast<std::size_t>(id));
        --operation.lanes_left;
        operation.stopping += static_cast<int>(stopping);
      });
    }
    std::vector<worker::Tokens> take_tokens(std::span<const std::string> keys,
                                            std::span<const int>) override {
      return jobs_.call([&] {
        return std::vector<worker::Tokens>(keys.size(),
                                           {std::optional(3), std::chrono::milliseconds(5)});
      });
    }
    // Marks without a journal, and what the test suspects; two rows a page.
    SweepPage sweep(worker::JobId after, const SweepBounds&,
                    std::span<const feed::Slice> lanes) override {
      return jobs_.call([&] {
        SweepPage page;
        int looked_at = 0;
        for (auto at = jobs_.rows_.upper_bound(after); at != jobs_.rows_.end(); ++at) {
          if (looked_at++ == 2) return page;
          page.scanned_to = at->first;
          const auto& row = at->second;
          if (!holds(lanes, jobs_.lane_of(row)) || jobs_.is_open(row)) continue;
          if (row.state == 1 || jobs_.suspected_.contains(at->first)) {
            page.stuck.push_back({at->first, row.token});
          }
        }
        page.scanned_to.reset();
        ++jobs_.sweeps_;
        return page;
      });
    }
    int sweep_fix(std::span<const feed::Lease> lanes,
                  std::span<const worker::JobKey> keys) override {
      return jobs_.call([&] {
        int freed = 0;
        for (const auto& key : keys) {
          auto* row = jobs_.standing(key);
          if (!row || jobs_.fenced(lanes, *row)) continue;
          jobs_.change(*row);
          row->state = 0;
          row->run_at = now();
          ++freed;
        }
        return freed;
      });
    }

   private:
    FakeJobs& jobs_;
  };

  class Writer final : public worker::ResultWriter {
   public:
    explicit Writer(FakeJobs& jobs) : jobs_(jobs) {}
    void send_plain(std::span<const worker::JobKey> jobs) override {
      send(jobs, [&](const worker::JobKey& key) { return jobs_.finish(key) ? key.id : -1; });
    }
    void send_finish(std::span<const worker::Finish> jobs) override {
      send(jobs,
           [&](const worker::Finish& one) { return jobs_.finish(one.key) ? one.key.id : -1; });
    }
    void send_failures(std::span<const worker::Failure> jobs) override {
      send(jobs, [&](const worker::Failure& one) { return jobs_.fail(one) ? one.key.id : -1; });
    }
    void send_crashes(std::span<const worker::Failure> jobs, int) override { send_failures(jobs); }
    int socket() const override { return -1; }
    bool answered() override { return true; }
    std::vector<worker::JobId> receive() override {
      return jobs_.call([&] { return std::exchange(changed_, {}); });
    }

   private:
    template <class Jobs, class Do>
    void send(const Jobs& jobs, Do one) {
      jobs_.call([&] {
        for (const auto& job : jobs) {
          if (const auto id = one(job); id >= 0) changed_.push_back(id);
        }
      });
    }
    FakeJobs& jobs_;
    std::vector<worker::JobId> changed_;
  };

  class Unit final : public worker::RunUnit {
   public:
    explicit Unit(FakeJobs& jobs) : jobs_(jobs) {}
    using UnitOfWork::query;
    std::vector<worker::Row> query(const worker::Statement&,
                                   std::span<const worker::Value>) override {
      return {};
    }
    void publish(const worker::NewEvent&) override {}
    worker::JobId enqueue(const worker::NewJob&) override { return 0; }
    void audit(const worker::AuditEntry&) override {}
    bool used() const override { return true; }
    std::vector<worker::JobId> finish(std::span<const worker::Finish> ended,
                                      std::span<const worker::Failure>) override {
      return jobs_.call([&] {
        std::vector<worker::JobId> ids;
        for (const auto& one : ended) {
          if (!jobs_.standing(one.key)) continue;
          ids.push_back(one.key.id);
          keys_.push_back(one.key);
        }
        return ids;
      });
    }
    void commit() override {
      jobs_.call([&] {
        for (const auto& key : keys_) (void)jobs_.finish(key);
      });
    }
    void rollback() override { keys_.clear(); }

   private:
    FakeJobs& jobs_;
    std::vector<worker::JobKey> keys_;
  };

  class Units final : public worker::UnitSource {
   public:
    explicit Units(FakeJobs& jobs) : jobs_(jobs) {}
    std::unique_ptr<worker::RunUnit> begin() override {
      return jobs_.call([&] { return std::unique_ptr<worker::RunUnit>(new Unit(jobs_)); });
    }

   private:
    FakeJobs& jobs_;
  };

  worker::JobSession session() {
    return {std::make_unique<Ticks>(*this),
            {std::make_unique<Windows>(*this, 0), std::make_unique<Windows>(*this, 1),
             std::make_unique<Windows>(*this, 2)},
            std::make_unique<Lanes>(*this),
            std::make_unique<Reader>(*this)};
  }

  mutable std::mutex mutex_;
  std::map<worker::JobId, Row> rows_;
  std::vector<Lane> lanes_;
  bool no_ticks_ = false;
  std::vector<feed::Tick> ticks_;
  std::vector<worker::Signal> signals_;
  std::map<std::int64_t, std::function<void(Row&)>> edits_;
  std::vector<Operation> operations_;
  std::set<worker::JobId> locked_;
  std::set<worker::JobId> suspected_;
  std::map<worker::JobId, int> completed_;
  worker::Controls controls_;
  feed::Xid next_xid_ = 1;
  worker::JobId last_id_ = 0;
  std::int64_t last_signal_ = 0;
  std::atomic<int> calls_{0};
  std::atomic<int> sweeps_{0};
  std::set<int> lose_at_;
  bool after_ = false;
};

}  // namespace relevo::test
