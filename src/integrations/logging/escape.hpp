// Appends text with everything escaped, as in JSON, that could end a line or control a terminal.
// Invalid UTF-8 becomes U+FFFD.
#pragma once

#include <string>
#include <string_view>

namespace relevo::logging {

enum class Quotes { kEscape, kKeep };  // kKeep: for text outside quotes

void append_escaped(std::string& out, std::string_view text, Quotes quotes);

}  // namespace relevo::logging
