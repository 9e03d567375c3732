#include "escape.hpp"

#include <cstddef>
#include <cstdint>

namespace relevo::logging {

namespace {

struct Decoded {
  std::uint32_t code;
  std::size_t length;  // 0: not UTF-8
};

// The first character of text, refusing overlong forms, surrogates and what lies beyond Unicode.
Decoded decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return {0, 0};
  std::uint32_t code = lead & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return {0, 0};
    code = (code << 6U) | (byte(i) & 0x3fU);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (overlong || surrogate || code > 0x10ffff) return {0, 0};
  return {code, length};
}

// Controls of both sets, and the line separators some log readers split at.
bool needs_escape(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x2028 || code == 0x2029;
}

void append_code(std::string& out, std::uint32_t code) {
  constexpr std::string_view kHex = "0123456789abcdef";
  switch (code) {
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  out += "\\u";
  for (const unsigned shift : {12U, 8U, 4U, 0U}) out += kHex[(code >> shift) & 0xfU];
}

}  // namespace

void append_escaped(std::string& out, std::string_view text, Quotes quotes) {
  while (!text.empty()) {
    const auto [code, length] = decode(text);
    if (length == 0) {
      out += "\xef\xbf\xbd";
      text.remove_prefix(1);
      continue;
    }
    if (needs_escape(code)) {
      append_code(out, code);
    } else {
      if (quotes == Quotes::kEscape && (code == '"' || code == '\\')) out += '\\';
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
}

}  // namespace relevo::logging
