// What people ask and do about jobs, queues and their limits. One connection; errors as Connection.
// What belongs to the holder of a lane is only asked for here, and done by it: JobAnswer tells
// which. Everything but count() is cheap at any backlog.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "relevo/postgres/connection.hpp"
#include "relevo/postgres/inspector.hpp"
#include "relevo/worker/job_store.hpp"

namespace relevo::postgres {

// A row of the view relevo.jobs.
struct JobStatus {
  std::int64_t id = 0;
  std::string state;  // available, scheduled, retryable, running, dead, quarantined, completed, …
  std::string queue;
  std::string kind;
  int priority = 0;
  std::optional<core::WallTime> run_at;
  int attempts = 0;
  int crashes = 0;
  std::optional<int> max_attempts;
  std::optional<std::string> worker;
  std::optional<std::string> unique_key;
  bool again = false;  // one more run is owed
  std::optional<std::string> concurrency_key;
  std::optional<std::string> rate_key;
  std::optional<std::string> tenant;
  std::optional<std::string> error;
  std::optional<std::string> result;  // JSON
  core::WallTime created_at;
  std::optional<core::WallTime> finished;
  std::optional<std::chrono::milliseconds> ran;
  std::optional<std::int64_t> batch;
};

struct JobDetails {
  JobStatus job;
  std::optional<std::string> payload;  // JSON; nullopt: it completed
  std::string headers = "{}";          // JSON
  std::optional<std::chrono::milliseconds> timeout;
  std::optional<core::WallTime> expires_at;
  std::string failures;  // JSON array: attempts that did not complete, oldest first
};

// As the parameters of relevo.enqueue() (docs/jobs.md).
struct JobRequest {
  std::string kind;
  std::string payload = "{}";  // JSON
  std::string queue = "default";
  std::optional<core::WallTime> run_at;
  int priority = 0;
  std::optional<std::string> unique_key;
  std::string on_conflict = "keep";
  std::optional<std::string> concurrency_key;
  std::optional<std::string> rate_key;
  std::optional<std::string> tenant;
  std::optional<int> max_attempts;
  std::optional<std::chrono::milliseconds> timeout;
  std::optional<core::WallTime> expires_at;
  std::string headers = "{}";  // JSON
};

// What people asked for many jobs at once, or an edit of one that its lane's holder has.
struct JobOperation {
  std::int64_t id = 0;
  std::string what;
  std::string filter;  // JSON
  core::WallTime requested_at;
  std::int64_t changed = 0;
  std::int64_t stopping = 0;  // running jobs that were asked to stop
  int lanes_left = 0;
  std::optional<core::WallTime> finished_at;
};

struct EditAnswer {
  std::string answer;                     // edited, requested, running, dead, not found
  std::optional<std::int64_t> operation;  // when requested
};

struct RateLimit {
  std::string key;
  double per_second = 0;
  double burst = 0;
};

struct LaneHolder {
  std::optional<std::string> holder;  // nullopt: free
  std::int64_t lanes = 0;
  std::int64_t running = 0;
  std::chrono::microseconds behind{};  // age of the tick up to which all of them have read
};

// What became of jobs since a moment, and what is left.
struct DrainFigures {
  std::int64_t dead = 0;
  std::int64_t quarantined = 0;
  std::int64_t cancelled = 0;
  std::int64_t due = 0;
  std::int64_t paused = 0;     // of those that are due
  std::int64_t retryable = 0;  // failed, and wait for another attempt
  std::optional<core::WallTime> retry_at;
  std::int64_t scheduled = 0;
};

struct FailedJob {
  std::int64_t id = 0;
  std::string state;  // dead, quarantined, retryable
  std::string kind;
  std::string error;
};

struct ScheduleFigures {
  std::int64_t schedules = 0;
  std::int64_t paused = 0;
  std::int64_t overdue = 0;
  std::optional<core::WallTime> next_tick;
};

class JobAdmin {
 public:
  explicit JobAdmin(const ConnectOptions& options) : connection_(options) {}

  // filter: JSON object as relevo.check_filter() takes it. Rows with a larger id, in their order.
  std::vector<JobStatus> list(const std::string& filter, std::int64_t after, int limit);
  // Its past runs first, what waits or runs of it last; empty: nothing is known of this id.
  std::vector<JobDetails> show(std::int64_t id);
  // Jobs that wait or run. Reads all of them.
  std::int64_t count(const std::string& filter);

  std::int64_t enqueue(const JobRequest& job);
  // change: JSON object with some of payload, run_at, priority, queue.
  EditAnswer edit(std::int64_t id, const std::string& change);
  // Answers in words: cancelled, redriven, requested; anything else says why not.
  std::string cancel(std::int64_t id);
  std::string cancel(const std::string& unique_key);
  std::string retry(std::int64_t id);
  std::vector<std::int64_t> discard(std::span<const std::int64_t> ids);  // returns those discarded

  // cancel, retry or discard all that match. Returns the operation's id.
  std::int64_t start(const std::string& what, const std::string& filter);
  std::optional<JobOperation> operation(std::int64_t id);
  std::vector<JobOperation> operations(int limit);  // newest first

  std::vector<QueueFigures> queue_figures();
  std::vector<std::pair<std::string, std::int64_t>> running();  // jobs per queue
  std::vector<worker::QueueState> queue_states();
  std::vector<RateLimit> rates();
  std::vector<std::pair<std::string, int>> tenant_weights();
  // Queue and kind: a name, or "*".
  void pause(const std::string& queue, const std::string& kind);
  void resume(const std::string& queue, const std::string& kind);
  // nullopt: no limit, the weight of everybody.
  void set_concurrency(const std::string& queue, std::optional<int> most);
  void set_rate(const std::string& key, std::optional<double> per_second, double burst);
  void set_weight(const std::string& tenant, std::optional<int> weight);

  // Of these queues, or of all. Each reads all jobs.
  DrainFigures drained(core::WallTime since, std::span<const std::string> queues);
  std::vector<FailedJob> failed(core::WallTime since, std::span<const std::string> queues,
                                int limit);

  std::vector<LaneHolder> lane_holders();
  ScheduleFigures schedules();
  std::vector<DeadMessageCount> parked_messages();
  core::WallTime now();

 private:
  Connection connection_;
};

}  // namespace relevo::postgres
