#include "relevo/webhook/signature.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <charconv>
#include <optional>
#include <stdexcept>

#include "relevo/core/invariant.hpp"

namespace relevo::webhook {
namespace {

constexpr std::string_view kPrefix = "whsec_";
constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::size_t kLeastBytes = 24;
constexpr std::size_t kMostBytes = 64;

// OpenSSL's decoder also takes white space and counts padding as bytes: a secret that was cut or
// pasted with a line break would quietly become another one.
std::optional<std::string> from_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && text.ends_with('=')) {
    text.remove_suffix(1);
    ++padding;
  }
  std::string bytes;
  unsigned buffer = 0;
  unsigned bits = 0;
  for (const char c : text) {
    const auto value = kAlphabet.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    buffer = (buffer << 6 | static_cast<unsigned>(value)) & 0xffffU;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push_back(static_cast<char>(buffer >> bits & 0xffU));
  }
  return bytes;
}

std::string to_base64(std::string_view bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');  // EVP writes a NUL behind it
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::optional<std::int64_t> seconds_of(std::string_view text) {
  std::int64_t seconds = 0;
  const auto end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, seconds);
  if (error != std::errc() || stop != end || seconds < 0) return std::nullopt;
  return seconds;
}

}  // namespace

SigningKey::SigningKey(std::string_view secret) {
  if (secret.starts_with(kPrefix)) secret.remove_prefix(kPrefix.size());
  if (secret.empty()) throw std::invalid_argument("the signing secret is empty");
  auto bytes = from_base64(secret);
  if (!bytes) {
    throw std::invalid_argument(
        "the signing secret is not base64, as in whsec_<base64> (made by: openssl rand -base64 "
        "32)");
  }
  if (bytes->size() < kLeastBytes || bytes->size() > kMostBytes) {
    throw std::invalid_argument("the signing secret has " + std::to_string(bytes->size()) +
                                " bytes; it must have 24 to 64");
  }
  bytes_ = std::move(*bytes);
}

std::string timestamp(core::WallTime time) {
  return std::to_string(std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count());
}

std::string sign(const SigningKey& key, std::string_view id, std::string_view timestamp,
                 std::string_view body) {
  std::string content;
  content.reserve(id.size() + timestamp.size() + body.size() + 2);
  content.append(id).append(".").append(timestamp).append(".").append(body);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  const auto* done = HMAC(EVP_sha256(), key.bytes_.data(), static_cast<int>(key.bytes_.size()),
                          reinterpret_cast<const unsigned char*>(content.data()), content.size(),
                          digest.data(), &size);
  RELEVO_INVARIANT(done != nullptr, "HMAC-SHA256 is always there");
  return "v1," + to_base64({reinterpret_cast<const char*>(digest.data()), size});
}

Verdict verify(const SigningKey& key, std::string_view id, std::string_view timestamp,
               std::string_view signatures, std::string_view body, core::WallTime now,
               std::chrono::seconds tolerance) {
  const auto sent = seconds_of(timestamp);
  if (id.empty() || !sent || signatures.empty()) return Verdict::kMalformed;
  const auto now_seconds = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  if (*sent < now_seconds - tolerance.count()) return Verdict::kTooOld;
  if (*sent > now_seconds + tolerance.count()) return Verdict::kTooNew;
  const auto expected = sign(key, id, timestamp, body);
  bool genuine = false;
  while (!signatures.empty()) {
    const auto end = std::min(signatures.find(' '), signatures.size());
    genuine |= same(signatures.substr(0, end), expected);
    signatures.remove_prefix(std::min(end + 1, signatures.size()));
  }
  return genuine ? Verdict::kGenuine : Verdict::kForged;
}

}  // namespace relevo::webhook
