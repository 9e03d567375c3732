// Signatures of Standard Webhooks (standardwebhooks.com): HMAC-SHA256 over `id.timestamp.body`. The
// identifier must not contain a dot, else two messages could have the same signed content.
// Thread-safe.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "relevo/core/clock.hpp"

namespace relevo::webhook {

// The bytes both sides share. Nothing prints it.
class SigningKey {
 public:
  // `whsec_` and base64, or the base64 alone, of 24 to 64 bytes. Throws std::invalid_argument that
  // says what is wrong without repeating any of it.
  explicit SigningKey(std::string_view secret);

 private:
  friend std::string sign(const SigningKey& key, std::string_view id, std::string_view timestamp,
                          std::string_view body);

  std::string bytes_;
};

// As seconds since 1970, for the header webhook-timestamp.
std::string timestamp(core::WallTime time);

// "v1,<base64>", for the header webhook-signature.
std::string sign(const SigningKey& key, std::string_view id, std::string_view timestamp,
                 std::string_view body);

enum class Verdict { kGenuine, kMalformed, kTooOld, kTooNew, kForged };

// The headers webhook-id, webhook-timestamp and webhook-signature as they came. signatures: a list
// with spaces in between; one that fits is enough, versions other than v1 do not count. Takes the
// same time whatever the signatures are.
[[nodiscard]] Verdict verify(const SigningKey& key, std::string_view id, std::string_view timestamp,
                             std::string_view signatures, std::string_view body, core::WallTime now,
                             std::chrono::seconds tolerance = std::chrono::minutes(5));

}  // namespace relevo::webhook
