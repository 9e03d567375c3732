// One connection to PostgreSQL and the only place that speaks libpq's wire calls.
//
// Every statement runs as one pipelined transaction: BEGIN ISOLATION LEVEL READ COMMITTED, planner
// settings pinned, the statement, COMMIT, in one round trip. Nothing of a session is relied on, so
// a pooler in transaction mode may stand between. Results count only after the COMMIT was answered.
//
// Any error leaves the connection broken: throw it away and make a new one. Not thread-safe.
// libpq directly, not libpqxx: docs/adr/0002-libpq.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/feed/position.hpp"

struct pg_conn;
struct pg_result;

namespace relevo::postgres {

struct ConnectOptions {
  std::string url;       // libpq URI or key=value; secret
  std::string password;  // overrides the URL's; empty: none
  std::string application_name = "relevo";
  bool prepared_statements = true;
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds statement_timeout{30'000};
  // Told the name and duration of each statement. Thread-safe. May be empty.
  std::function<void(std::string_view, std::chrono::nanoseconds)> observe;
};

// A named statement from sql/statements/; the name is prepared statement, metric label and error
// text.
struct Statement {
  std::string_view name;
  const char* text;
  bool pinned = true;  // false: touches no table, needs no planner settings
};

// Parameters in PostgreSQL's text form; the statement casts them.
class Params {
 public:
  Params& add(std::nullopt_t);
  Params& add(std::string_view text);
  Params& add(std::int64_t number) { return add(std::to_string(number)); }
  Params& add(std::chrono::milliseconds interval);
  Params& add_array(std::span<const std::int64_t> numbers);
  Params& add_array(std::span<const std::uint64_t> numbers);
  Params& add_array(std::span<const feed::Slice> numbers);
  Params& add_array(std::span<const std::string> texts);  // an empty string stays an empty string

  std::size_t size() const { return values_.size(); }
  std::vector<const char*> pointers() const;

 private:
  std::vector<std::optional<std::string>> values_;
};

// Rows in binary form. Columns are read by their position; one whose width does not fit the type
// asked for is a core::IntegrationError.
class Result {
 public:
  Result() = default;
  explicit Result(std::shared_ptr<pg_result> result);

  int rows() const { return rows_; }
  bool is_null(int row, int column) const;
  std::int64_t int8(int row, int column) const;
  std::int32_t int4(int row, int column) const;
  std::int16_t int2(int row, int column) const;
  bool boolean(int row, int column) const;
  double float8(int row, int column) const;
  std::string_view text(int row, int column) const;  // text, bytea, uuid: the bytes
  core::WallTime time(int row, int column) const;    // infinity is clamped
  std::string string(int row, int column) const { return std::string(text(row, column)); }

  // Keeps the memory alive that text() points into.
  std::shared_ptr<const void> memory() const { return result_; }

 private:
  std::string_view bytes(int row, int column, int size) const;

  std::shared_ptr<pg_result> result_;
  int rows_ = 0;
};

class Connection {
 public:
  // Throws core::IntegrationError: kMisconfigured when waiting would not help (unreadable URL,
  // wrong password, no such database or role), else kDisconnected.
  explicit Connection(const ConnectOptions& options);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // One transaction. Throws core::IntegrationError.
  Result run(const Statement& statement, const Params& params = {});

  // The same in two halves, so that the server works meanwhile. run() may not come in between.
  void send(const Statement& statement, const Params& params = {});
  Result receive();

  // Any number of statements as they are, without parameters and without a transaction around them:
  // migrations. Returns the first column of the last result, as text.
  std::vector<std::string> script(std::string_view operation, const std::string& sql);
  std::string quote(std::string_view text) const;  // as a literal for script()

  int server_version() const;  // e.g. 150018
  int backend_pid() const;

 private:
  struct Closer {
    void operator()(pg_conn* connection) const;
  };

  void enqueue(const char* sql, std::string_view name, const Params& params);
  void flush();
  std::shared_ptr<pg_result> next_result();
  void wait(bool for_writing);
  [[noreturn]] void fail(pg_result* result);

  std::unique_ptr<pg_conn, Closer> connection_;
  const bool prepared_;
  const std::chrono::milliseconds timeout_;
  const std::function<void(std::string_view, std::chrono::nanoseconds)> observe_;
  std::vector<std::string_view> known_;  // statements prepared on this connection
  std::string operation_;
  int pending_ = 0;     // answers to come
  int own_answer_ = 0;  // which of them is the statement's
  bool busy_ = false;
  core::BootTime started_{};
  core::BootTime deadline_{};
};

}  // namespace relevo::postgres
