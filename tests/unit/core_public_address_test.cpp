// The one list of addresses that a handler without allow_private may not be at: the configuration
// judges URLs by it, and each connection is judged by it again.
#include "relevo/core/public_address.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>

namespace relevo::core {
namespace {

TEST(PublicAddress, IsToldFromThoseOfOnesOwnNetwork) {
  for (const char* address : {"1.1.1.1",           "8.8.8.8",         "100.63.255.255",
                              "100.128.0.0",       "126.255.255.255", "128.0.0.1",
                              "169.253.255.255",   "169.255.0.0",     "172.15.255.255",
                              "172.32.0.0",        "192.0.1.0",       "192.167.255.255",
                              "192.169.0.0",       "198.17.255.255",  "198.20.0.0",
                              "223.255.255.255",   "168.63.129.15",   "2606:4700:4700::1111",
                              "2a00:1450:4001::1", "2001:200::1",     "::ffff:8.8.8.8",
                              "64:ff9b::8.8.8.8"}) {
    EXPECT_TRUE(is_public(address)) << address;
  }
  for (const char* address : {"0.0.0.0",
                              "0.1.2.3",
                              "10.0.0.1",
                              "10.255.255.255",
                              "100.64.0.1",
                              "100.100.100.200",
                              "100.127.255.255",
                              "127.0.0.1",
                              "127.1.2.3",
                              "168.63.129.16",
                              "169.254.169.254",
                              "172.16.0.1",
                              "172.31.255.255",
                              "192.0.0.192",
                              "192.0.2.1",
                              "192.88.99.1",
                              "192.168.1.1",
                              "198.18.0.1",
                              "198.19.255.255",
                              "198.51.100.7",
                              "203.0.113.7",
                              "224.0.0.1",
                              "240.0.0.1",
                              "255.255.255.255",
                              "::",
                              "::1",
                              "::8.8.8.8",
                              "::ffff:127.0.0.1",
                              "::ffff:10.0.0.1",
                              "::ffff:169.254.169.254",
                              "64:ff9b::10.0.0.1",
                              "64:ff9b:1::8.8.8.8",
                              "100::1",
                              "2001::1",
                              "2001:db8::1",
                              "2002:0a00:0001::1",
                              "3fff::1",
                              "5f00::1",
                              "fc00::1",
                              "fd00:ec2::254",
                              "fe80::1",
                              "fec0::1",
                              "ff02::1",
                              "",
                              "localhost",
                              "8.8.8.8:80",
                              "0x7f.1",
                              "fe80::1%eth0"}) {
    EXPECT_FALSE(is_public(address)) << address;
  }
}

TEST(PublicAddress, IsReadFromASocketAddress) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  inet_pton(AF_INET, "8.8.4.4", &v4.sin_addr);
  EXPECT_TRUE(is_public(reinterpret_cast<const sockaddr&>(v4)));
  EXPECT_EQ(address_text(reinterpret_cast<const sockaddr&>(v4)), "8.8.4.4");
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  inet_pton(AF_INET6, "::ffff:192.168.0.1", &v6.sin6_addr);
  EXPECT_FALSE(is_public(reinterpret_cast<const sockaddr&>(v6)));
  EXPECT_EQ(address_text(reinterpret_cast<const sockaddr&>(v6)), "::ffff:192.168.0.1");
  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  EXPECT_FALSE(is_public(reinterpret_cast<const sockaddr&>(local)));
}

}  // namespace
}  // namespace relevo::core
