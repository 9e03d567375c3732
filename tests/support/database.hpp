// PostgreSQL as tests see it: a connection that answers in strings and throws with the SQLSTATE,
// and a fresh database per test. A connection belongs to one thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

struct pg_conn;

namespace relevo::test {

class SqlError : public std::runtime_error {
 public:
  SqlError(std::string state, const std::string& message)
      : std::runtime_error(state + ": " + message), state_(std::move(state)) {}

  // Empty when the server gave no answer.
  const std::string& state() const { return state_; }
  // The connection is gone, or the server is (starting up, shutting down).
  bool disconnected() const;

 private:
  std::string state_;
};

using Value = std::optional<std::string>;  // nullopt: NULL
using Row = std::vector<Value>;

class Connection {
 public:
  explicit Connection(const std::string& url);
  ~Connection();
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;

  // One statement with parameters $1…
  std::vector<Row> query(std::string_view sql, std::span<const Value> parameters = {});
  std::vector<Row> query(std::string_view sql, std::initializer_list<Value> parameters);
  // The only value of the only row.
  std::string value(std::string_view sql, std::initializer_list<Value> parameters = {});
  std::int64_t number(std::string_view sql, std::initializer_list<Value> parameters = {});
  // Several statements without parameters and results.
  void exec(std::string_view sql);

  int backend_pid() const;

 private:
  struct Close {
    void operator()(pg_conn* connection) const;
  };
  std::unique_ptr<pg_conn, Close> connection_;
};

// A database of its own in the cluster of `server` (any database of it), dropped with all its
// connections.
class Database {
 public:
  explicit Database(const std::string& server);  // superuser URI
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  const std::string& name() const { return name_; }
  const std::string& url() const { return url_; }
  Connection connect() const { return Connection(url_); }

 private:
  std::string server_;
  std::string name_;
  std::string url_;
};

// The URI with another database, or another user.
std::string with_database(const std::string& url, std::string_view database);
std::string with_user(const std::string& url, std::string_view user);

}  // namespace relevo::test
