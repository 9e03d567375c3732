// Brings the schema relevo to the version this program knows. Each migration is one transaction
// under an advisory lock, so any number of replicas may start at once. Errors as Connection.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "relevo/postgres/connection.hpp"

namespace relevo::postgres {

struct MigrationStatus {
  int version = 0;
  std::string name;
  std::optional<std::string> applied_at;  // nullopt: pending
  bool altered = false;                   // what was applied is not what this program holds
};

// How the database's schema and this program fit together.
enum class Fit {
  kFits,
  kNotMigrated,    // missing or older: wait for `relevo migrate`
  kProgramTooOld,  // the schema has moved on: a newer program is needed
};

struct SchemaState {
  Fit fit = Fit::kNotMigrated;
  int version = 0;  // 0: no schema
  int oldest_program_version = 0;
};

class Migrator {
 public:
  explicit Migrator(const ConnectOptions& options);

  // Version this program was written for: its newest migration.
  static int program_version();
  // All migrations as one SQL text, for those who apply them by hand.
  static std::string print();

  SchemaState state();
  std::vector<MigrationStatus> status();

  // Applies what is pending; tells each version and name. `shards` is set while no relay has run
  // yet; afterwards another number is kMisconfigured.
  void migrate(int shards, const std::function<void(int, std::string_view)>& applied);

 private:
  bool apply_next(const std::function<void(int, std::string_view)>& applied);

  Connection connection_;
};

}  // namespace relevo::postgres
