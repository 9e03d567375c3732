// An HTTPS server of this machine with a certificate of its own for localhost and 127.0.0.1.
// Answers every POST with 200 and counts them.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "support/environment.hpp"

namespace relevo::test {

class TlsServer {
 public:
  TlsServer();
  ~TlsServer();
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;

  std::string url(const std::string& host) const;  // https://<host>:<port>/
  std::string certificate_file() const { return (directory_.path() / "ca.pem").string(); }
  int requests() const { return requests_; }

 private:
  class Server;

  TemporaryDirectory directory_{"relevo-tls-"};
  std::atomic<int> requests_{0};
  std::unique_ptr<Server> server_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace relevo::test
