#include "database.hpp"

#include <libpq-fe.h>

#include <cstdlib>
#include <stdexcept>

namespace relevo::books {
namespace {

using Result = std::unique_ptr<PGresult, void (*)(PGresult*)>;

Entry parse(const char* line) {
  char* end = nullptr;
  Entry entry;
  entry.aggregate = std::strtoll(line, &end, 10);
  entry.sequence = std::strtoll(end, &end, 10);
  entry.value = std::strtoll(end, &end, 10);
  return entry;
}

}  // namespace

const std::vector<Source>& sources() {
  static const std::vector<Source> all{
      {{"accounts", "outbox.event.account", "seq", "delta"},
       "SELECT count(*) FROM pgbench_history",
       "SELECT aid, seq, delta FROM pgbench_history ORDER BY aid, seq",
       "SELECT sum(abalance) FROM pgbench_accounts"},
      {{"orders", "outbox.event.order", "revision", "amount"},
       "SELECT coalesce(sum(revision), 0) FROM shop.orders",
       "SELECT o.id, s.revision, o.amount FROM shop.orders o, generate_series(1, o.revision) s "
       "(revision) "
       "ORDER BY o.id, s.revision",
       ""}};
  return all;
}

void Database::Close::operator()(pg_conn* connection) const { PQfinish(connection); }

Database::Database(const std::string& url) : connection_(PQconnectdb(url.c_str())) {
  if (PQstatus(connection_.get()) != CONNECTION_OK) fail();
}

void Database::fail() const {
  throw std::runtime_error(std::string("database: ") + PQerrorMessage(connection_.get()));
}

std::int64_t Database::number(const std::string& sql) {
  const Result result(PQexec(connection_.get(), sql.c_str()), PQclear);
  if (PQresultStatus(result.get()) != PGRES_TUPLES_OK || PQntuples(result.get()) != 1) fail();
  return std::strtoll(PQgetvalue(result.get(), 0, 0), nullptr, 10);
}

std::int64_t Database::written() {
  return number("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM relevo.outbox_id_seq");
}

void Database::each_entry(const Source& source, const std::function<void(const Entry&)>& take) {
  const Result started(
      PQexec(connection_.get(), ("COPY (" + source.entries + ") TO STDOUT").c_str()), PQclear);
  if (PQresultStatus(started.get()) != PGRES_COPY_OUT) fail();
  char* line = nullptr;
  while (PQgetCopyData(connection_.get(), &line, 0) > 0) {
    take(parse(line));
    PQfreemem(line);
  }
  const Result ended(PQgetResult(connection_.get()), PQclear);
  if (PQresultStatus(ended.get()) != PGRES_COMMAND_OK) fail();
  while (Result(PQgetResult(connection_.get()), PQclear)) {
  }
}

}  // namespace relevo::books
