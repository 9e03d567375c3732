// How work is written: one class per kind of job or message, returning an Outcome.
//
//   class SendReceipt : public JobHandler {
//    public:
//     Outcome run(const Job& job, Context& context) override;
//   };
//
// A handler is called from several threads at once, each with its own job: it holds no state of its
// own that changes. It may throw anything; that is a failed attempt. It looks at context.stop()
// between steps: at the time limit, at a cancellation and at the end of the process it is set.
#pragma once

#include <memory>
#include <span>
#include <stop_token>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/core/log.hpp"
#include "relevo/worker/job.hpp"
#include "relevo/worker/message.hpp"
#include "relevo/worker/outcome.hpp"
#include "relevo/worker/unit_of_work.hpp"

namespace relevo::worker {

// What a run is given beside its job. One thread.
class Context {
 public:
  virtual ~Context() = default;

  // The transaction of this run, opened at first use: a handler that never asks costs none.
  virtual UnitOfWork& unit() = 0;
  virtual const core::Clock& clock() const = 0;
  virtual std::stop_token stop() const = 0;
  virtual core::Log& log() = 0;
};

class JobHandler {
 public:
  virtual ~JobHandler() = default;
  virtual Outcome run(const Job& job, Context& context) = 0;
};

// Many due jobs of one kind in one call and one transaction, for work in sets. One outcome per job,
// in their order. When not every job ends Done, Snooze or Cancel, or it throws, everything is
// rolled back and the jobs are run in calls of one.
class BatchHandler {
 public:
  virtual ~BatchHandler() = default;
  virtual std::vector<Outcome> run(std::span<const Job> jobs, Context& context) = 0;
};

// Messages of a subscription that are due together, at most one of each key unless
// several_of_a_key(); new to the inbox. One outcome per message. When one ends neither Done nor
// Cancel, or it throws, everything is rolled back and run in smaller calls, down to calls of one.
class MessageHandler {
 public:
  virtual ~MessageHandler() = default;
  virtual std::vector<Outcome> run(std::span<const Message> messages, Context& context) = 0;

  // Whether it wants several messages of one key in one call, in their order: more messages per
  // transaction where there are few keys.
  virtual bool several_of_a_key() const { return false; }
};

}  // namespace relevo::worker
