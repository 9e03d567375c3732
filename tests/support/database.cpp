#include "support/database.hpp"

#include <libpq-fe.h>

#include <cstdio>

#include "support/environment.hpp"

namespace relevo::test {
namespace {

struct Clear {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Result = std::unique_ptr<PGresult, Clear>;

void check(PGconn* connection, const PGresult* result) {
  const auto status = PQresultStatus(result);
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return;
  const char* state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : nullptr;
  throw SqlError(state ? state : "", PQerrorMessage(connection));
}

void ignore_notice(void*, const char*) {}

}  // namespace

bool SqlError::disconnected() const {
  // 57P01 admin shutdown, 57P02 crash shutdown, 57P03 cannot connect now; class 08: connection
  // exceptions
  return state_.empty() || state_.starts_with("08") || state_.starts_with("57P0");
}

void Connection::Close::operator()(pg_conn* connection) const { PQfinish(connection); }

Connection::Connection(const std::string& url) : connection_(PQconnectdb(url.c_str())) {
  if (PQstatus(connection_.get()) != CONNECTION_OK) {
    throw SqlError("", PQerrorMessage(connection_.get()));
  }
  PQsetNoticeProcessor(connection_.get(), ignore_notice, nullptr);
}

Connection::~Connection() = default;
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;

std::vector<Row> Connection::query(std::string_view sql, std::span<const Value> parameters) {
  std::vector<const char*> values;
  values.reserve(parameters.size());
  for (const auto& parameter : parameters)
    values.push_back(parameter ? parameter->c_str() : nullptr);
  const std::string text(sql);
  const Result result(PQexecParams(connection_.get(), text.c_str(), static_cast<int>(values.size()),
                                   nullptr, values.data(), nullptr, nullptr, 0));
  check(connection_.get(), result.get());
  std::vector<Row> rows(static_cast<std::size_t>(PQntuples(result.get())));
  for (int r = 0; r < PQntuples(result.get()); ++r) {
    auto& row = rows[static_cast<std::size_t>(r)];
    for (int c = 0; c < PQnfields(result.get()); ++c) {
      if (PQgetisnull(result.get(), r, c)) {
        row.emplace_back();
      } else {
        row.emplace_back(std::string(PQgetvalue(result.get(), r, c),
                                     static_cast<std::size_t>(PQgetlength(result.get(), r, c))));
      }
    }
  }
  return rows;
}

std::vector<Row> Connection::query(std::string_view sql, std::initializer_list<Value> parameters) {
  return query(sql, std::span(parameters.begin(), parameters.size()));
}

std::string Connection::value(std::string_view sql, std::initializer_list<Value> parameters) {
  const auto rows = query(sql, parameters);
  if (rows.size() != 1 || rows[0].size() != 1 || !rows[0][0]) {
    throw std::runtime_error("not one value: " + std::string(sql));
  }
  return *rows[0][0];
}

std::int64_t Connection::number(std::string_view sql, std::initializer_list<Value> parameters) {
  return std::stoll(value(sql, parameters));
}

void Connection::exec(std::string_view sql) {
  const std::string text(sql);
  const Result result(PQexec(connection_.get(), text.c_str()));
  check(connection_.get(), result.get());
}

int Connection::backend_pid() const { return PQbackendPID(connection_.get()); }

Database::Database(const std::string& server)
    : server_(server), name_(unique_name("relevo_test_")), url_(with_database(server, name_)) {
  Connection(server_).exec("CREATE DATABASE " + name_);
}

Database::~Database() {
  try {
    Connection(server_).exec("DROP DATABASE " + name_ + " WITH (FORCE)");
  } catch (const SqlError& error) {
    std::fprintf(stderr, "database %s stays behind: %s\n", name_.c_str(), error.what());
  }
}

// postgresql://user@host:port/database?parameters
std::string with_database(const std::string& url, std::string_view database) {
  const auto authority = url.find("://") + 3;
  const auto path = url.find_first_of("/?", authority);
  const auto query = url.find('?', authority);
  std::string changed = url.substr(0, path) + "/" + std::string(database);
  if (query != std::string::npos) changed += url.substr(query);
  return changed;
}

std::string with_user(const std::string& url, std::string_view user) {
  const auto authority = url.find("://") + 3;
  const auto host_end = url.find_first_of("/?", authority);
  const auto at = url.substr(0, host_end).find('@', authority);
  const auto host = at == std::string::npos ? authority : at + 1;
  return url.substr(0, authority) + std::string(user) + "@" + url.substr(host);
}

}  // namespace relevo::test
