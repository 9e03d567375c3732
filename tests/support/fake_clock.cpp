#include "support/fake_clock.hpp"

#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace relevo::test {
namespace {

std::string library() {
  for (const auto& entry : std::filesystem::directory_iterator("/usr/lib")) {
    const auto path = entry.path() / "faketime/libfaketimeMT.so.1";
    if (std::filesystem::exists(path)) return path.string();
  }
  throw std::runtime_error("libfaketime is not installed: scripts/install test");
}

}  // namespace

FakeClock::FakeClock(std::chrono::seconds ahead) { set_ahead(ahead); }

void FakeClock::set_ahead(std::chrono::seconds ahead) {
  const auto file = directory_.path() / "ahead";
  const auto fresh = directory_.path() / "ahead.new";
  std::ofstream(fresh) << std::showpos << ahead.count() << '\n';
  std::filesystem::rename(fresh, file);  // never read half
}

Process::Environment FakeClock::environment() const {
  return {{"LD_PRELOAD", library()},
          {"FAKETIME_TIMESTAMP_FILE", (directory_.path() / "ahead").string()},
          {"FAKETIME_NO_CACHE", "1"},
          {"FAKETIME_DONT_FAKE_MONOTONIC", "1"},
          {"FAKETIME_DISABLE_SHM", "1"}};  // its owner may be another user
}

}  // namespace relevo::test
