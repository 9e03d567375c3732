#include "relevo/postgres/job_admin.hpp"

#include <charconv>

#include "figures.hpp"
#include "nullable.hpp"
#include "statements.hpp"

namespace relevo::postgres {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// So many digits as it takes to read the same number again.
std::string number_text(double number) {
  std::string text(32, '\0');
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
  text.resize(static_cast<std::size_t>(end - text.data()));
  return text;
}

// The columns that job_list and job_show begin with.
JobStatus job_of(const Result& result, int row) {
  JobStatus job;
  int column = 0;
  job.id = result.int8(row, column++);
  job.state = result.string(row, column++);
  job.queue = result.string(row, column++);
  job.kind = result.string(row, column++);
  job.priority = result.int4(row, column++);
  job.run_at = optional_time(result, row, column++);
  job.attempts = result.int2(row, column++);
  job.crashes = result.int2(row, column++);
  if (!result.is_null(row, column)) job.max_attempts = result.int4(row, column);
  ++column;
  job.worker = optional_string(result, row, column++);
  job.unique_key = optional_string(result, row, column++);
  job.again = result.boolean(row, column++);
  job.concurrency_key = optional_string(result, row, column++);
  job.rate_key = optional_string(result, row, column++);
  job.tenant = optional_string(result, row, column++);
  job.error = optional_string(result, row, column++);
  job.result = optional_string(result, row, column++);
  job.created_at = result.time(row, column++);
  job.finished = optional_time(result, row, column++);
  job.ran = optional_ms(result, row, column++);
  job.batch = optional_int8(result, row, column++);
  return job;
}

constexpr int kStatusColumns = 21;

std::vector<JobOperation> operations_of(const Result& result) {
  std::vector<JobOperation> operations;
  for (int i = 0; i < result.rows(); ++i) {
    operations.push_back({result.int8(i, 0), result.string(i, 1), result.string(i, 2),
                          result.time(i, 3), result.int8(i, 4), result.int8(i, 5),
                          result.int4(i, 6), optional_time(result, i, 7)});
  }
  return operations;
}

}  // namespace

std::vector<JobStatus> JobAdmin::list(const std::string& filter, std::int64_t after, int limit) {
  const auto result = connection_.run(statements::kJobList,
                                      Params().add(filter).add(after).add(std::int64_t{limit}));
  std::vector<JobStatus> jobs;
  for (int i = 0; i < result.rows(); ++i) jobs.push_back(job_of(result, i));
  return jobs;
}

std::vector<JobDetails> JobAdmin::show(std::int64_t id) {
  const auto result = connection_.run(statements::kJobShow, Params().add(id));
  std::vector<JobDetails> runs;
  for (int i = 0; i < result.rows(); ++i) {
    JobDetails details;
    details.job = job_of(result, i);
    details.payload = optional_string(result, i, kStatusColumns);
    details.headers = optional_string(result, i, kStatusColumns + 1).value_or("{}");
    details.timeout = optional_ms(result, i, kStatusColumns + 2);
    details.expires_at = optional_time(result, i, kStatusColumns + 3);
    details.failures = result.string(i, kStatusColumns + 4);
    runs.push_back(std::move(details));
  }
  return runs;
}

std::int64_t JobAdmin::count(const std::string& filter) {
  return connection_.run(statements::kJobCount, Params().add(filter)).int8(0, 0);
}

std::int64_t JobAdmin::enqueue(const JobRequest& job) {
  Params params;
  params.add(job.kind).add(job.payload).add(job.queue);
  add_optional(params, job.run_at).add(std::int64_t{job.priority});
  add_optional(params, job.unique_key).add(job.on_conflict);
  add_optional(params, job.concurrency_key);
  add_optional(params, job.rate_key);
  add_optional(params, job.tenant);
  add_optional(params, job.max_attempts);
  job.timeout ? params.add(std::int64_t{job.timeout->count()}) : params.add(std::nullopt);
  add_optional(params, job.expires_at).add(job.headers);
  return connection_.run(statements::kJobEnqueue, params).int8(0, 0);
}

EditAnswer JobAdmin::edit(std::int64_t id, const std::string& change) {
  const auto result = connection_.run(statements::kJobEdit, Params().add(id).add(change));
  return {result.string(0, 0), optional_int8(result, 0, 1)};
}

std::string JobAdmin::cancel(std::int64_t id) {
  return connection_.run(statements::kJobCancel, Params().add(id).add(std::nullopt)).string(0, 0);
}

std::string JobAdmin::cancel(const std::string& unique_key) {
  return connection_.run(statements::kJobCancel, Params().add(std::nullopt).add(unique_key))
      .string(0, 0);
}

std::string JobAdmin::retry(std::int64_t id) {
  return connection_.run(statements::kJobRetry, Params().add(id)).string(0, 0);
}

std::vector<std::int64_t> JobAdmin::discard(std::span<const std::int64_t> ids) {
  const auto result = connection_.run(statements::kJobDiscard, Params().add_array(ids));
  std::vector<std::int64_t> discarded;
  for (int i = 0; i < result.rows(); ++i) discarded.push_back(result.int8(i, 0));
  return discarded;
}

std::int64_t JobAdmin::start(const std::string& what, const std::string& filter) {
  return connection_.run(statements::kJobStartOperation, Params().add(what).add(filter)).int8(0, 0);
}

std::optional<JobOperation> JobAdmin::operation(std::int64_t id) {
  auto found = operations_of(connection_.run(statements::kJobOperation, Params().add(id)));
  return found.empty() ? std::nullopt : std::optional(std::move(found.front()));
}

std::vector<JobOperation> JobAdmin::operations(int limit) {
  return operations_of(
      connection_.run(statements::kJobOperations, Params().add(std::int64_t{limit})));
}

std::vector<QueueFigures> JobAdmin::queue_figures() {
  return queue_figures_of(connection_.run(statements::kQueueFigures));
}

std::vector<std::pair<std::string, std::int64_t>> JobAdmin::running() {
  const auto result = connection_.run(statements::kQueuesRunning);
  std::vector<std::pair<std::string, std::int64_t>> queues;
  for (int i = 0; i < result.rows(); ++i) {
    queues.emplace_back(result.string(i, 0), result.int8(i, 1));
  }
  return queues;
}

std::vector<worker::QueueState> JobAdmin::queue_states() {
  const auto result = connection_.run(statements::kQueueStates);
  std::vector<worker::QueueState> states;
  for (int i = 0; i < result.rows(); ++i) {
    worker::QueueState state{result.string(i, 0), result.string(i, 1), result.boolean(i, 2), {}};
    if (!result.is_null(i, 3)) state.concurrency = result.int4(i, 3);
    states.push_back(std::move(state));
  }
  return states;
}

std::vector<RateLimit> JobAdmin::rates() {
  const auto result = connection_.run(statements::kRates);
  std::vector<RateLimit> rates;
  for (int i = 0; i < result.rows(); ++i) {
    rates.push_back({result.string(i, 0), result.float8(i, 1), result.float8(i, 2)});
  }
  return rates;
}

std::vector<std::pair<std::string, int>> JobAdmin::tenant_weights() {
  const auto result = connection_.run(statements::kTenantWeights);
  std::vector<std::pair<std::string, int>> weights;
  for (int i = 0; i < result.rows(); ++i) {
    weights.emplace_back(result.string(i, 0), result.int4(i, 1));
  }
  return weights;
}

void JobAdmin::pause(const std::string& queue, const std::string& kind) {
  connection_.run(statements::kJobPause, Params().add(queue).add(kind));
}

void JobAdmin::resume(const std::string& queue, const std::string& kind) {
  connection_.run(statements::kJobResume, Params().add(queue).add(kind));
}

void JobAdmin::set_concurrency(const std::string& queue, std::optional<int> most) {
  Params params;
  params.add(queue);
  connection_.run(statements::kQueueConcurrency, add_optional(params, most));
}

void JobAdmin::set_rate(const std::string& key, std::optional<double> per_second, double burst) {
  Params params;
  params.add(key);
  per_second ? params.add(number_text(*per_second)) : params.add(std::nullopt);
  connection_.run(statements::kRateSet, params.add(number_text(burst)));
}

void JobAdmin::set_weight(const std::string& tenant, std::optional<int> weight) {
  Params params;
  params.add(tenant);
  connection_.run(statements::kTenantWeightSet, add_optional(params, weight));
}

std::vector<LaneHolder> JobAdmin::lane_holders() {
  const auto result = connection_.run(statements::kLaneHolders);
  std::vector<LaneHolder> holders;
  for (int i = 0; i < result.rows(); ++i) {
    holders.push_back({optional_string(result, i, 0), result.int8(i, 1), result.int8(i, 2),
                       microseconds(result.int8(i, 3))});
  }
  return holders;
}

DrainFigures JobAdmin::drained(core::WallTime since, std::span<const std::string> queues) {
  const auto result =
      connection_.run(statements::kJobDrained, Params().add(timestamp(since)).add_array(queues));
  return {result.int8(0, 0), result.int8(0, 1), result.int8(0, 2),           result.int8(0, 3),
          result.int8(0, 4), result.int8(0, 5), optional_time(result, 0, 6), result.int8(0, 7)};
}

std::vector<FailedJob> JobAdmin::failed(core::WallTime since, std::span<const std::string> queues,
                                        int limit) {
  const auto result =
      connection_.run(statements::kJobFailedSince,
                      Params().add(timestamp(since)).add_array(queues).add(std::int64_t{limit}));
  std::vector<FailedJob> jobs;
  for (int i = 0; i < result.rows(); ++i) {
    jobs.push_back({result.int8(i, 0), result.string(i, 1), result.string(i, 2),
                    optional_string(result, i, 3).value_or("")});
  }
  return jobs;
}

ScheduleFigures JobAdmin::schedules() {
  const auto result = connection_.run(statements::kScheduleFigures);
  return {result.int8(0, 0), result.int8(0, 1), result.int8(0, 3), optional_time(result, 0, 2)};
}

std::vector<DeadMessageCount> JobAdmin::parked_messages() {
  return dead_message_counts_of(connection_.run(statements::kMessageCounts));
}

core::WallTime JobAdmin::now() { return connection_.run(statements::kDatabaseTime).time(0, 0); }

}  // namespace relevo::postgres
