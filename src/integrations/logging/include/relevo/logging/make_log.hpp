// The log of the process: one line per event on a file descriptor, JSON or text. Whatever an event
// contains, it stays one valid UTF-8 line and cannot control a terminal. Never throws and never
// holds the caller up for long: when nobody reads the other end, or it is closed, lines are dropped
// and counted, and the count is logged once it takes lines again. Thread-safe. The descriptor is
// borrowed for the life of the log. SIGPIPE has to be ignored by the process.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string_view>

#include "relevo/core/log.hpp"

namespace relevo::logging {

enum class Format { kAuto, kJson, kText };  // kAuto: text on a terminal, else JSON

struct Options {
  core::Level level = core::Level::kInfo;
  Format format = Format::kAuto;
  int descriptor = 2;
  // How long the first line waits for a reader that has stopped; those after it do not wait.
  std::chrono::milliseconds patience{500};
};

std::unique_ptr<core::Log> make_log(const Options& options);

std::optional<core::Level> parse_level(std::string_view name);  // debug, info, warn, error
std::optional<Format> parse_format(std::string_view name);      // auto, json, text

}  // namespace relevo::logging
