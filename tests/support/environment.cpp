#include "support/environment.hpp"

#include <cstdlib>
#include <random>
#include <stdexcept>

namespace relevo::test {

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

std::string required_environment(const char* name) {
  if (auto value = environment(name)) return *value;
  throw std::runtime_error(std::string(name) + " is not set: run this test through scripts/test");
}

std::string unique_name(std::string_view prefix) {
  std::random_device random;
  std::uniform_int_distribution<int> letter('a', 'z');
  std::string name(prefix);
  for (int i = 0; i < 10; ++i) name.push_back(static_cast<char>(letter(random)));
  return name;
}

TemporaryDirectory::TemporaryDirectory(std::string_view prefix)
    : path_(std::filesystem::path("/var/tmp") / unique_name(prefix)) {
  std::filesystem::create_directory(path_);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;  // a leftover directory must not hide the result of the test
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace relevo::test
