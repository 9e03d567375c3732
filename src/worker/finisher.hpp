// Writes the ends of attempts in batches, one transaction at a time, while the worker goes on.
// Repeats a batch whose answer was lost: an end that was already written finds no row of its token
// and changes nothing. A row that a stranger has locked holds up no other.
//
// One thread, the worker's. Throws nothing: an outage is waited for.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "relevo/core/backoff.hpp"
#include "relevo/core/error.hpp"
#include "relevo/core/log.hpp"
#include "relevo/core/outage.hpp"
#include "relevo/worker/job_store.hpp"
#include "relevo/worker/metrics.hpp"
#include "relevo/worker/verdict.hpp"

namespace relevo::worker {

class Finisher {
 public:
  using Connect = std::function<std::unique_ptr<ResultWriter>()>;

  // gather: for how long few results wait for others, since each statement costs a flush.
  Finisher(Connect connect, int quarantine_after, std::chrono::milliseconds gather,
           Metrics& metrics, core::Log& log, const core::Clock& clock);

  void add(Verdict verdict);
  void add_crash(Failure crash);

  // Sends what waits, takes the answer that has come. Jobs whose end is written are appended to
  // `over`.
  void pump(std::vector<JobKey>& over);
  // Jobs whose row was not changed: gone, somebody else's, or only locked by somebody. Ask which
  // still stand; those are tried again, the others count as refused and are appended to `over`.
  std::vector<JobKey> unsure() const;
  void resolve(std::span<const JobId> still, std::vector<JobKey>& over);

  bool idle() const;
  // To wait on; -1: nothing is on its way.
  int socket() const;
  // When what waits for others is to be sent; nullopt: nothing does.
  std::optional<core::BootTime> next_time() const;
  std::size_t size() const;

 private:
  static constexpr int kSorts = 4;

  struct Batch {
    std::vector<JobKey> plain;
    std::vector<Finish> finishes;
    std::vector<Failure> failures;
    std::vector<Failure> crashes;
    bool repeated = false;  // sent before, and the answer was lost
    bool last_try = false;

    // A batch of one sort; `first` is looked for first.
    std::optional<Batch> take(int first);
    std::size_t size() const;
    std::vector<JobKey> keys() const;
  };

  void send_next();
  void receive(std::vector<JobKey>& over);
  void failed(const core::IntegrationError& error, std::vector<JobKey>& over);
  void take_apart(Batch batch, std::vector<JobKey>& over);
  std::optional<Batch> next_batch();

  const Connect connect_;
  const int quarantine_after_;
  const std::chrono::milliseconds gather_;
  Metrics& metrics_;
  core::Log& log_;
  const core::Clock& clock_;
  core::Outage outage_;
  core::Backoff backoff_;
  core::BootTime not_before_{};
  core::BootTime gathering_until_{};
  std::unique_ptr<ResultWriter> writer_;

  Batch waiting_;
  int turn_ = 0;
  std::deque<Batch> again_;
  std::array<Batch, 2> locked_;  // of rows that somebody has locked; of repeated batches apart
  core::BootTime locked_until_{};
  bool asked_ = false;  // whether `sent_` has left
  std::optional<Batch> sent_;
  std::vector<std::pair<JobKey, Batch>> unsure_;
};

}  // namespace relevo::worker
