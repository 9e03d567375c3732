#include "relevo/postgres/migrator.hpp"

#include <algorithm>
#include <iterator>

#include "migrations.hpp"
#include "relevo/core/error.hpp"

namespace relevo::postgres {
namespace {

// Advisory lock (class of relevo, 3): one migration at a time; 1 is the ticker's, 2 the
// partitions'.
constexpr auto kLock = "SELECT pg_advisory_xact_lock(1919249782, 3)";

std::string checksum_of(const Connection& connection, const Migration& migration) {
  return "encode(sha256(convert_to(" + connection.quote(migration.sql) + ", 'UTF8')), 'hex')";
}

// Not to_regclass(): it answers from a cache that does not hear of what others committed while this
// connection waited for the lock.
bool schema_exists(Connection& connection) {
  return connection.script(
             "look for schema relevo",
             "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
             "ON n.oid = c.relnamespace "
             "WHERE n.nspname = 'relevo' AND c.relname = 'migration')")[0] == "t";
}

}  // namespace

Migrator::Migrator(const ConnectOptions& options) : connection_(options) {}

int Migrator::program_version() { return std::rbegin(kMigrations)->version; }

std::string Migrator::print() {
  std::string text = "-- Schema of relevo, version " + std::to_string(program_version()) +
                     ". Run as the owner; each migration in its own transaction.\n";
  for (const auto& migration : kMigrations) {
    const auto version = std::to_string(migration.version);
    text += "\nBEGIN;\n" + std::string(migration.sql) +
            "INSERT INTO relevo.migration (version, name, checksum) VALUES (" + version + ", '" +
            std::string(migration.name) + "', 'applied by hand');\nCOMMIT;\n";
  }
  return text;
}

SchemaState Migrator::state() {
  SchemaState state;
  if (!schema_exists(connection_)) return state;
  const auto row = connection_.script("read schema version",
                                      "SELECT version FROM relevo.schema UNION ALL SELECT "
                                      "oldest_program_version FROM relevo.schema "
                                      "ORDER BY 1 DESC");
  if (row.size() != 2) return state;
  state.version = std::stoi(row[0]);
  state.oldest_program_version = std::stoi(row[1]);
  state.fit = state.oldest_program_version > program_version() ? Fit::kProgramTooOld
              : state.version < program_version()              ? Fit::kNotMigrated
                                                               : Fit::kFits;
  return state;
}

std::vector<MigrationStatus> Migrator::status() {
  std::vector<MigrationStatus> all;
  const bool exists = schema_exists(connection_);
  for (const auto& migration : kMigrations) {
    MigrationStatus status{migration.version, std::string(migration.name), std::nullopt, false};
    if (exists) {
      const auto where =
          " FROM relevo.migration WHERE version = " + std::to_string(migration.version);
      const auto at = connection_.script("migration status", "SELECT applied_at::text" + where);
      if (!at.empty()) {
        status.applied_at = at[0];
        status.altered =
            connection_.script("migration status", "SELECT checksum NOT IN ('applied by hand', " +
                                                       checksum_of(connection_, migration) + ")" +
                                                       where)[0] == "t";
      }
    }
    all.push_back(std::move(status));
  }
  return all;
}

void Migrator::migrate(int shards, const std::function<void(int, std::string_view)>& applied) {
  if (const auto found = state(); found.fit == Fit::kProgramTooOld) {
    throw core::IntegrationError(
        core::ErrorKind::kMisconfigured, "schema version",
        "the database needs a program of schema version " +
            std::to_string(found.oldest_program_version) + " or newer; this one has " +
            std::to_string(program_version()) + ": install a newer relevo");
  }
  while (apply_next(applied)) {
  }
  const auto now = connection_.script("read shards", "SELECT max(shards) FROM relevo.position")[0];
  if (now == std::to_string(shards)) return;
  try {
    connection_.script("set number of shards",
                       "SELECT relevo.initialise_shards(" + std::to_string(shards) + ")");
  } catch (const core::IntegrationError& error) {
    throw core::IntegrationError(core::ErrorKind::kMisconfigured, "relay.shards",
                                 "is " + std::to_string(shards) + ", but the database has " + now +
                                     " shards in use; set it to " + now + " (" + error.detail() +
                                     ")");
  }
}

bool Migrator::apply_next(const std::function<void(int, std::string_view)>& applied) {
  connection_.script("begin migration", std::string("BEGIN; ") + kLock);
  std::vector<std::string> done;
  if (schema_exists(connection_)) {
    done = connection_.script("read migrations", "SELECT version::text FROM relevo.migration");
  }
  const auto next =
      std::find_if(std::begin(kMigrations), std::end(kMigrations), [&](const auto& m) {
        return std::find(done.begin(), done.end(), std::to_string(m.version)) == done.end();
      });
  if (next == std::end(kMigrations)) {
    connection_.script("end migration", "COMMIT");
    return false;
  }
  const auto version = std::to_string(next->version);
  connection_.script("migration " + version + " " + std::string(next->name), next->sql);
  connection_.script("record migration",
                     "INSERT INTO relevo.migration (version, name, checksum) VALUES (" + version +
                         ", '" + std::string(next->name) + "', " + checksum_of(connection_, *next) +
                         "); COMMIT");
  applied(next->version, next->name);
  return true;
}

}  // namespace relevo::postgres
