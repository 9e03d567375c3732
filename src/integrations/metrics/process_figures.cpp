#include "process_figures.hpp"

#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

namespace relevo::metrics {

namespace {

// proc(5), counted from 1; the name of the process, field 2, may hold spaces and parentheses.
constexpr std::size_t kFirstAfterName = 3;
constexpr std::size_t kUserTicks = 14;
constexpr std::size_t kSystemTicks = 15;
constexpr std::size_t kThreads = 20;
constexpr std::size_t kStartTicks = 22;
constexpr std::size_t kResidentPages = 24;

std::vector<double> stat_fields() {
  std::ifstream file("/proc/self/stat");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream rest(text.substr(name_end + 1));
  std::vector<double> fields;
  // The state is a letter; numbers follow.
  for (std::string word; rest >> word;) fields.push_back(fields.empty() ? 0.0 : std::stod(word));
  return fields;
}

double boot_time() {
  std::ifstream file("/proc/stat");
  for (std::string word; file >> word;
       file.ignore(std::numeric_limits<std::streamsize>::max(), '\n')) {
    double seconds = 0;
    if (word == "btime" && file >> seconds) return seconds;
  }
  return 0;
}

double count_descriptors() {
  std::error_code error;
  std::filesystem::directory_iterator entry("/proc/self/fd", error);
  double count = 0;
  while (!error && entry != std::filesystem::directory_iterator()) {
    ++count;
    entry.increment(error);
  }
  return count > 0 ? count - 1 : 0;  // without the one that read the folder
}

}  // namespace

ProcessFigures read_process_figures() {
  const std::vector<double> fields = stat_fields();
  const auto field = [&](std::size_t number) {
    const std::size_t index = number - kFirstAfterName;
    return index < fields.size() ? fields[index] : 0.0;
  };
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  ProcessFigures figures;
  figures.resident_bytes = field(kResidentPages) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  figures.cpu_seconds = (field(kUserTicks) + field(kSystemTicks)) / ticks;
  figures.start_time_seconds = boot_time() + field(kStartTicks) / ticks;
  figures.open_descriptors = count_descriptors();
  figures.threads = field(kThreads);
  return figures;
}

}  // namespace relevo::metrics
