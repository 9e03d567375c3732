// The URL of an HTTP handler, judged without resolving a name: what the name stands for is checked
// again with each request.
#pragma once

#include <string_view>

#include "value.hpp"

namespace relevo::config {

// What is wrong with it. Never repeats the URL, which may hold a secret at a wrong place.
Complaint no_endpoint(std::string_view url, bool allow_private);

}  // namespace relevo::config
