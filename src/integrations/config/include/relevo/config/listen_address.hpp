// "host:port" as written in http.listen: 0.0.0.0:9464, localhost:0, [::1]:9464.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace relevo::config {

struct ListenAddress {
  std::string host;  // without the brackets of IPv6
  std::uint16_t port = 0;
};

// Nothing when the text is not of that form; does not resolve names.
std::optional<ListenAddress> parse_listen_address(std::string_view text);

}  // namespace relevo::config
