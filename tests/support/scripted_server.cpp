#include "support/scripted_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <system_error>

namespace relevo::test {
namespace {

// A socket on this port of this machine; 0: on a free one.
int bound_socket(std::uint16_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  const int reuse = 1;  // a later server may have the port while connections are remembered
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

ReceivedRequest parsed(std::string_view head) {
  ReceivedRequest request;
  for (bool first = true; !head.empty(); first = false) {
    const auto end = std::min(head.find("\r\n"), head.size());
    const auto line = head.substr(0, end);
    head.remove_prefix(std::min(end + 2, head.size()));
    const auto colon = line.find(':');
    if (first) {
      request.line = line;
    } else if (colon != std::string_view::npos) {
      std::string name(line.substr(0, colon));
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      const auto begin = std::min(line.find_first_not_of(' ', colon + 1), line.size());
      request.headers.insert_or_assign(name, std::string(line.substr(begin)));
    }
  }
  return request;
}

}  // namespace

std::optional<ReceivedRequest> Exchange::receive() {
  std::optional<ReceivedRequest> request;
  std::size_t wanted = 0;
  for (;;) {
    if (!request) {
      const auto end = read_.find("\r\n\r\n");
      if (end != std::string::npos) {
        request = parsed(std::string_view(read_).substr(0, end));
        read_.erase(0, end + 4);
        const auto length = request->headers.find("content-length");
        wanted = length == request->headers.end() ? 0 : std::stoul(length->second);
      }
    }
    if (request && read_.size() >= wanted) {
      request->body = read_.substr(0, wanted);
      read_.erase(0, wanted);
      return request;
    }
    char block[4096];
    const auto got = ::recv(socket_, block, sizeof block, 0);
    if (got <= 0) return std::nullopt;
    read_.append(block, static_cast<std::size_t>(got));
  }
}

bool Exchange::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void Exchange::reset() {
  const linger none{1, 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

void Exchange::wait_for_close() {
  char block[4096];
  while (::recv(socket_, block, sizeof block, 0) > 0) {
  }
}

ScriptedServer::ScriptedServer(Script script, std::uint16_t port)
    : script_(std::move(script)), listener_(bound_socket(port)), port_(port_of(listener_)) {
  if (::listen(listener_, 128) != 0) {
    throw std::system_error(errno, std::generic_category(), "listen");
  }
  thread_ = std::thread([this] { accept_all(); });
}

ScriptedServer::~ScriptedServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const auto& connection : connections_) ::shutdown(connection.socket, SHUT_RDWR);
  }
  ::shutdown(listener_, SHUT_RDWR);
  thread_.join();
  for (auto& connection : connections_) {
    connection.thread.join();
    ::close(connection.socket);
  }
  ::close(listener_);
}

// The script's end shuts the connection down; its number stays taken until the end of the server,
// so that the shutdown above cannot hit another one.
void ScriptedServer::accept_all() {
  for (;;) {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const std::lock_guard lock(mutex_);
    if (stopping_ || socket < 0) {
      if (socket >= 0) ::close(socket);
      return;
    }
    auto& connection = connections_.emplace_back(Connection{socket, {}});
    connection.thread = std::thread([this, socket] {
      Exchange exchange(socket);
      script_(exchange);
      linger waiting{};
      socklen_t size = sizeof waiting;
      ::getsockopt(socket, SOL_SOCKET, SO_LINGER, &waiting, &size);
      if (waiting.l_onoff == 0) {
        ::shutdown(socket, SHUT_RDWR);
        return;
      }
      // Disconnecting a socket sends the RST that closing it would.
      sockaddr nothing{};
      nothing.sa_family = AF_UNSPEC;
      ::connect(socket, &nothing, sizeof nothing);
    });
  }
}

std::string ScriptedServer::url(std::string_view path) const {
  return "http://127.0.0.1:" + std::to_string(port_) + std::string(path);
}

std::size_t ScriptedServer::connections() const {
  const std::lock_guard lock(mutex_);
  return connections_.size();
}

std::string http_response(int status, std::string_view body, std::string_view headers) {
  return "HTTP/1.1 " + std::to_string(status) +
         " Some Text\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(headers) + "\r\n" + std::string(body);
}

ScriptedServer::Script answering(std::function<std::string(const ReceivedRequest&)> answer) {
  return [answer = std::move(answer)](Exchange& exchange) {
    while (const auto request = exchange.receive()) {
      const auto bytes = answer(*request);
      if (bytes.empty() || !exchange.send(bytes)) return;
    }
  };
}

std::uint16_t closed_port() {
  const int socket = bound_socket(0);
  const auto port = port_of(socket);
  ::close(socket);
  return port;
}

}  // namespace relevo::test
