// What scripts/test hands to the tests (RELEVO_TEST_*, RELEVO_BIN, RELEVO_SCRIPTS), and names that
// no other test uses.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace relevo::test {

std::optional<std::string> environment(const char* name);
// Throws std::runtime_error that tells to use scripts/test when the variable is missing.
std::string required_environment(const char* name);

// This build has a sanitizer, which wants far more addresses than memory, and to be the first
// library of a program.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// prefix followed by random letters; legal in database, topic and file names.
std::string unique_name(std::string_view prefix);

// A directory of its own, removed with all it holds.
class TemporaryDirectory {
 public:
  // Below /var/tmp, where servers that run as another user can enter it.
  explicit TemporaryDirectory(std::string_view prefix);
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace relevo::test
