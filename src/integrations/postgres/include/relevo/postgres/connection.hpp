// One connection to PostgreSQL and the only place that speaks libpq's wire calls.
//
// run(): the statement as one pipelined transaction: BEGIN ISOLATION LEVEL READ COMMITTED, planner
// settings pinned, the statement, COMMIT, in one round trip. begin() … commit(): several statements
// in one transaction. Nothing of a session is relied on, so a pooler in transaction mode may stand
// between. Results count only after the COMMIT was answered.
//
// An error of run() leaves the connection broken: throw it away and make a new one. An error
// between begin() and commit() leaves it usable() after rollback(), unless it was the connection
// that failed. Not thread-safe. libpq directly, not libpqxx: docs/adr/0002-libpq.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/core/error.hpp"
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
  // How long a statement of run() or send() waits for a row that somebody has locked: then it fails
  // as kConflict. 0: until statement_timeout.
  std::chrono::milliseconds lock_timeout{0};
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
  Params& add_bytes(std::string_view bytes);  // bytea
  Params& add_array(std::span<const std::int64_t> numbers);
  Params& add_array(std::span<const std::uint64_t> numbers);
  Params& add_array(std::span<const feed::Slice> numbers);
  Params& add_array(std::span<const std::optional<std::int64_t>> numbers);
  Params& add_array(std::span<const std::optional<std::string>> texts);
  Params& add_array(std::span<const std::string> texts);  // an empty string stays an empty string

  std::size_t size() const { return values_.size(); }
  std::vector<const char*> pointers() const;

 private:
  std::vector<std::optional<std::string>> values_;
};

// How the columns of a result come: binary for statements of ours, whose types are known here; text
// for those of others.
enum class Format { kBinary, kText };

// Rows in binary form, unless text was asked for. Columns are read by their position; one whose
// width does not fit the type asked for is a core::IntegrationError.
class Result {
 public:
  Result() = default;
  explicit Result(std::shared_ptr<pg_result> result);

  int rows() const { return rows_; }
  int columns() const;
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
  // Whether receive() would return without waiting. To wait for that among other things: socket().
  bool answered();
  int socket() const;

  // A transaction of several round trips. Its BEGIN goes out with the first statement; without one,
  // commit() and rollback() cost nothing. Planner settings are pinned from the first pinned
  // statement on. After an error every call but rollback() throws that error again, so that a
  // caller that swallowed it commits nothing.
  void begin();
  Result execute(const Statement& statement, const Params& params = {},
                 Format format = Format::kBinary);
  // Without waiting for the answer: an error shows at the next execute() or commit().
  void defer(const Statement& statement, const Params& params = {});
  // An error of kind kDisconnected: committed or not, nobody knows.
  void commit();
  // Never throws; when the server does not answer, the connection is no longer usable().
  void rollback() noexcept;
  // Whether the last transaction failed for the server's sake: it has no room, it is a standby.
  bool unfit() const { return unfit_; }
  // Whether begin() may follow: no transaction is open and nothing failed but inside one.
  bool usable() const { return !busy_ && !open_ && !broken_; }

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

  struct Answer {
    std::string statement;
    bool prepares;  // the answer to its preparation, not to its execution
  };

  void enqueue(const char* sql, std::string_view name, const Params& params, Format format);
  void enter_pipeline();
  void put(const Statement& statement, const Params& params, Format format);
  Result exchange(std::string_view operation);
  void skip_to_sync();
  bool take_answers(bool wait_for_them);
  void flush();
  std::shared_ptr<pg_result> next_result();
  void wait(bool for_writing);
  [[noreturn]] void fail(pg_result* result);
  [[noreturn]] void fail(core::ErrorKind kind, const std::string& detail,
                         std::string_view state = {});

  std::unique_ptr<pg_conn, Closer> connection_;
  const bool prepared_;
  const std::chrono::milliseconds timeout_;
  const std::string lock_timeout_;  // as a statement; empty: none
  const std::function<void(std::string_view, std::chrono::nanoseconds)> observe_;
  std::map<std::string, const char*, std::less<>> known_;  // statements prepared here, their texts
  std::string operation_;
  std::vector<Answer> answers_;  // to come
  std::size_t own_answer_ = 0;   // which of them is the statement's, from 1
  std::size_t taken_ = 0;        // of the answers to send()
  bool between_ = false;         // its result is here, its NULL is not
  bool synced_ = false;
  std::shared_ptr<pg_result> rows_;
  bool busy_ = false;    // between send() and receive()
  bool open_ = false;    // between begin() and commit() or rollback()
  bool begun_ = false;   // its BEGIN was sent
  bool pinned_ = false;  // its planner settings too
  bool broken_ = false;  // not even rollback() helps
  bool unfit_ = false;
  std::optional<core::IntegrationError> failure_;  // of a statement of the open transaction
  core::BootTime started_{};
  core::BootTime deadline_{};
};

}  // namespace relevo::postgres
