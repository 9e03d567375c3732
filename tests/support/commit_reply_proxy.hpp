// Stands between a program and PostgreSQL and loses replies to COMMIT: the server has committed,
// the program's connection ends without a word about it. Reads the protocol, so TLS must be off.
// Ends with all its connections when the object goes.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <set>
#include <string>

#include "support/listener.hpp"

namespace relevo::test {

class CommitReplyProxy {
 public:
  // Given the names of the prepared statements of a transaction that has just been committed, says
  // whether its reply is lost. Called from several threads.
  using Loses = std::function<bool(const std::set<std::string>& statements)>;

  // url: URI of a database on 127.0.0.1.
  CommitReplyProxy(const std::string& url, Loses loses);

  const std::string& url() const { return url_; }  // the same database, by way of this
  std::size_t lost() const { return lost_; }

 private:
  void serve(int client);
  void forward(int client, int server);

  const Loses loses_;
  const std::uint16_t server_port_;
  std::string url_;
  std::atomic<std::size_t> lost_{0};
  Listener listener_;
};

}  // namespace relevo::test
