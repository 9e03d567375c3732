#include "child_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <system_error>

#include "relevo/core/clock.hpp"

namespace relevo {
namespace {

using namespace std::chrono_literals;

constexpr auto kLook = 50ms;     // for a stop
constexpr auto kAfterTerm = 5s;  // then the child is killed
constexpr std::size_t kLongestAnswer = 1 << 20;

}  // namespace

class ChildProcess::Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) {
      throw std::system_error(errno, std::generic_category(), "no pipe to a process of its own");
    }
  }
  ~Pipe() {
    close(ends_[0]);
    close(ends_[1]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int read_end() const { return ends_[0]; }
  int write_end() const { return ends_[1]; }
  void close_read() { close(ends_[0]); }
  void close_write() { close(ends_[1]); }

 private:
  static void close(int& end) {
    if (end >= 0) ::close(end);
    end = -1;
  }
  std::array<int, 2> ends_{-1, -1};
};

ChildProcess::ChildProcess(const std::vector<std::string>& command)
    : to_(std::make_unique<Pipe>()), from_(std::make_unique<Pipe>()) {
  ::fcntl(to_->write_end(), F_SETFL, O_NONBLOCK);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, to_->read_end(), 0);
  ::posix_spawn_file_actions_adddup2(&actions, from_->write_end(), 1);
  std::vector<char*> arguments;
  for (const auto& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const int error =
      ::posix_spawn(&pid_, arguments[0], &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    throw std::system_error(error, std::generic_category(), "no process of its own");
  }
  to_->close_read();
  from_->close_write();
}

ChildProcess::~ChildProcess() {
  if (!status_) ::kill(pid_, SIGKILL);
  wait();
}

bool ChildProcess::ended() {
  int status = 0;
  if (!status_ && ::waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
  return status_.has_value();
}

void ChildProcess::wait() {
  if (status_) return;
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  status_ = status;
}

std::size_t ChildProcess::feed(std::string_view text) {
  const auto wrote = ::write(to_->write_end(), text.data(), text.size());
  if (wrote >= 0) return static_cast<std::size_t>(wrote);
  return errno == EAGAIN ? 0 : text.size();
}

bool ChildProcess::listen(std::string& text) {
  std::array<char, 4096> part{};
  const auto got = ::read(from_->read_end(), part.data(), part.size());
  if (got > 0) text.append(part.data(), static_cast<std::size_t>(got));
  return got > 0;
}

ChildProcess::Reply ChildProcess::ask(std::string line, const std::stop_token& stop) {
  line += '\n';
  std::string_view rest = line;
  std::string answer;
  Reply reply;
  core::BootTime kill_at{};
  for (;;) {
    std::array<pollfd, 2> on{pollfd{from_->read_end(), POLLIN, 0},
                             pollfd{to_->write_end(), POLLOUT, 0}};
    (void)::poll(on.data(), rest.empty() ? 1 : 2, static_cast<int>(kLook.count()));
    if (on[1].revents != 0) rest.remove_prefix(feed(rest));
    if (on[0].revents != 0) {
      const bool open = listen(answer);
      if (answer.ends_with('\n')) {
        answer.pop_back();
        reply.line = std::move(answer);
        return reply;
      }
      const bool too_long = answer.size() > kLongestAnswer;
      if (too_long) ::kill(pid_, SIGKILL);
      if (!open || too_long) return reply;
    }
    if (!stop.stop_requested()) continue;
    const auto now = core::BootClock::now();
    if (!reply.told_to_stop) {
      reply.told_to_stop = true;
      kill_at = now + kAfterTerm;
      ::kill(pid_, SIGTERM);
    } else if (now >= kill_at) {
      ::kill(pid_, SIGKILL);
    }
  }
}

std::string ChildProcess::how_it_ended() {
  wait();
  if (WIFSIGNALED(*status_)) {
    const int signal = WTERMSIG(*status_);
    return "its process was ended by signal " + std::to_string(signal) + " (" +
           ::strsignal(signal) + ")";
  }
  return "its process ended with exit code " + std::to_string(WEXITSTATUS(*status_)) +
         " and no answer";
}

}  // namespace relevo
