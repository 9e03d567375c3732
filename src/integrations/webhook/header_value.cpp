#include "relevo/webhook/header_value.hpp"

#include <algorithm>

namespace relevo::webhook {
namespace {

std::string encoded(std::string_view text, std::string_view also) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7f && also.find(c) == std::string_view::npos) {
      out.push_back(c);
    } else {
      out.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return out;
}

}  // namespace

std::string header(std::string_view name, std::string_view value) {
  return std::string(name) + ": " + encoded(value, "%\"");
}

std::string webhook_id(std::string_view id) { return encoded(id, "%\"."); }

bool is_header_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

}  // namespace relevo::webhook
