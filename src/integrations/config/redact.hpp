// Hides secrets in values that are shown. Errs on the side of hiding: of text that does not parse,
// nothing is shown.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace relevo::config {

inline constexpr std::string_view kHidden = "***";

// A libpq connection string, URI or key=value, without its passwords.
std::string redact_url(std::string_view url);

// An http(s) URL without user, password and tokens in its query.
std::string redact_endpoint(std::string_view url);

// The path of a file with a secret, unless it is the secret itself by mistake.
std::string redact_path(std::string_view path);
bool looks_like_secret(std::string_view path);

// JSON text: values hidden whose name speaks of a secret, and credentials in URLs.
std::string redact_json(std::string_view text);

// librdkafka properties: values hidden whose name speaks of a secret.
std::map<std::string, std::string> redact_properties(
    const std::map<std::string, std::string>& properties);

}  // namespace relevo::config
