#include "support/scripted_server.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <utility>

namespace relevo::test {
namespace {

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

void serve(const ScriptedServer::Script& script, int socket) {
  Exchange exchange(socket);
  script(exchange);
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

bool Exchange::send(std::string_view bytes) { return send_all(socket_, bytes); }

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
    : listener_([script = std::move(script)](int socket) { serve(script, socket); }, port) {}

std::string ScriptedServer::url(std::string_view path) const {
  return "http://127.0.0.1:" + std::to_string(port()) + std::string(path);
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

}  // namespace relevo::test
