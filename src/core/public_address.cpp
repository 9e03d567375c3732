#include "relevo/core/public_address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace relevo::core {
namespace {

using Bytes = std::array<std::uint8_t, 16>;

struct Range {
  std::array<std::uint8_t, 16> base;
  int bits;
};

// From the IANA registries of special-purpose addresses.
constexpr Range kSpecialV4[]{
    {{0}, 8},                  // this network
    {{10}, 8},                 // private
    {{100, 64}, 10},           // carrier-grade NAT; Alibaba's metadata
    {{127}, 8},                // loopback
    {{168, 63, 129, 16}, 32},  // Azure's metadata, from a public range
    {{169, 254}, 16},          // link-local; metadata of most clouds
    {{172, 16}, 12},           // private
    {{192, 0, 0}, 24},         // protocol assignments; Oracle's metadata
    {{192, 0, 2}, 24},         // documentation
    {{192, 88, 99}, 24},       // 6to4 relays
    {{192, 168}, 16},          // private
    {{198, 18}, 15},           // benchmarks
    {{198, 51, 100}, 24},      // documentation
    {{203, 0, 113}, 24},       // documentation
    {{224}, 3},                // multicast, reserved, broadcast
};

constexpr Range kGlobalV6{{0x20}, 3};
constexpr Range kSpecialV6[]{
    {{0x20, 0x01}, 23},              // protocol assignments, Teredo
    {{0x20, 0x01, 0x0d, 0xb8}, 32},  // documentation
    {{0x20, 0x02}, 16},              // 6to4: any IPv4 address inside
    {{0x3f, 0xff}, 20},              // documentation
};
constexpr Range kMappedV4{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96};
constexpr Range kTranslatedV4{{0, 0x64, 0xff, 0x9b}, 96};  // NAT64: how such a network reaches IPv4

bool inside(const Range& range, std::span<const std::uint8_t> address) {
  const auto whole = static_cast<std::size_t>(range.bits / 8);
  if (!std::equal(address.begin(), address.begin() + range.bits / 8, range.base.begin()))
    return false;
  const int rest = range.bits % 8;
  return rest == 0 || (address[whole] ^ range.base[whole]) >> (8 - rest) == 0;
}

bool inside_any(std::span<const Range> ranges, std::span<const std::uint8_t> address) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const Range& range) { return inside(range, address); });
}

bool is_public_v4(std::span<const std::uint8_t> address) {
  return !inside_any(kSpecialV4, address);
}

bool is_public_v6(const Bytes& address) {
  if (inside(kMappedV4, address) || inside(kTranslatedV4, address)) {
    return is_public_v4(std::span(address).subspan(12));
  }
  return inside(kGlobalV6, address) && !inside_any(kSpecialV6, address);
}

const void* address_bytes(const sockaddr& address) {
  const auto* const at = reinterpret_cast<const char*>(&address);
  switch (address.sa_family) {
    case AF_INET: return at + offsetof(sockaddr_in, sin_addr);
    case AF_INET6: return at + offsetof(sockaddr_in6, sin6_addr);
    default: return nullptr;
  }
}

bool is_public(int family, const void* bytes) {
  Bytes address{};
  std::memcpy(address.data(), bytes, family == AF_INET ? 4 : 16);
  return family == AF_INET ? is_public_v4(std::span(address).first(4)) : is_public_v6(address);
}

}  // namespace

bool is_public(const sockaddr& address) {
  const void* bytes = address_bytes(address);
  return bytes != nullptr && is_public(address.sa_family, bytes);
}

bool is_public(const char* address) {
  Bytes bytes{};
  for (const int family : {AF_INET, AF_INET6}) {
    if (inet_pton(family, address, bytes.data()) == 1) return is_public(family, bytes.data());
  }
  return false;
}

std::string address_text(const sockaddr& address) {
  char text[INET6_ADDRSTRLEN] = "of an unknown kind";
  if (const void* bytes = address_bytes(address)) {
    inet_ntop(address.sa_family, bytes, text, sizeof text);
  }
  return text;
}

}  // namespace relevo::core
