#include "support/listener.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace relevo::test {
namespace {

// A socket on this port of this machine; 0: on a free one.
int bound_socket(std::uint16_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  const int reuse = 1;  // a later listener may have the port while connections are remembered
  if (socket < 0 || ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse) != 0 ||
      ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw std::system_error(errno, std::generic_category(), "bind");
  }
  return socket;
}

std::uint16_t port_of(int socket) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

}  // namespace

Listener::Listener(Serve serve, std::uint16_t port)
    : serve_(std::move(serve)), socket_(bound_socket(port)), port_(port_of(socket_)) {
  if (::listen(socket_, 128) != 0) {
    throw std::system_error(errno, std::generic_category(), "listen");
  }
  thread_ = std::thread([this] { accept_all(); });
}

Listener::~Listener() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const auto& connection : connections_) ::shutdown(connection.socket, SHUT_RDWR);
  }
  ::shutdown(socket_, SHUT_RDWR);
  thread_.join();
  for (auto& connection : connections_) {
    connection.thread.join();
    ::close(connection.socket);
  }
  ::close(socket_);
}

// The sockets' numbers stay taken until the end, so that the shutdown above cannot hit others.
void Listener::accept_all() {
  for (;;) {
    const int socket = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
    const std::lock_guard lock(mutex_);
    if (stopping_ || socket < 0) {
      if (socket >= 0) ::close(socket);
      return;
    }
    auto& connection = connections_.emplace_back(Connection{socket, {}});
    connection.thread = std::thread([this, socket] { serve_(socket); });
  }
}

std::size_t Listener::connections() const {
  const std::lock_guard lock(mutex_);
  return connections_.size();
}

bool send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::uint16_t closed_port() {
  const int socket = bound_socket(0);
  const auto port = port_of(socket);
  ::close(socket);
  return port;
}

}  // namespace relevo::test
