// An HTTP server on the level of bytes, which does what a test tells it to: answer slowly, wrongly,
// without end, or not at all. One thread a connection; everything ends with the object.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "support/listener.hpp"

namespace relevo::test {

struct ReceivedRequest {
  std::string line;                            // POST /path HTTP/1.1
  std::map<std::string, std::string> headers;  // names in lower case; of equal ones the last
  std::string body;
};

// One connection, from the server's side. Used by its script only.
class Exchange {
 public:
  explicit Exchange(int socket) : socket_(socket) {}

  // Reads until one is complete. nullopt: the client has closed.
  std::optional<ReceivedRequest> receive();
  // False: the client has closed.
  bool send(std::string_view bytes);
  void reset();           // ends the connection with an RST instead of a FIN
  void wait_for_close();  // by the client, or by the end of the server

 private:
  int socket_;
  std::string read_;
};

class ScriptedServer {
 public:
  // The connection is closed when the script returns.
  using Script = std::function<void(Exchange&)>;

  // port 0: a free one; another: one that an earlier server of this test had.
  explicit ScriptedServer(Script script, std::uint16_t port = 0);

  std::uint16_t port() const { return listener_.port(); }
  std::string url(std::string_view path = "/") const;
  std::size_t connections() const { return listener_.connections(); }  // so far

 private:
  Listener listener_;
};

// Status line, headers ("Name: value\r\n" each) with Content-Length, body.
std::string http_response(int status, std::string_view body = "", std::string_view headers = "");

// A script that answers each request of a connection by `answer`, which returns all bytes to send;
// it closes after an empty text.
ScriptedServer::Script answering(std::function<std::string(const ReceivedRequest&)> answer);

}  // namespace relevo::test
