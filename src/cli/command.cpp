#include "cli/command.hpp"

#include <CLI/App.hpp>
#include <iostream>
#include <memory>
#include <utility>

#include "cli/printable.hpp"
#include "daemon.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += (text.empty() ? "" : "\n") + line;
  return text;
}

}  // namespace

Failure::Failure(int exit_code, std::vector<std::string> lines)
    : std::runtime_error(joined(lines)), exit_code_(exit_code), lines_(std::move(lines)) {}

UsageError::UsageError(std::string line) : Failure(exit_code::kUsage, std::move(line)) {}

void complain(const std::string& line) { std::cerr << "relevo: " << printable(line) << std::endl; }

config::LoadResult read_config(const Invocation& invocation) {
  return config::load({invocation.config_file, config::process_environment(), schedule_problems});
}

config::LoadResult load_config_with_warnings(const Invocation& invocation) {
  auto loaded = read_config(invocation);
  if (loaded.ok()) return loaded;
  std::vector<std::string> lines;
  for (const auto& problem : loaded.errors) lines.push_back("configuration: " + problem.line());
  throw Failure(exit_code::kMisconfigured, std::move(lines));
}

std::vector<std::string> isolated_job_command(const config::LoadResult& loaded) {
  std::vector<std::string> command{"/proc/self/exe"};
  if (loaded.file) command.insert(command.end(), {"--config", *loaded.file});
  command.emplace_back("isolated-job");
  return command;
}

void add_default_list(CLI::App& parent, Action& chosen, ListCommand command) {
  // Owners: the parser, which fills it, and the actions.
  const auto json = std::make_shared<bool>(false);
  const Action action = [json, list = std::move(command.list)](Invocation& invocation) {
    return list(*json, invocation);
  };
  auto* below = parent.add_subcommand("list", command.help + "; also without `list`");
  below->footer(command.footer);
  below->add_flag("--json", *json, command.json_help);
  below->callback([&chosen, action] { chosen = action; });
  parent.add_flag("--json", *json, command.json_help);
  parent.require_subcommand(0, 1);
  // Runs after those of its commands.
  parent.callback([&chosen, action] {
    if (!chosen) chosen = action;
  });
}

config::Config load_config(const Invocation& invocation) {
  auto loaded = load_config_with_warnings(invocation);
  for (const auto& problem : loaded.warnings) complain("warning: " + problem.line());
  return std::move(loaded.config);
}

}  // namespace relevo::cli
