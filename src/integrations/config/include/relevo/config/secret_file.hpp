// Reads a secret from a file, such as a mounted Kubernetes secret. Line ends after it are not part
// of it.
#pragma once

#include <string>

#include "relevo/config/secret.hpp"

namespace relevo::config {

// Throws core::IntegrationError (kMisconfigured) when it cannot be read.
Secret read_secret_file(const std::string& path);

}  // namespace relevo::config
