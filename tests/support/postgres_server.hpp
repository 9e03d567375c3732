// A PostgreSQL cluster of the test's own, for those that restart it or change its settings; by
// scripts/postgres. Port and data survive stop() and start(). Gone with the object.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "support/environment.hpp"
#include "support/process.hpp"

namespace relevo::test {

class OwnPostgres {
 public:
  // Started. settings: "name=value"; environment: of the server.
  explicit OwnPostgres(const std::vector<std::string>& settings = {},
                       const Process::Environment& environment = {});
  ~OwnPostgres();
  OwnPostgres(const OwnPostgres&) = delete;
  OwnPostgres& operator=(const OwnPostgres&) = delete;

  void start();
  void stop();
  void restart_immediate();  // as after a crash: nothing is flushed, the log is replayed

  const std::string& url() const { return url_; }              // superuser, database postgres
  std::string directory() const { return directory_.path(); }  // writable by the server's user
  std::string data_directory() const { return directory() + "/data"; }
  pid_t postmaster() const;

  // Runs one of PostgreSQL's programs (pg_resetwal, initdb, …) of the same version as the user whom
  // the server runs as, in directory().
  std::string run_tool(const std::string& name, std::vector<std::string> arguments) const;
  std::string program_directory() const { return programs_; }

 private:
  TemporaryDirectory directory_;
  std::string programs_;
  std::string url_;
};

}  // namespace relevo::test
