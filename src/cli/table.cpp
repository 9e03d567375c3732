#include "cli/table.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "cli/printable.hpp"
#include "relevo/core/invariant.hpp"
#include "relevo/worker/envelope.hpp"

namespace relevo::cli {
namespace {

using namespace std::chrono;

template <typename... Arguments>
std::string formatted(const char* format, Arguments... arguments) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, arguments...);
  return text.data();
}

std::string two_units(std::int64_t amount, std::int64_t ratio, const char* large,
                      const char* small) {
  const auto rest = amount % ratio;
  std::string text = std::to_string(amount / ratio) + large;
  if (rest != 0) text += " " + std::to_string(rest) + small;
  return text;
}

}  // namespace

Table::Table(std::vector<std::string> headings) {
  for (auto& heading : headings) {
    right_.push_back(heading.starts_with('>'));
    if (right_.back()) heading.erase(0, 1);
  }
  rows_.push_back(std::move(headings));
}

void Table::add(std::vector<std::string> row) {
  RELEVO_INVARIANT(row.size() == right_.size(), "a row has a cell for each heading");
  for (auto& cell : row) cell = printable(cell);
  rows_.push_back(std::move(row));
}

std::string Table::text() const {
  std::vector<std::size_t> widths(right_.size(), 0);
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string out;
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - width_of(row[i]), ' ');
      if (i > 0) out += "  ";
      out += right_[i] ? padding + row[i] : row[i] + (i + 1 < row.size() ? padding : "");
    }
    out += '\n';
  }
  return out;
}

std::string iso_time(core::WallTime time) { return worker::rfc3339(time); }

std::string duration_text(microseconds duration) {
  const auto ms = duration_cast<milliseconds>(duration).count();
  if (ms < 1'000) return std::to_string(ms) + " ms";
  const auto tenths = ms / 100;  // not rounded up: 59.95 s are not 60.0 s
  if (duration < 1min) return formatted("%.1f s", static_cast<double>(tenths) / 10);
  if (duration < 1h) return two_units(ms / 1'000, 60, " min", " s");
  if (duration < 24h) return two_units(ms / 60'000, 60, " h", " min");
  return two_units(ms / 3'600'000, 24, " d", " h");
}

std::string size_text(std::int64_t bytes) {
  constexpr std::int64_t kKib = 1'024, kMib = kKib * kKib;
  if (bytes < kKib) return std::to_string(bytes) + " B";
  if (bytes < kMib) return formatted("%.1f KiB", static_cast<double>(bytes) / kKib);
  return formatted("%.1f MiB", static_cast<double>(bytes) / kMib);
}

std::string count_text(std::int64_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

}  // namespace relevo::cli
