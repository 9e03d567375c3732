#include "isolation.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <future>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

namespace relevo {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using worker::Ended;

constexpr auto kIdle = 5s;  // then a child is not kept any longer

json text_or_null(std::optional<std::string_view> text) {
  return text ? json(std::string(*text)) : json();
}

std::string job_text(const worker::Claim& claim, const std::string& worker) {
  const auto& row = claim.row();
  json job{{"worker", worker},
           {"id", row.at.id},
           {"token", row.token},
           {"queue", std::string(row.queue)},
           {"kind", std::string(row.kind)},
           {"attempts", row.attempts},
           {"tenant", text_or_null(row.tenant)},
           {"unique_key", text_or_null(row.unique_key)},
           {"concurrency_key", text_or_null(row.concurrency_key)},
           {"batch", row.batch ? json(*row.batch) : json()},
           {"created_at", row.created_at.time_since_epoch().count()},
           {"waited_ms", claim.waited.count()},
           {"timeout_ms", claim.timeout().count()},
           {"headers", std::string(row.headers)},
           {"payload", std::string(row.payload.value_or("{}"))}};
  if (row.max_attempts) job["max_attempts"] = *row.max_attempts;
  return job.dump(-1, ' ', false, json::error_handler_t::replace);
}

const std::array<std::pair<const char*, Ended::How>, 4> kHows{
    std::pair{"judged", Ended::How::kJudged}, std::pair{"committed", Ended::How::kCommitted},
    std::pair{"refused", Ended::How::kRefused}, std::pair{"in_doubt", Ended::How::kInDoubt}};

std::optional<Ended::How> how_of(const json& answer) {
  const auto how = answer.value("how", "");
  for (const auto& [name, value] : kHows) {
    if (how == name) return value;
  }
  return std::nullopt;
}

json outcome_json(const worker::Outcome& outcome) {
  json text{{"outcome", worker::outcome_name(outcome)}};
  if (const auto* done = std::get_if<worker::Done>(&outcome)) text["result"] = done->result;
  if (const auto* retry = std::get_if<worker::Retry>(&outcome)) {
    text["reason"] = retry->reason;
    if (retry->after) text["after_ms"] = retry->after->count();
  }
  if (const auto* snooze = std::get_if<worker::Snooze>(&outcome)) {
    text["after_ms"] = snooze->delay.count();
  }
  if (const auto* cancel = std::get_if<worker::Cancel>(&outcome)) text["reason"] = cancel->reason;
  if (const auto* dead = std::get_if<worker::Dead>(&outcome)) text["reason"] = dead->reason;
  return text;
}

worker::Outcome outcome_of(const json& text) {
  const auto name = text.at("outcome").get<std::string>();
  const auto reason = text.value("reason", "");
  const std::chrono::milliseconds after(text.value("after_ms", std::int64_t{0}));
  if (name == "completed") return worker::done(text.value("result", ""));
  if (name == "snoozed") return worker::snooze(after);
  if (name == "cancelled") return worker::cancel(reason);
  if (name == "dead") return worker::dead(reason);
  return text.contains("after_ms") ? worker::retry(reason, after) : worker::retry(reason);
}

sigset_t terminate_signal() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  return set;
}

std::optional<std::string> text_of(const json& job, const char* name) {
  return job.at(name).is_null() ? std::nullopt : std::optional(job.at(name).get<std::string>());
}

// What runs beyond this process has to be waited for here.
worker::Outcome call_remote(worker::RemoteHandler& handler, const worker::Claim& claim) {
  std::promise<worker::Outcome> promise;
  handler.start(claim.job->job(), claim.timeout(),
                [&promise](worker::Outcome outcome) { promise.set_value(std::move(outcome)); });
  return promise.get_future().get();
}

// What the line of a job says. The record owns all of it.
worker::Claim claim_of(const json& job, const worker::Registry& registry) {
  const auto queue = job.at("queue").get<std::string>();
  const auto kind = job.at("kind").get<std::string>();
  const auto headers = job.at("headers").get<std::string>();
  const auto payload = job.at("payload").get<std::string>();
  const auto tenant = text_of(job, "tenant");
  const auto unique_key = text_of(job, "unique_key");
  const auto concurrency_key = text_of(job, "concurrency_key");
  worker::JobRow row;
  row.at.id = job.at("id").get<worker::JobId>();
  row.token = job.at("token").get<worker::Token>();
  row.queue = queue;
  row.kind = kind;
  row.headers = headers;
  row.payload = payload;
  row.tenant = tenant;
  row.unique_key = unique_key;
  row.concurrency_key = concurrency_key;
  row.attempts = job.at("attempts").get<int>();
  if (job.contains("max_attempts")) row.max_attempts = job.at("max_attempts").get<int>();
  if (!job.at("batch").is_null()) row.batch = job.at("batch").get<std::int64_t>();
  row.created_at =
      core::WallTime(std::chrono::microseconds(job.at("created_at").get<std::int64_t>()));
  row.timeout = std::chrono::milliseconds(job.at("timeout_ms").get<std::int64_t>());
  worker::Claim claim;
  claim.job = std::make_unique<worker::JobRecord>(row);
  claim.kind = registry.find(kind);
  claim.waited = std::chrono::milliseconds(job.at("waited_ms").get<std::int64_t>());
  return claim;
}

// SIGTERM: the stop token of what runs and of what comes after it. A thread waits for it, so that a
// handler may block; it lives as long as the process.
class StopOnSignal {
 public:
  StopOnSignal() {
    std::thread([this] {
      const auto stop_signal = terminate_signal();
      int signal = 0;
      ::sigwait(&stop_signal, &signal);
      const std::lock_guard lock(mutex_);
      asked_ = true;
      running_.request_stop();
    }).detach();
  }

  void now_runs(const std::stop_source& stop) {
    const std::lock_guard lock(mutex_);
    running_ = stop;
    if (asked_) running_.request_stop();
  }

 private:
  std::mutex mutex_;
  std::stop_source running_{std::nostopstate};
  bool asked_ = false;
};

bool write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const auto wrote = ::write(file, text.data(), text.size());
    if (wrote < 0 && errno != EINTR) return false;
    if (wrote > 0) text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return true;
}

}  // namespace

ChildIsolation::ChildIsolation(std::vector<std::string> command, std::string worker,
                               int quarantine_after, const core::Clock& clock)
    : command_(std::move(command)),
      worker_(std::move(worker)),
      quarantine_after_(quarantine_after),
      clock_(clock) {}

ChildIsolation::~ChildIsolation() = default;

Ended ChildIsolation::run(const worker::Claim& claim, std::stop_token stop) {
  const auto begun = clock_.now();
  auto& mutable_claim = const_cast<worker::Claim&>(claim);
  const auto ended = [&](Ended::How how, worker::Outcome outcome) {
    return Ended{&mutable_claim, std::move(outcome), clock_.now() - begun, how};
  };
  const bool alone = claim.row().crashes + 1 >= quarantine_after_;
  auto child = alone ? nullptr : take_idle();
  try {
    if (!child) child = std::make_unique<ChildProcess>(command_);
  } catch (const std::system_error& error) {
    return ended(Ended::How::kInDoubt, worker::retry(error.what()));
  }
  const auto reply = child->ask(job_text(claim, worker_), stop);
  const auto text = json::parse(reply.line.value_or(""), nullptr, false);
  const auto how = text.is_object() ? how_of(text) : std::nullopt;
  if (how) {
    if (!alone && !reply.told_to_stop) {
      const std::lock_guard lock(mutex_);
      idle_.push_back({std::move(child), clock_.now()});
    }
    return ended(*how, outcome_of(text));
  }
  if (reply.told_to_stop) {
    return ended(Ended::How::kJudged, worker::retry("ran into its time limit or was cancelled"));
  }
  return ended(Ended::How::kCrashed, worker::retry(child->how_it_ended()));
}

std::unique_ptr<ChildProcess> ChildIsolation::take_idle() {
  const std::lock_guard lock(mutex_);
  while (!idle_.empty()) {
    auto child = std::move(idle_.back().child);
    idle_.pop_back();
    if (!child->ended()) return child;
  }
  return nullptr;
}

void ChildIsolation::tidy(core::BootTime now) {
  std::vector<Idle> ending;  // outside the lock
  const std::lock_guard lock(mutex_);
  const auto kept = std::find_if(idle_.begin(), idle_.end(),
                                 [&](const Idle& one) { return now - one.since < kIdle; });
  std::move(idle_.begin(), kept, std::back_inserter(ending));
  idle_.erase(idle_.begin(), kept);
}

void prepare_isolated_job() {
  const auto set = terminate_signal();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGINT, SIG_IGN);
}

void run_isolated_jobs(
    const worker::Registry& registry,
    const std::function<std::unique_ptr<worker::UnitSource>(std::string worker)>& units,
    core::Log& log) {
  // Whatever a handler prints must not be taken for an answer, whatever it starts not hold the
  // pipe.
  const int answer_to = ::fcntl(1, F_DUPFD_CLOEXEC, 3);
  ::dup2(2, 1);
  StopOnSignal stop;
  std::unique_ptr<worker::UnitSource> source;
  bool told = true;
  for (std::string line; told && std::getline(std::cin, line);) {
    const auto job = json::parse(line);
    worker::Claim claim = claim_of(job, registry);
    stop.now_runs(claim.stop);
    Ended ended{&claim, worker::Done{}, 0ns, Ended::How::kJudged};
    if (claim.kind && claim.kind->remote) {
      ended.outcome = call_remote(*claim.kind->remote, claim);
    } else {
      if (!source) source = units(job.at("worker").get<std::string>());
      worker::Judge judge;
      ended = worker::Executor::run_here(claim, *source, judge, log, core::system_clock());
    }
    auto answer = outcome_json(ended.outcome);
    for (const auto& [name, value] : kHows) {
      if (ended.how == value) answer["how"] = name;
    }
    const auto output = answer.dump(-1, ' ', false, json::error_handler_t::replace) + '\n';
    told = write_all(answer_to, output);
  }
  // Not by way of destructors: a thread waits for the signal.
  ::_exit(told ? 0 : 1);
}

}  // namespace relevo
