#include "relevo/logging/make_log.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>
#include <cstdlib>
#include <mutex>
#include <string>

#include "descriptor_writer.hpp"
#include "line.hpp"
#include "relevo/core/clock.hpp"

namespace relevo::logging {

namespace {

using core::Level;

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::kDebug: return spdlog::level::debug;
    case Level::kInfo: return spdlog::level::info;
    case Level::kWarn: return spdlog::level::warn;
    case Level::kError: return spdlog::level::err;
  }
  return spdlog::level::err;
}

struct Style {
  bool json;
  bool colour;

  std::string line(const Event& event) const {
    return json ? json_line(event) : text_line(event, colour);
  }
};

Style style_of(const Options& options) {
  const bool terminal = ::isatty(options.descriptor) == 1;
  const bool json =
      options.format == Format::kJson || (options.format == Format::kAuto && !terminal);
  return {json, terminal && std::getenv("NO_COLOR") == nullptr};
}

// Takes finished lines: spdlog's patterns do not escape, so none is used.
class LineSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  LineSink(const Options& options, Style style)
      : writer_(options.descriptor, options.patience), style_(style) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    std::string line(message.payload.data(), message.payload.size());
    line += '\n';
    if (!writer_.write(line)) return;
    if (const auto dropped = writer_.take_dropped(); dropped > 0) {
      const core::Field field("lines", dropped);
      writer_.write(
          style_.line(
              {core::system_clock().wall(), Level::kWarn, "log lines were dropped", {&field, 1}}) +
          "\n");
    }
  }
  void flush_() override {}

 private:
  DescriptorWriter writer_;
  Style style_;
};

class SpdlogLog final : public core::Log {
 public:
  explicit SpdlogLog(const Options& options)
      : style_(style_of(options)), logger_("relevo", std::make_shared<LineSink>(options, style_)) {
    logger_.set_level(to_spdlog(options.level));
    // spdlog would write its own errors to standard error, in its own format.
    logger_.set_error_handler([](const std::string&) {});
  }

  void write(Level level, std::string_view message, std::span<const core::Field> fields) override {
    const auto spdlog_level = to_spdlog(level);
    if (!logger_.should_log(spdlog_level)) return;
    const std::string line = style_.line({core::system_clock().wall(), level, message, fields});
    logger_.log(spdlog_level, spdlog::string_view_t(line.data(), line.size()));
  }

 private:
  Style style_;
  spdlog::logger logger_;
};

}  // namespace

std::unique_ptr<core::Log> make_log(const Options& options) {
  return std::make_unique<SpdlogLog>(options);
}

std::optional<Level> parse_level(std::string_view name) {
  if (name == "debug") return Level::kDebug;
  if (name == "info") return Level::kInfo;
  if (name == "warn") return Level::kWarn;
  if (name == "error") return Level::kError;
  return std::nullopt;
}

std::optional<Format> parse_format(std::string_view name) {
  if (name == "auto") return Format::kAuto;
  if (name == "json") return Format::kJson;
  if (name == "text") return Format::kText;
  return std::nullopt;
}

}  // namespace relevo::logging
