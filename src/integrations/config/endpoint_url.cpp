#include "endpoint_url.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>

#include "relevo/core/public_address.hpp"

namespace relevo::config {

namespace {

bool is_host_name(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  if (host.empty() || host.size() > 253) return false;
  std::size_t label = 0;
  for (const char c : host) {
    const bool legal = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.';
    if (!legal || (c == '.' && label == 0)) return false;
    label = c == '.' ? 0 : label + 1;
    if (label > 63) return false;
  }
  return label > 0;
}

bool names_this_machine(std::string host) {
  std::transform(host.begin(), host.end(), host.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (host.ends_with('.')) host.pop_back();
  return host == "localhost" || host.ends_with(".localhost");
}

bool is_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port != 0;
}

enum class Host { kPublic, kPrivate, kNone };

Host judge(const sockaddr& address) {
  return core::is_public(address) ? Host::kPublic : Host::kPrivate;
}

Host judge(std::string_view authority) {
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    if (end == std::string_view::npos) return Host::kNone;
    const auto rest = authority.substr(end + 1);
    const bool port = rest.starts_with(':') && is_port(rest.substr(1));
    if (!rest.empty() && !port) return Host::kNone;
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    const std::string text(authority.substr(1, end - 1));
    if (::inet_pton(AF_INET6, text.c_str(), &address.sin6_addr) != 1) return Host::kNone;
    return judge(reinterpret_cast<const sockaddr&>(address));
  }
  const auto colon = authority.find(':');
  if (colon != std::string_view::npos && !is_port(authority.substr(colon + 1))) return Host::kNone;
  std::string host(authority.substr(0, colon));
  if (!is_host_name(host)) return Host::kNone;
  // Not inet_pton: libcurl takes 127.1, 0x7f000001 and 2130706433, too.
  std::string numbers = host;
  if (numbers.ends_with('.')) numbers.pop_back();
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (::inet_aton(numbers.c_str(), &address.sin_addr) != 0) {
    return judge(reinterpret_cast<const sockaddr&>(address));
  }
  return names_this_machine(std::move(host)) ? Host::kPrivate : Host::kPublic;
}

}  // namespace

Complaint no_endpoint(std::string_view url, bool allow_private) {
  constexpr auto kForm = "must be a URL such as https://host/path";
  const bool plain = url.starts_with("http://");
  if (!plain && !url.starts_with("https://")) return kForm;
  const bool legal = std::all_of(url.begin(), url.end(), [](char c) {
    return c > 0x20 && c < 0x7f &&
           std::string_view("<>\"{}|\\^`").find(c) == std::string_view::npos;
  });
  if (!legal) return std::string(kForm) + ", without spaces and with other characters encoded";
  const auto rest = url.substr(url.find("://") + 3);
  const auto authority = rest.substr(0, rest.find_first_of("/?#"));
  if (authority.find('@') != std::string_view::npos) {
    return "must not hold a user or password; requests are signed by secret_file";
  }
  const Host host = judge(authority);
  if (host == Host::kNone) return kForm;
  if (url.find('#') != std::string_view::npos) return "has a #fragment, which is never sent";
  if (plain && !allow_private) {
    return "is not encrypted: use https://, or set allow_private within your own network";
  }
  if (host == Host::kPrivate && !allow_private) {
    return "is an address of this machine or a private network: set allow_private if it is meant";
  }
  return std::nullopt;
}

}  // namespace relevo::config
