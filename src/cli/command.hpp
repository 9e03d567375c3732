// What the commands of relevo share: how they are registered, what they are given, how they fail.
// Each add_*() declares one command of the parent with its options and help; when it is the one
// that was asked for, parsing sets `chosen` to its action.
#pragma once

#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "cli/standard_output.hpp"
#include "relevo/config/config.hpp"
#include "relevo/config/load.hpp"
#include "relevo/config/problem.hpp"

namespace CLI {
class App;
}

namespace relevo::cli {

// Ends a command: lines for standard error, each saying what, where and what to do, and the exit
// code.
class Failure : public std::runtime_error {
 public:
  Failure(int exit_code, std::vector<std::string> lines);
  Failure(int exit_code, std::string line) : Failure(exit_code, std::vector{std::move(line)}) {}

  int exit_code() const { return exit_code_; }
  const std::vector<std::string>& lines() const { return lines_; }

 private:
  int exit_code_;
  std::vector<std::string> lines_;
};

// A mistake in the arguments that the parser cannot see.
class UsageError : public Failure {
 public:
  explicit UsageError(std::string line);
};

struct Invocation {
  std::optional<std::string> config_file;
  StandardOutput& out;
};

// Returns the exit code.
using Action = std::function<int(Invocation&)>;

// A line for people on standard error.
void complain(const std::string& line);

// The configuration, or what is wrong with it.
config::LoadResult read_config(const Invocation& invocation);
// The configuration, which the command needs to be free of errors: throws Failure with all of them.
config::LoadResult load_config_with_warnings(const Invocation& invocation);
// The same, with the warnings told on standard error.
config::Config load_config(const Invocation& invocation);

// What a worker starts for a job that is suspected of killing its process.
std::vector<std::string> isolated_job_command(const config::LoadResult& loaded);

// What `list` below a command shows, which is also what the command itself does.
struct ListCommand {
  std::string help;
  std::string footer;
  std::string json_help;
  std::function<int(bool json, const Invocation&)> list;
};
void add_default_list(CLI::App& parent, Action& chosen, ListCommand command);

void add_run(CLI::App& parent, Action& chosen);
void add_migrate(CLI::App& parent, Action& chosen);
void add_check(CLI::App& parent, Action& chosen);
void add_status(CLI::App& parent, Action& chosen);
void add_outbox(CLI::App& parent, Action& chosen);  // with the following below it
void add_outbox_tail(CLI::App& parent, Action& chosen);
void add_outbox_publish(CLI::App& parent, Action& chosen);
void add_outbox_dead(CLI::App& parent, Action& chosen);
void add_dead_messages(CLI::App& parent, Action& chosen);
void add_jobs(CLI::App& parent, Action& chosen);
void add_queues(CLI::App& parent, Action& chosen);
void add_schedules(CLI::App& parent, Action& chosen);
void add_isolated_job(CLI::App& parent, Action& chosen);
void add_version(CLI::App& parent, Action& chosen);

}  // namespace relevo::cli
