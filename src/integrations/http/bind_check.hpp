// Finds out why an address cannot be listened on; cpp-httplib only says that it cannot.
#pragma once

#include "relevo/config/listen_address.hpp"

namespace relevo::http {

// Throws core::IntegrationError (kMisconfigured) unless a socket could be bound there just now.
void require_bindable(const config::ListenAddress& address);

}  // namespace relevo::http
