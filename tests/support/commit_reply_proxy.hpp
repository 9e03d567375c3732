// Stands between a program and PostgreSQL and loses replies to COMMIT: the server has committed,
// the program's connection ends without a word about it. Reads the protocol, so TLS must be off.
// Ends with all its connections when the object goes.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <set>
#include <string>
#include <thread>

namespace relevo::test {

class CommitReplyProxy {
 public:
  // Given the names of the prepared statements of a transaction that has just been committed, says
  // whether its reply is lost. Called from several threads.
  using Loses = std::function<bool(const std::set<std::string>& statements)>;

  // url: URI of a database on 127.0.0.1.
  CommitReplyProxy(const std::string& url, Loses loses);
  ~CommitReplyProxy();
  CommitReplyProxy(const CommitReplyProxy&) = delete;
  CommitReplyProxy& operator=(const CommitReplyProxy&) = delete;

  const std::string& url() const { return url_; }  // the same database, by way of this
  std::size_t lost() const { return lost_; }

 private:
  struct Link {
    int client;
    int server;
    std::thread thread;
  };

  void accept_all();
  void forward(int client, int server);

  const Loses loses_;
  std::uint16_t server_port_ = 0;
  int listener_ = -1;
  std::string url_;
  std::atomic<std::size_t> lost_{0};
  std::mutex mutex_;
  std::list<Link> links_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace relevo::test
