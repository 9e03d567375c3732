#include "cli/command_line.hpp"

#include <fcntl.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdlib>

#include "cli/command.hpp"
#include "cli/explain.hpp"
#include "daemon.hpp"
#include "relevo/core/error.hpp"
#include "relevo/core/nearest.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

constexpr auto kDescription =
    "relevo publishes what your transactions wrote to an outbox table in PostgreSQL to Kafka.";

constexpr auto kFooter = R"(
Examples:
  relevo migrate                      create or update the schema
  relevo -c relevo.yaml check         is everything as it should be?
  relevo -c relevo.yaml run           start the daemon
  relevo status --watch               shards, backlog, rate, queues, what is dead
  relevo outbox publish order 42 OrderPaid '{"total": 1999}'
  relevo outbox tail                  see events arrive in Kafka
  relevo outbox dead list             events that could not be published
  relevo dead list                    messages that could not be consumed
  relevo jobs list --state dead       jobs that failed for good
  relevo queues                       what waits in which queue, limits, pauses
  relevo schedules                    jobs at certain times

Every key of the configuration can be given in the environment: RELEVO_DATABASE_URL, …

Exit codes:
  0  done
  1  what was asked for did not succeed
  2  command line not understood
  3  wrong for good: configuration, password, database, schema
  4  PostgreSQL or Kafka cannot be reached (run waits instead))";

// With a standard stream closed, the next file or socket would take its number, and log lines would
// go into a connection. Opened the wrong way round, so that using them fails as before.
void occupy_standard_streams() {
  for (const int stream : {0, 1, 2}) {
    if (::fcntl(stream, F_GETFD) == -1) ::open("/dev/null", stream == 0 ? O_WRONLY : O_RDONLY);
  }
}

const CLI::App& asked_for(const CLI::App& app) {
  const CLI::App* deepest = &app;
  while (!deepest->get_subcommands().empty()) deepest = deepest->get_subcommands().front();
  return *deepest;
}

std::string full_name(const CLI::App& app) {
  return (app.get_parent() != nullptr ? full_name(*app.get_parent()) + " " : "") + app.get_name();
}

void add_option_names(const CLI::App& app, std::vector<std::string>& names) {
  for (const auto* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  }
}

std::string usage_line(const CLI::App& app, const CLI::ParseError& error) {
  const auto& command = asked_for(app);
  const auto see = "; see `" + full_name(command) + " --help`";
  const auto unknown = app.remaining(true);
  if (unknown.empty()) return error.what() + see;
  const auto& word = unknown.front();
  std::vector<std::string> known;
  const bool is_option = word.starts_with("-");
  if (is_option) {
    add_option_names(command, known);
    if (&command != &app) add_option_names(app, known);
  } else {
    for (const auto* sub : command.get_subcommands({})) known.push_back(sub->get_name());
  }
  auto line = std::string("unknown ") +
              (is_option       ? "option"
               : known.empty() ? "argument"
                               : "command") +
              " `" + word + "`";
  if (const auto meant = core::nearest(word.substr(0, word.find('=')), known)) {
    line += "; did you mean `" + *meant + "`?";
  }
  return line + see;
}

int parse(CLI::App& app, int argc, char** argv, StandardOutput& out) {
  try {
    app.parse(argc, argv);
    return exit_code::kOk;
  } catch (const CLI::CallForHelp&) {
    out.print(app.help());
  } catch (const CLI::CallForAllHelp&) {
    out.print(app.help("", CLI::AppFormatMode::All));
  } catch (const CLI::CallForVersion& version) {
    out.print(std::string(version.what()) + "\n");
  } catch (const CLI::ParseError& error) {
    throw UsageError(usage_line(app, error));
  }
  return exit_code::kOk;
}

int act(int argc, char** argv) {
  StandardOutput out;
  CLI::App app{kDescription, "relevo"};
  app.fallthrough();
  app.require_subcommand(1);
  app.set_version_flag("--version", "relevo " + std::string(version()), "Print the version");
  Invocation invocation{std::nullopt, out};
  app.add_option("-c,--config", invocation.config_file,
                 "Configuration file; else the one RELEVO_CONFIG names, else none")
      ->type_name("FILE");
  Action chosen;
  add_run(app, chosen);
  add_migrate(app, chosen);
  add_check(app, chosen);
  add_status(app, chosen);
  add_outbox(app, chosen);
  add_dead_messages(app, chosen);
  add_jobs(app, chosen);
  add_queues(app, chosen);
  add_schedules(app, chosen);
  add_isolated_job(app, chosen);
  add_version(app, chosen);
  app.footer(kFooter);  // last: commands would inherit it
  const int code = parse(app, argc, argv, out);
  return chosen ? chosen(invocation) : code;
}

}  // namespace

int run(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  occupy_standard_streams();
  try {
    return act(argc, argv);
  } catch (const ReaderGone&) {
    return exit_code::kOk;
  } catch (const Failure& failure) {
    for (const auto& line : failure.lines()) complain(line);
    return failure.exit_code();
  } catch (const core::IntegrationError& error) {
    complain(explain(error));
    return exit_code_of(error);
  } catch (const std::exception& error) {
    complain(std::string(error.what()) + " (this is a bug in relevo, please report it)");
    return exit_code::kFailed;
  }
}

}  // namespace relevo::cli
