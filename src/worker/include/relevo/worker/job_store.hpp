// Ports of the worker to the tables of jobs. Each call is one transaction; errors are
// core::IntegrationError, after which the object is thrown away. Not thread-safe: each object has,
// or shares with its session, one connection.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "relevo/feed/position_store.hpp"
#include "relevo/feed/window_reader.hpp"
#include "relevo/worker/job_row.hpp"
#include "relevo/worker/unit_of_work.hpp"

namespace relevo::worker {

using Positions = std::array<JobPosition, kClasses>;
// Per class: rows beyond it that were read and left where they are, because something was in their
// way.
using Skipped = std::array<std::optional<Cursor>, kClasses>;

// A lane's row as it was taken, or is to be written. open: the claim journal; every id handed to a
// handler and not known to have ended, with the token it was read with.
struct LaneRow {
  feed::Slice lane = 0;
  std::int64_t epoch = 0;
  std::int64_t version = 0;
  Positions positions;
  std::vector<JobKey> open;
  Skipped skipped;
  std::string previous_holder;  // when taken; empty: nobody
};

struct Settled {
  std::int64_t version = 0;
  int left_open = 0;  // rows a late result has locked: ask again in 50 ms
};

// A unique job is started only when its mark was made in the same write as the journal.
struct UniqueStart {
  feed::Slice lane = 0;
  JobKey key;
};

struct Journalled {
  feed::Slice lane = 0;
  std::vector<JobId> marked;
};

class LaneStore {
 public:
  virtual ~LaneStore() = default;

  virtual std::vector<LaneRow> take(const std::string& holder, std::chrono::milliseconds ttl,
                                    int most) = 0;
  // Lanes this process held when it lost its connection, by the epochs it knows.
  virtual std::vector<LaneRow> retake(const std::string& holder, std::chrono::milliseconds ttl,
                                      std::span<const feed::Lease> leases) = 0;
  // Hands every job of `open` to a new attempt and empties it. crash: counts one against each of
  // them; not for a lane whose holder lives on. nullopt: the lane is somebody else's.
  virtual std::optional<Settled> settle(feed::Slice lane, std::int64_t epoch, std::int64_t version,
                                        bool crash, int quarantine_after,
                                        std::chrono::milliseconds backoff,
                                        const std::string& worker) = 0;
  // States the whole of each lane. A lane that does not come back is lost; nothing of it may start.
  virtual std::vector<Journalled> journal(std::span<const LaneRow* const> lanes,
                                          std::span<const UniqueStart> unique) = 0;
  virtual void release(std::span<const LaneRow* const> lanes) = 0;
};

// A page of rows outside the windows, and where its scan ended; nullopt: at the end.
struct ScanPage {
  JobRows rows;
  std::optional<Cursor> scanned_to;
};

struct DueCursor {
  std::optional<core::WallTime> run_at;  // nullopt: from the beginning
  JobId id = -1;
};

struct DuePage {
  JobRows rows;
  std::optional<DueCursor> scanned_to;
  bool complete = true;  // nothing more is due
};

enum class Scope { kQueue, kKind, kKey, kRate, kTenant, kAll };

struct QueueState {
  std::string queue;  // "*": all
  std::string kind;   // "*": all
  bool paused = false;
  std::optional<int> concurrency;
};

struct Controls {
  core::WallTime now;  // the database's
  std::vector<QueueState> queues;
  std::vector<std::pair<std::string, int>> tenant_weights;
};

enum class SignalKind { kCancel, kRetryNow, kEdit, kOperation };

struct Signal {
  std::int64_t id = 0;
  feed::Slice lane = 0;
  SignalKind kind = SignalKind::kCancel;
  std::int64_t subject = 0;  // job or operation
};

struct OperationPage {
  std::optional<JobId> last_id;  // nullopt: the end
  std::vector<JobId> changed;    // what was read of them is stale
  std::vector<JobId> running;    // matching jobs the holder must stop itself
  bool missed = false;           // somebody has matching jobs locked: the page is to be done again
};

struct Tokens {
  std::optional<int> granted;  // nullopt: no such bucket, no limit
  std::chrono::milliseconds wait{0};
};

class JobReader {
 public:
  virtual ~JobReader() = default;

  // Some of what has become visible since this tick, in the order of the table: a look ahead of the
  // windows, which will show the same rows again. kPeeked or more: there may be others.
  static constexpr std::size_t kPeeked = 100;
  virtual JobRows peek(const feed::Tick& since, std::span<const feed::Slice> lanes) = 0;
  virtual DuePage due(int job_class, const DueCursor& after,
                      std::span<const feed::Slice> lanes) = 0;
  // Time until the first job beyond these places, per class, becomes due; nullopt: none waits.
  virtual std::optional<std::chrono::milliseconds> next_due(
      std::span<const DueCursor, kClasses> after) = 0;
  virtual ScanPage scan(int job_class, Cursor after, Scope scope, const std::string& value,
                        std::span<const feed::Slice> lanes) = 0;
  virtual JobRows of_key(const std::string& key, JobId after,
                         std::span<const feed::Slice> lanes) = 0;
  struct LargePayload {
    JobId id = 0;
    std::string payload;
  };
  virtual std::vector<LargePayload> payloads(std::span<const JobId> ids) = 0;
  // Of these, the rows that are still as they were read.
  virtual std::vector<JobId> still(std::span<const JobKey> jobs) = 0;

  virtual Controls controls() = 0;
  // Whether a job is due or runs, whoever has its lane; not counting what a pause holds up. Of
  // these queues, or of all. Reads all jobs at worst.
  virtual bool anything_due(std::span<const std::string> queues) = 0;
  virtual std::vector<Signal> signals(std::span<const feed::Slice> lanes) = 0;
  virtual void signals_done(std::span<const std::int64_t> ids) = 0;
  // False: it does not wait, or its lane is lost.
  virtual bool cancel_waiting(std::span<const feed::Lease> lanes, JobId job,
                              const std::string& reason) = 0;
  // Whether it is neither dead nor gone.
  virtual bool lives(JobId job) = 0;
  virtual void retry_now(std::span<const feed::Lease> lanes, std::span<const JobId> jobs) = 0;
  // Applies the wish of this signal to change a waiting job, and ends it. True: the job was
  // changed, so that what was read of it is stale. A wish that has to wait is among the next
  // signals again.
  [[nodiscard]] virtual bool edit_waiting(std::span<const feed::Lease> lanes,
                                          std::int64_t signal) = 0;
  // Throws core::IntegrationError when one of the lanes is lost.
  virtual OperationPage apply_operation(std::int64_t operation, std::span<const feed::Lease> lanes,
                                        JobId after, std::span<const JobId> held) = 0;
  // With its signal, so that a lane counts once. stopping: running jobs that were asked to stop and
  // not told of before.
  virtual void operation_lane_done(std::int64_t operation, std::int64_t signal,
                                   std::size_t stopping) = 0;

  virtual std::vector<Tokens> take_tokens(std::span<const std::string> keys,
                                          std::span<const int> wanted) = 0;

  struct SweepPage {
    std::vector<JobKey> stuck;
    std::optional<JobId> scanned_to;
  };
  struct SweepBounds {
    std::array<std::string, kClasses> snapshots;  // of tick a of the oldest position
    std::array<DueCursor, kClasses> due;
  };
  virtual SweepPage sweep(JobId after, const SweepBounds& bounds,
                          std::span<const feed::Slice> lanes) = 0;
  virtual int sweep_fix(std::span<const feed::Lease> lanes, std::span<const JobKey> jobs) = 0;
};

// How an attempt ended, as it goes to the tables.
struct Finish {
  JobKey key;
  std::optional<std::string> outcome;  // completed, cancelled; nullopt: leaves no line of history
  std::optional<std::string> result;
  std::optional<std::string> error;
  std::chrono::milliseconds waited{0};
  std::optional<std::chrono::milliseconds> ran;   // nullopt: it never began, no attempt was made
  std::optional<std::chrono::milliseconds> hold;  // of the unique key
};

enum class AfterFailure : std::int16_t { kWaiting = 0, kDead = 2, kQuarantined = 3 };

struct Failure {
  JobKey key;
  int attempts = 0;
  std::chrono::milliseconds delay{0};
  AfterFailure then = AfterFailure::kWaiting;
  std::optional<std::string> error;  // nullopt: a snooze
  std::chrono::milliseconds ran{0};
};

// Ends of attempts, in batches. Each send starts one transaction; finished() tells without blocking
// whether its answer is there.
class ResultWriter {
 public:
  virtual ~ResultWriter() = default;

  virtual void send_plain(std::span<const JobKey> jobs) = 0;
  virtual void send_finish(std::span<const Finish> jobs) = 0;
  virtual void send_failures(std::span<const Failure> jobs) = 0;
  virtual void send_crashes(std::span<const Failure> jobs, int quarantine_after) = 0;
  virtual int socket() const = 0;
  virtual bool answered() = 0;
  // Ids whose row was changed; the others were refused, locked, or done before.
  virtual std::vector<JobId> receive() = 0;
};

// The unit of work of a run, and its end. Used by one thread.
class RunUnit : public UnitOfWork {
 public:
  virtual bool used() const = 0;
  // As the last statement: ends the jobs, or lets them wait for another time. Returns the ids whose
  // row it changed; when one is missing, roll back: it is somebody else's.
  virtual std::vector<JobId> finish(std::span<const Finish> ended,
                                    std::span<const Failure> snoozed) = 0;
  virtual void commit() = 0;
  virtual void rollback() = 0;
};

struct JobSession {
  std::unique_ptr<feed::TickSource> ticks;
  std::array<std::unique_ptr<feed::WindowSource<JobRows, Cursor>>, kClasses> windows;
  std::unique_ptr<LaneStore> lanes;
  std::unique_ptr<JobReader> jobs;
};

}  // namespace relevo::worker
