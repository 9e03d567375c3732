// Fires schedules: looks into the table at least once a second, and at each tick. Every replica
// with the role does it; the compare-and-set in the table makes each tick single, and time is the
// database's, so no tick is early and a replica's own clock does not matter. A thread of its own.
//
// A schedule that cannot be understood or fired is told once as an error and stops no other.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/core/heartbeat.hpp"
#include "relevo/core/log.hpp"
#include "relevo/core/outage.hpp"
#include "relevo/core/service.hpp"
#include "relevo/worker/schedule.hpp"

namespace relevo::worker {

struct ScheduleDefinition {
  std::string name;
  TimingText timing;
  std::string kind;
  std::string queue = "default";
  std::string payload = "{}";  // JSON text
  std::string headers = "{}";  // JSON text, an object of strings
  int priority = 0;
  std::string missed = "once";
  int missed_max = 100;
  // Of its jobs. While a job with the unique key is unfinished, a tick makes no other.
  std::optional<std::string> unique_key{};
  std::optional<std::string> concurrency_key{};
  std::optional<std::string> rate_key{};
  std::optional<std::string> tenant{};
};

struct ScheduleRow {
  std::string name;
  TimingText timing;
  std::string missed;
  int missed_max = 0;
  bool paused = false;
  std::optional<core::WallTime> last_tick;
  std::optional<core::WallTime> next_tick;  // nullopt: to be computed, or never again
};

struct DueSchedules {
  std::vector<ScheduleRow> rows;  // without next tick, or with one in the next two seconds at most
  core::WallTime now;             // of the database
};

// Port: the table. One connection; errors are core::IntegrationError, after which a new one is
// made.
class ScheduleStore {
 public:
  virtual ~ScheduleStore() = default;

  virtual DueSchedules due() = 0;
  // A job for each tick, and the row's new state, if its next tick is still `expected`. Returns
  // whether it was.
  [[nodiscard]] virtual bool fire(const std::string& name, std::optional<core::WallTime> expected,
                                  std::optional<core::WallTime> next,
                                  std::span<const core::WallTime> ticks) = 0;
  // Makes or changes a schedule of the configuration; one that stays as it is keeps its next tick.
  virtual void put_configured(const ScheduleDefinition& schedule) = 0;
  // Removes those of the configuration that are not among `names`, and returns which they were.
  virtual std::vector<std::string> remove_configured_except(std::span<const std::string> names) = 0;
};

// Port; thread-safe.
class ScheduleMetrics {
 public:
  virtual ~ScheduleMetrics() = default;
  virtual void schedule_fired(std::string_view name, core::WallTime tick) = 0;
  virtual void schedule_missed(std::string_view name, std::int64_t ticks) = 0;
  virtual void schedules_broken(std::size_t schedules) = 0;  // as of the last look
};

class ScheduleRunner final : public core::Service {
 public:
  using Connect = std::function<std::unique_ptr<ScheduleStore>()>;

  // configured: put into the table once, at the first connection. Borrows the rest for its life.
  ScheduleRunner(Connect connect, std::vector<ScheduleDefinition> configured,
                 ScheduleMetrics& metrics, core::Log& log, const core::Clock& clock);
  ~ScheduleRunner() override;

  std::string_view name() const override { return "schedules"; }
  void start() override;
  void stop() override;

  const core::Heartbeat& heartbeat() const { return heartbeat_; }

 private:
  struct Broken {
    std::string problem;
    core::BootTime try_again{};  // after the database's refusal
    bool seen = true;
  };

  void run();
  bool pause(std::chrono::nanoseconds time);  // false: stopping
  // These throw away a connection on which the database refused one schedule, and go on.
  void put_configured(std::unique_ptr<ScheduleStore>& store);
  // Returns how long nothing is to be done.
  std::chrono::nanoseconds look(std::unique_ptr<ScheduleStore>& store);
  std::optional<core::WallTime> serve(std::unique_ptr<ScheduleStore>& store, const ScheduleRow& row,
                                      core::WallTime now);  // returns its next tick
  void tell(const std::string& name, const Plan& done);
  void broken(const std::string& name, const std::string& problem, core::BootTime try_again);

  const Connect connect_;
  const std::vector<ScheduleDefinition> configured_;
  ScheduleMetrics& metrics_;
  core::Log& log_;
  const core::Clock& clock_;
  core::Heartbeat heartbeat_;
  bool put_ = false;
  std::map<std::string, Broken> broken_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace relevo::worker
