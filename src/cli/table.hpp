// Rows in aligned columns for people, and numbers and times as people read them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "relevo/core/clock.hpp"

namespace relevo::cli {

class Table {
 public:
  // A heading that begins with > belongs to a column of numbers, which stand to the right.
  explicit Table(std::vector<std::string> headings);

  void add(std::vector<std::string> row);  // as many as headings; made printable
  std::string text() const;

 private:
  std::vector<bool> right_;
  std::vector<std::vector<std::string>> rows_;  // the headings first
};

std::string iso_time(core::WallTime time);  // 2026-01-31T12:00:00.123Z
std::string duration_text(
    std::chrono::microseconds duration);    // 350 ms, 12.3 s, 4 min 10 s, 3 d 4 h
std::string size_text(std::int64_t bytes);  // 812 B, 12.0 KiB, 8.0 MiB
std::string count_text(std::int64_t count, std::string_view noun);  // 1 event, 2 events

}  // namespace relevo::cli
