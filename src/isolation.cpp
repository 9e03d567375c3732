#include "isolation.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <future>
#include <iostream>
#include <nlohmann/json.hpp>

namespace relevo {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using worker::Ended;

constexpr auto kLook = 50ms;
constexpr auto kAfterTerm = 5s;  // then the child is killed
constexpr std::size_t kLongestAnswer = 1 << 20;

class Pipe {
 public:
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return;
    read_ = ends[0];
    write_ = ends[1];
  }
  ~Pipe() {
    close_read();
    close_write();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  bool open() const { return read_ >= 0; }
  int read_end() const { return read_; }
  int write_end() const { return write_; }
  void close_read() { close_one(read_); }
  void close_write() { close_one(write_); }

 private:
  static void close_one(int& end) {
    if (end >= 0) ::close(end);
    end = -1;
  }
  int read_ = -1;
  int write_ = -1;
};

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

struct Answer {
  std::string text;
  int status = 0;      // of waitpid
  bool asked = false;  // to end: it ran into its time limit, or was cancelled
};

// Feeds the child and listens to it until it has ended.
Answer converse(pid_t child, Pipe& to, Pipe& from, std::string_view input,
                const std::stop_token& stop) {
  Answer answer;
  core::BootTime kill_at{};
  ::fcntl(to.write_end(), F_SETFL, O_NONBLOCK);
  for (bool open = true; open;) {
    std::array<pollfd, 2> on{pollfd{from.read_end(), POLLIN, 0},
                             pollfd{to.write_end(), POLLOUT, 0}};
    const bool feeding = !input.empty();
    (void)::poll(on.data(), feeding ? 2 : 1, static_cast<int>(kLook.count()));
    if (feeding && (on[1].revents & (POLLOUT | POLLERR)) != 0) {
      const auto wrote = ::write(to.write_end(), input.data(), input.size());
      if (wrote > 0) input.remove_prefix(static_cast<std::size_t>(wrote));
      if (wrote < 0 && errno != EAGAIN) input = {};  // it has ended without reading
      if (input.empty()) to.close_write();
    }
    if ((on[0].revents & (POLLIN | POLLHUP)) != 0) {
      std::array<char, 4096> part{};
      const auto got = ::read(from.read_end(), part.data(), part.size());
      if (got <= 0) open = false;
      if (got > 0 && answer.text.size() < kLongestAnswer) {
        answer.text.append(part.data(), static_cast<std::size_t>(got));
      }
    }
    if (!stop.stop_requested()) continue;
    const auto now = core::BootClock::now();
    if (!answer.asked) {
      answer.asked = true;
      kill_at = now + kAfterTerm;
      ::kill(child, SIGTERM);
    } else if (now >= kill_at) {
      ::kill(child, SIGKILL);
    }
  }
  while (::waitpid(child, &answer.status, 0) < 0 && errno == EINTR) {
  }
  return answer;
}

std::string how_it_died(int status) {
  if (WIFSIGNALED(status)) {
    return std::string("its process was ended by signal ") + std::to_string(WTERMSIG(status)) +
           " (" + ::strsignal(WTERMSIG(status)) + ")";
  }
  return "its process ended with exit code " +
         std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : -1) + " and no answer";
}

const std::array<std::pair<const char*, Ended::How>, 4> kHows{
    std::pair{"judged", Ended::How::kJudged}, std::pair{"committed", Ended::How::kCommitted},
    std::pair{"refused", Ended::How::kRefused}, std::pair{"in_doubt", Ended::How::kInDoubt}};

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

}  // namespace

Ended ChildIsolation::run(const worker::Claim& claim, std::stop_token stop) {
  const auto begun = clock_.now();
  auto& mutable_claim = const_cast<worker::Claim&>(claim);
  const auto ended = [&](Ended::How how, worker::Outcome outcome) {
    return Ended{&mutable_claim, std::move(outcome), clock_.now() - begun, how};
  };
  Pipe to, from;
  if (!to.open() || !from.open()) {
    return ended(Ended::How::kInDoubt, worker::retry("no pipe to a process of its own"));
  }
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, to.read_end(), 0);
  ::posix_spawn_file_actions_adddup2(&actions, from.write_end(), 1);
  std::vector<char*> arguments;
  for (const auto& argument : command_) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  pid_t child = 0;
  const int error =
      ::posix_spawn(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return ended(Ended::How::kInDoubt,
                 worker::retry(std::string("no process of its own: ") + std::strerror(error)));
  }
  to.close_read();
  from.close_write();
  const auto input = job_text(claim, worker_);
  const auto answer = converse(child, to, from, input, stop);
  const auto text = json::parse(answer.text, nullptr, false);
  if (text.is_object() && text.contains("how") && text.contains("outcome")) {
    const auto how = text.at("how").get<std::string>();
    for (const auto& [name, value] : kHows) {
      if (how == name) return ended(value, outcome_of(text));
    }
  }
  if (answer.asked) {
    return ended(Ended::How::kJudged, worker::retry("ran into its time limit or was cancelled"));
  }
  return ended(Ended::How::kCrashed, worker::retry(how_it_died(answer.status)));
}

void prepare_isolated_job() {
  const auto set = terminate_signal();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

int run_isolated_job(
    const worker::Registry& registry,
    const std::function<std::unique_ptr<worker::UnitSource>(std::string worker)>& units,
    core::Log& log) {
  // Whatever a handler prints must not be taken for the answer.
  const int answer_to = ::dup(1);
  ::dup2(2, 1);
  const std::string input((std::istreambuf_iterator<char>(std::cin)), {});
  const auto job = json::parse(input);
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

  // SIGTERM: the stop token. A thread waits for it, so that a handler may block.
  std::thread([&claim] {
    const auto stop_signal = terminate_signal();
    int signal = 0;
    ::sigwait(&stop_signal, &signal);
    claim.stop.request_stop();
  }).detach();

  Ended ended{&claim, worker::Done{}, 0ns, Ended::How::kJudged};
  if (claim.kind && claim.kind->remote) {
    ended.outcome = call_remote(*claim.kind->remote, claim);
  } else {
    const auto source = units(job.at("worker").get<std::string>());
    worker::Judge judge;
    ended = worker::Executor::run_here(claim, *source, judge, log, core::system_clock());
  }
  auto text = outcome_json(ended.outcome);
  for (const auto& [name, value] : kHows) {
    if (ended.how == value) text["how"] = name;
  }
  const auto output = text.dump(-1, ' ', false, json::error_handler_t::replace);
  const bool told = ::write(answer_to, output.data(), output.size()) == std::ssize(output);
  // Not by way of destructors: the thread that waits for the signal looks at the claim.
  ::_exit(told ? 0 : 1);
}

}  // namespace relevo
