// Accepts connections on 127.0.0.1, one thread each; everything ends with the object.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <string_view>
#include <thread>

namespace relevo::test {

class Listener {
 public:
  // Talks on the socket of a connection. Shuts it down at its end, and leaves the closing to the
  // listener; at the listener's end the socket is shut down under it.
  using Serve = std::function<void(int socket)>;

  // port 0: a free one; another: one that an earlier listener of this test had.
  explicit Listener(Serve serve, std::uint16_t port = 0);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  std::uint16_t port() const { return port_; }
  std::size_t connections() const;  // so far

 private:
  struct Connection {
    int socket;
    std::thread thread;
  };

  void accept_all();

  const Serve serve_;
  int socket_;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::list<Connection> connections_;
  bool stopping_ = false;
  std::thread thread_;
};

// False: the other side has closed.
bool send_all(int socket, std::string_view bytes);

// A port of this machine on which nobody listens.
std::uint16_t closed_port();

}  // namespace relevo::test
