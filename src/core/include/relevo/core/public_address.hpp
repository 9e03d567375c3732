// Which addresses of the network may be called when an endpoint does not say `allow_private`: those
// the internet routes to. A name resolves to whatever its owner writes into DNS, also to this
// machine or to the metadata service of the cloud.
#pragma once

#include <sys/socket.h>

#include <string>

namespace relevo::core {

// Anything but IPv4 and IPv6 is not public.
bool is_public(const sockaddr& address);

// Numeric text, as 10.0.0.1 or fe80::1; anything else is not public.
bool is_public(const char* address);

// The address without its port, for messages.
std::string address_text(const sockaddr& address);

}  // namespace relevo::core
