// The database's side of the books. Throws std::runtime_error. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "books.hpp"

struct pg_conn;

namespace relevo::books {

// Where the database keeps what the events of a kind tell.
struct Source {
  Kind kind;
  std::string count;    // SQL: how many events there are
  std::string entries;  // SQL: aggregate, sequence, value of each, in this order
  std::string sum;      // SQL: the sum of values, kept by others than the entries; may be empty
};

const std::vector<Source>& sources();

class Database {
 public:
  explicit Database(const std::string& url);

  // Events ever written to the outbox, also by transactions still open or rolled back. Costs
  // nothing.
  std::int64_t written();
  std::int64_t number(const std::string& sql);
  // Streams them: constant memory.
  void each_entry(const Source& source, const std::function<void(const Entry&)>& take);

 private:
  struct Close {
    void operator()(pg_conn* connection) const;
  };
  [[noreturn]] void fail() const;

  std::unique_ptr<pg_conn, Close> connection_;
};

}  // namespace relevo::books
