// A small text file as a whole.
#pragma once

#include <string>

namespace relevo::config {

struct TextFile {
  std::string text;
  std::string error;  // why it could not be read; empty: it could
};

TextFile read_text_file(const std::string& path);

std::string without_line_end(std::string text);

}  // namespace relevo::config
