#include "support/commit_reply_proxy.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

namespace relevo::test {
namespace {

constexpr std::size_t kHeader = 5;  // of a message: its type and its length, which counts itself

struct Message {
  char type;
  std::string_view body;
};

std::size_t length_at(std::string_view bytes) {
  std::size_t length = 0;
  for (const char c : bytes.substr(0, 4)) length = length << 8 | static_cast<unsigned char>(c);
  return length;
}

// The first message of `bytes`, once all of it is there.
std::optional<Message> first_message(std::string_view bytes) {
  if (bytes.size() < kHeader) return std::nullopt;
  const auto size = 1 + length_at(bytes.substr(1));
  if (bytes.size() < size) return std::nullopt;
  return Message{bytes[0], bytes.substr(kHeader, size - kHeader)};
}

std::string_view text_at(std::string_view body) { return body.substr(0, body.find('\0')); }

// What the program sends, read for the names of the statements it executes.
class Statements {
 public:
  void read(std::string_view bytes) {
    unread_.append(bytes);
    if (!started_) {
      // The start-up packet has no type; a request for TLS, which the server declines, comes first.
      while (!started_ && unread_.size() >= 8) {
        const auto size = length_at(unread_);
        if (unread_.size() < size) return;
        const auto code = length_at(std::string_view(unread_).substr(4));
        started_ = code >> 16 == 3;
        unread_.erase(0, size);
      }
      if (!started_) return;
    }
    while (const auto message = first_message(unread_)) {
      if (message->type == 'B') {  // Bind: portal, statement
        const auto portal = text_at(message->body);
        names_.emplace(text_at(message->body.substr(portal.size() + 1)));
      }
      unread_.erase(0, kHeader + message->body.size());
    }
  }
  std::set<std::string> take() { return std::exchange(names_, {}); }

 private:
  std::string unread_;
  bool started_ = false;
  std::set<std::string> names_;
};

class Replies {
 public:
  // Adds to `onward` what may go on to the program. `ended` is told the tag of each statement
  // and says whether its reply is lost; false: it said so, and all ends here.
  template <class Ended>
  bool read(std::string_view bytes, std::string& onward, Ended ended) {
    unread_.append(bytes);
    if (!negotiated_) {
      if (unread_.empty()) return true;
      negotiated_ = true;
      if (unread_[0] == 'N') {  // no TLS
        onward += 'N';
        unread_.erase(0, 1);
      }
    }
    while (const auto message = first_message(unread_)) {
      if (message->type == 'C' && ended(text_at(message->body))) return false;
      const auto size = kHeader + message->body.size();
      onward.append(unread_, 0, size);
      unread_.erase(0, size);
    }
    return true;
  }

 private:
  std::string unread_;
  bool negotiated_ = false;
};

std::uint16_t port_in(const std::string& url) {
  return static_cast<std::uint16_t>(std::stoul(url.substr(url.rfind(':') + 1)));
}

void send_at_once(int socket) {
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

CommitReplyProxy::CommitReplyProxy(const std::string& url, Loses loses)
    : loses_(std::move(loses)),
      server_port_(port_in(url)),
      listener_([this](int client) { serve(client); }) {
  const auto colon = url.rfind(':');
  url_ = url.substr(0, colon + 1) + std::to_string(listener_.port()) +
         url.substr(url.find('/', colon));
}

void CommitReplyProxy::serve(int client) {
  const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (server < 0) throw std::system_error(errno, std::generic_category(), "socket");
  send_at_once(client);
  send_at_once(server);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(server_port_);
  if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    forward(client, server);
  }
  ::shutdown(client, SHUT_RDWR);
  ::shutdown(server, SHUT_RDWR);
  ::close(server);
}

void CommitReplyProxy::forward(int client, int server) {
  Statements statements;
  Replies replies;
  std::array<char, 1 << 16> block{};
  for (;;) {
    std::array<pollfd, 2> on{pollfd{client, POLLIN, 0}, pollfd{server, POLLIN, 0}};
    if (::poll(on.data(), on.size(), -1) < 0 && errno != EINTR) return;
    if (on[0].revents != 0) {
      const auto got = ::recv(client, block.data(), block.size(), 0);
      if (got <= 0) return;
      const std::string_view bytes(block.data(), static_cast<std::size_t>(got));
      statements.read(bytes);
      if (!send_all(server, bytes)) return;
    }
    if (on[1].revents != 0) {
      const auto got = ::recv(server, block.data(), block.size(), 0);
      if (got <= 0) return;
      std::string onward;
      const bool goes_on = replies.read({block.data(), static_cast<std::size_t>(got)}, onward,
                                        [&](std::string_view tag) {
                                          if (tag != "COMMIT" && tag != "ROLLBACK") return false;
                                          const auto names = statements.take();
                                          if (tag == "ROLLBACK" || !loses_(names)) return false;
                                          ++lost_;
                                          return true;
                                        });
      if (!goes_on || !send_all(client, onward)) return;
    }
  }
}

}  // namespace relevo::test
