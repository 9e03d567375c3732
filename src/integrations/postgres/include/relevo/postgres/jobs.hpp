// The tables of jobs behind the ports of src/worker: relevo.job, relevo.lane and what belongs to
// them. Each object owns or shares one connection; errors as Connection.
#pragma once

#include <memory>
#include <string>

#include "relevo/postgres/connection.hpp"
#include "relevo/postgres/unit_of_work.hpp"
#include "relevo/worker/executor.hpp"
#include "relevo/worker/job_store.hpp"

namespace relevo::postgres {

// Windows of one class.
class JobWindows final : public feed::WindowSource<worker::JobRows, worker::Cursor> {
 public:
  // lanes: their number, a power of two; rows hash to lanes by it.
  JobWindows(std::shared_ptr<Connection> connection, int job_class, int lanes)
      : connection_(std::move(connection)), class_(job_class), mask_(lanes - 1) {}

  std::optional<worker::JobRows> small_window(const feed::Tick& a, const feed::Tick& b,
                                              worker::Cursor after,
                                              std::span<const feed::Slice> lanes) override;
  worker::Cursor lower_bound(const feed::Tick& a, const feed::Tick& b) override;
  void request_page(const feed::Tick& a, const feed::Tick& b, worker::Cursor after,
                    std::span<const feed::Slice> lanes) override;
  // Runs the page now: rows read before a job ended would show it again afterwards.
  feed::Page<worker::JobRows, worker::Cursor> receive_page() override;

 private:
  struct Scan {
    worker::JobRows rows;
    std::optional<worker::Cursor> cut_at;  // nullopt: there is no more
  };
  static Scan scan_of(const Result& result);
  Scan late(const feed::Tick& a, const feed::Tick& b, worker::Cursor after,
            std::span<const feed::Slice> lanes);
  Scan fresh(const feed::Tick& b, worker::Cursor after, std::span<const feed::Slice> lanes);

  struct Asked {
    feed::Tick a, b;
    worker::Cursor after;
    std::vector<feed::Slice> lanes;
  };

  std::shared_ptr<Connection> connection_;
  const int class_;
  const std::int64_t mask_;
  std::optional<Asked> asked_;
};

class LaneStore final : public worker::LaneStore {
 public:
  LaneStore(std::shared_ptr<Connection> connection, int lanes)
      : connection_(std::move(connection)), lanes_(lanes) {}

  std::vector<worker::LaneRow> take(const std::string& holder, std::chrono::milliseconds ttl,
                                    int most) override;
  std::vector<worker::LaneRow> retake(const std::string& holder, std::chrono::milliseconds ttl,
                                      std::span<const feed::Lease> leases) override;
  std::optional<worker::Settled> settle(feed::Slice lane, std::int64_t epoch, std::int64_t version,
                                        bool crash, int quarantine_after,
                                        std::chrono::milliseconds backoff,
                                        const std::string& worker) override;
  std::vector<worker::Journalled> journal(std::span<const worker::LaneRow* const> lanes,
                                          std::span<const worker::UniqueStart> unique) override;
  void release(std::span<const worker::LaneRow* const> lanes) override;

 private:
  std::shared_ptr<Connection> connection_;
  const int lanes_;
};

class JobReader final : public worker::JobReader {
 public:
  JobReader(std::shared_ptr<Connection> connection, int lanes)
      : connection_(std::move(connection)), mask_(lanes - 1) {}

  worker::JobRows peek(const feed::Tick& since, std::span<const feed::Slice> lanes) override;
  worker::DuePage due(int job_class, const worker::DueCursor& after,
                      std::span<const feed::Slice> lanes) override;
  std::optional<std::chrono::milliseconds> next_due(
      std::span<const worker::DueCursor, worker::kClasses> after) override;
  worker::ScanPage scan(int job_class, worker::Cursor after, worker::Scope scope,
                        const std::string& value, std::span<const feed::Slice> lanes) override;
  worker::JobRows of_key(const std::string& key, worker::JobId after,
                         std::span<const feed::Slice> lanes) override;
  std::vector<LargePayload> payloads(std::span<const worker::JobId> ids) override;
  std::vector<worker::JobId> still(std::span<const worker::JobKey> jobs) override;
  worker::Controls controls() override;
  bool anything_due(std::span<const std::string> queues) override;
  std::vector<worker::Signal> signals(std::span<const feed::Slice> lanes) override;
  void signals_done(std::span<const std::int64_t> ids) override;
  bool cancel_waiting(std::span<const feed::Lease> lanes, worker::JobId job,
                      const std::string& reason) override;
  bool lives(worker::JobId job) override;
  void retry_now(std::span<const feed::Lease> lanes, std::span<const worker::JobId> jobs) override;
  bool edit_waiting(std::span<const feed::Lease> lanes, std::int64_t signal) override;
  worker::OperationPage apply_operation(std::int64_t operation, std::span<const feed::Lease> lanes,
                                        worker::JobId after,
                                        std::span<const worker::JobId> held) override;
  void operation_lane_done(std::int64_t operation, std::int64_t signal,
                           std::size_t stopping) override;
  std::vector<worker::Tokens> take_tokens(std::span<const std::string> keys,
                                          std::span<const int> wanted) override;
  SweepPage sweep(worker::JobId after, const SweepBounds& bounds,
                  std::span<const feed::Slice> lanes) override;
  int sweep_fix(std::span<const feed::Lease> lanes, std::span<const worker::JobKey> jobs) override;

 private:
  std::shared_ptr<Connection> connection_;
  const std::int64_t mask_;
};

class ResultWriter final : public worker::ResultWriter {
 public:
  // worker: the name that stands in the history. The options' lock_timeout should be short.
  ResultWriter(const ConnectOptions& options, std::string worker)
      : connection_(options), worker_(std::move(worker)) {}

  void send_plain(std::span<const worker::JobKey> jobs) override;
  void send_finish(std::span<const worker::Finish> jobs) override;
  void send_failures(std::span<const worker::Failure> jobs) override;
  void send_crashes(std::span<const worker::Failure> jobs, int quarantine_after) override;
  int socket() const override { return connection_.socket(); }
  bool answered() override { return connection_.answered(); }
  std::vector<worker::JobId> receive() override;

 private:
  Connection connection_;
  const std::string worker_;
};

// Units of work of one thread of the executor, on a connection that is made when first needed and
// again after it was lost.
class UnitSource final : public worker::UnitSource {
 public:
  UnitSource(ConnectOptions options, std::string worker)
      : options_(std::move(options)), worker_(std::move(worker)) {}

  std::unique_ptr<worker::RunUnit> begin() override;

 private:
  const ConnectOptions options_;
  const std::string worker_;
  std::unique_ptr<Connection> connection_;
};

// Everything a worker reads through, on one connection.
worker::JobSession connect_jobs(const ConnectOptions& options, int lanes);

}  // namespace relevo::postgres
