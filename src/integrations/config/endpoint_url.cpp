#include "endpoint_url.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <string>

namespace relevo::config {

namespace {

struct Block {
  std::uint32_t first;
  int prefix;
};

// Special-purpose blocks (RFC 6890 and its successors): nothing in them is a public host.
constexpr std::array kSpecial{
    Block{0x00000000, 8},   // this network
    Block{0x0a000000, 8},   // 10/8
    Block{0x64400000, 10},  // carriers' NAT
    Block{0x7f000000, 8},   // loopback
    Block{0xa9fe0000, 16},  // link-local, and the clouds' metadata
    Block{0xac100000, 12},  // 172.16/12
    Block{0xc0000000, 24},  // protocol assignments
    Block{0xc0000200, 24},  // documentation
    Block{0xc0586300, 24},  // 6to4 relays
    Block{0xc0a80000, 16},  // 192.168/16
    Block{0xc6120000, 15},  // benchmarks
    Block{0xc6336400, 24},  // documentation
    Block{0xcb007100, 24},  // documentation
    Block{0xe0000000, 3},   // multicast, reserved, broadcast
};

bool is_public(const in_addr& address) {
  const std::uint32_t host = ntohl(address.s_addr);
  return std::none_of(kSpecial.begin(), kSpecial.end(), [&](const Block& block) {
    return (host ^ block.first) >> (32 - block.prefix) == 0;
  });
}

// Of IPv6 only 2000::/3 is handed out, and parts of that lead elsewhere.
bool is_public(const in6_addr& address) {
  const auto word = [&](std::size_t at) {
    return static_cast<unsigned>(address.s6_addr[at] << 8U | address.s6_addr[at + 1]);
  };
  if ((word(0) & 0xe000U) != 0x2000U) return false;
  if (word(0) == 0x2001U) return word(2) >= 0x200U && word(2) != 0xdb8U;
  return word(0) != 0x2002U && !(word(0) == 0x3fffU && word(2) < 0x1000U);
}

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

Host judge(std::string_view authority) {
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    if (end == std::string_view::npos) return Host::kNone;
    const auto rest = authority.substr(end + 1);
    if (!rest.empty() && !(rest.front() == ':' && is_port(rest.substr(1)))) return Host::kNone;
    in6_addr address{};
    const std::string text(authority.substr(1, end - 1));
    if (::inet_pton(AF_INET6, text.c_str(), &address) != 1) return Host::kNone;
    return is_public(address) ? Host::kPublic : Host::kPrivate;
  }
  const auto colon = authority.find(':');
  if (colon != std::string_view::npos && !is_port(authority.substr(colon + 1))) return Host::kNone;
  std::string host(authority.substr(0, colon));
  if (!is_host_name(host)) return Host::kNone;
  // Not inet_pton: libcurl takes 127.1, 0x7f000001 and 2130706433, too.
  std::string numbers = host;
  if (numbers.ends_with('.')) numbers.pop_back();
  in_addr address{};
  if (::inet_aton(numbers.c_str(), &address) != 0) {
    return is_public(address) ? Host::kPublic : Host::kPrivate;
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
