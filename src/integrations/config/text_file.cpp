#include "text_file.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "relevo/config/secret_file.hpp"
#include "relevo/core/error.hpp"

namespace relevo::config {

namespace {

constexpr std::size_t kMaxBytes = 1 << 20;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

}  // namespace

TextFile read_text_file(const std::string& path) {
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "re"));
  if (!file) return {{}, std::strerror(errno)};
  TextFile result;
  std::array<char, 4096> block{};
  for (;;) {
    errno = 0;
    const std::size_t got = std::fread(block.data(), 1, block.size(), file.get());
    if (std::ferror(file.get()) != 0) return {{}, std::strerror(errno)};
    if (got == 0) return result;
    result.text.append(block.data(), got);
    if (result.text.size() > kMaxBytes) return {{}, "larger than 1 MiB"};
  }
}

std::string without_line_end(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

Secret read_secret_file(const std::string& path) {
  TextFile file = read_text_file(path);
  if (!file.error.empty()) {
    throw core::IntegrationError(core::ErrorKind::kMisconfigured, "read " + path, file.error);
  }
  return Secret(without_line_end(std::move(file.text)));
}

}  // namespace relevo::config
