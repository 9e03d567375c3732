#include "support/process.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include "support/eventually.hpp"

extern char** environ;

namespace relevo::test {
namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return std::move(text).str();
}

std::vector<std::string> merged_environment(const Process::Environment& added) {
  Process::Environment all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const auto equals = text.find('=');
    if (equals != std::string_view::npos)
      all.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  for (const auto& [name, value] : added) all.insert_or_assign(name, value);
  std::vector<std::string> entries;
  for (const auto& [name, value] : all) entries.push_back(name + "=" + value);
  return entries;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (auto& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

int open_output(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) throw std::system_error(errno, std::generic_category(), path.string());
  return file;
}

}  // namespace

Process::Process(std::vector<std::string> command, const Environment& environment)
    : directory_("relevo-process-") {
  // All memory is prepared before fork(): another thread may hold the allocator's lock then.
  auto entries = merged_environment(environment);
  const auto envp = pointers(entries);
  const auto argv = pointers(command);
  const int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int output = open_output(directory_.path() / "stdout");
  const int errors = open_output(directory_.path() / "stderr");
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    ::dup2(input, 0);
    ::dup2(output, 1);
    ::dup2(errors, 2);
    ::execvpe(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  const int error = errno;
  ::close(input);
  ::close(output);
  ::close(errors);
  if (pid_ < 0) throw std::system_error(error, std::generic_category(), "fork");
}

Process::~Process() { kill(); }

bool Process::running() { return !wait(std::chrono::milliseconds(0)); }

void Process::signal(int number) {
  if (running()) ::kill(pid_, number);
}

std::optional<Exit> Process::wait(std::chrono::milliseconds deadline) {
  const auto ended = [&] {
    if (exit_) return true;
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) != pid_) return false;
    exit_ = WIFSIGNALED(status) ? Exit{-1, WTERMSIG(status)} : Exit{WEXITSTATUS(status), 0};
    return true;
  };
  if (!eventually(deadline, ended, std::chrono::milliseconds(2))) return std::nullopt;
  return exit_;
}

void Process::kill() {
  signal(SIGKILL);
  while (!wait(std::chrono::seconds(1))) {
  }
}

std::string Process::standard_output() const { return read_file(directory_.path() / "stdout"); }
std::string Process::standard_error() const { return read_file(directory_.path() / "stderr"); }

std::optional<std::string> Process::find_line(std::string_view text, std::size_t offset) const {
  const auto log = standard_error();
  const auto found = log.find(text, offset);
  if (found == std::string::npos) return std::nullopt;
  const auto before = log.rfind('\n', found);
  const auto begin = before == std::string::npos ? 0 : before + 1;
  const auto end = log.find('\n', found);
  if (end == std::string::npos) return std::nullopt;  // not written in full yet
  return log.substr(begin, end - begin);
}

std::optional<std::string> Process::wait_line(std::string_view text,
                                              std::chrono::milliseconds deadline,
                                              std::size_t offset) {
  std::optional<std::string> line;
  (void)eventually(deadline, [&] {
    const bool ended = !running();  // asked first: what it wrote before its end is seen
    line = find_line(text, offset);
    return line || ended;
  });
  return line;
}

std::string run(std::vector<std::string> command, const Process::Environment& environment,
                std::chrono::milliseconds deadline) {
  const auto name = command.front();
  Process process(std::move(command), environment);
  const auto exit = process.wait(deadline);
  if (exit && exit->code == 0) return process.standard_output();
  throw std::runtime_error(name + (exit ? " failed: " : " is not done in time: ") +
                           process.standard_error());
}

}  // namespace relevo::test
