#include "support/postgres_server.hpp"

#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "support/database.hpp"

namespace relevo::test {
namespace {

std::string without_newline(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::vector<std::string> command(const TemporaryDirectory& directory, const std::string& verb) {
  return {required_environment("RELEVO_SCRIPTS") + "/postgres", verb, "--dir", directory.path()};
}

}  // namespace

OwnPostgres::OwnPostgres(const std::vector<std::string>& settings,
                         const Process::Environment& environment)
    : directory_("relevo-postgres-") {
  auto start = command(directory_, "start");
  for (const auto& setting : settings) {
    start.emplace_back("--set");
    start.push_back(setting);
  }
  url_ = without_newline(run(std::move(start), environment));
  programs_ = Connection(url_).value("SELECT setting FROM pg_config() WHERE name = 'BINDIR'");
}

OwnPostgres::~OwnPostgres() {
  try {
    run(command(directory_, "stop"));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
}

void OwnPostgres::start() { run(command(directory_, "start")); }

void OwnPostgres::stop() {
  auto stop = command(directory_, "stop");
  stop.emplace_back("--keep");
  run(std::move(stop));
}

void OwnPostgres::restart_immediate() { run(command(directory_, "restart-immediate")); }

pid_t OwnPostgres::postmaster() const {
  pid_t pid = -1;
  std::ifstream(data_directory() + "/postmaster.pid") >> pid;
  return pid;
}

std::string OwnPostgres::run_tool(const std::string& name,
                                  std::vector<std::string> arguments) const {
  std::vector<std::string> all{"env", "--chdir=" + directory()};
  if (::geteuid() == 0) {
    // the programs refuse to run as root
    all = {"setpriv", "--reuid=postgres",      "--regid=postgres", "--init-groups",
           "env",     "--chdir=" + directory()};
  }
  all.push_back(programs_ + "/" + name);
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run(std::move(all));
}

}  // namespace relevo::test
