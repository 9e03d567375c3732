#include "bind_check.hpp"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include "relevo/core/error.hpp"

namespace relevo::http {

namespace {

[[noreturn]] void cannot_listen(const config::ListenAddress& address, const std::string& why) {
  const bool v6 = address.host.find(':') != std::string::npos;
  const std::string shown =
      (v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
  throw core::IntegrationError(core::ErrorKind::kMisconfigured, "http.listen", shown + " " + why);
}

struct FreeAddresses {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

int bind_error(const addrinfo& address) {
  const int descriptor =
      ::socket(address.ai_family, address.ai_socktype | SOCK_CLOEXEC, address.ai_protocol);
  if (descriptor < 0) return errno;
  const int yes = 1;
  ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const int error = ::bind(descriptor, address.ai_addr, address.ai_addrlen) == 0 ? 0 : errno;
  ::close(descriptor);
  return error;
}

std::string reason(int error) {
  switch (error) {
    case EADDRINUSE:
      return "is in use; another process listens there, stop it or choose another port";
    case EADDRNOTAVAIL: return "is not an address of this machine";
    case EACCES: return "needs privileges; choose a port from 1024 on";
    default: return std::string("cannot be listened on: ") + std::strerror(error);
  }
}

}  // namespace

void require_bindable(const config::ListenAddress& address) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int unresolved =
      ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  const std::unique_ptr<addrinfo, FreeAddresses> list(found);
  if (unresolved != 0)
    cannot_listen(address, std::string("cannot be resolved: ") + gai_strerror(unresolved));

  int error = 0;
  for (const addrinfo* each = list.get(); each != nullptr; each = each->ai_next) {
    error = bind_error(*each);
    if (error == 0) return;
  }
  cannot_listen(address, reason(error));
}

}  // namespace relevo::http
