#include "cli/event_arguments.hpp"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

#include "cli/command.hpp"

namespace relevo::cli {
namespace {

// More than any payload that PostgreSQL takes, spaces that jsonb drops included.
constexpr std::size_t kMostBytes = 32U << 20U;

std::string read_all(std::istream& in, const std::string& where) {
  std::string text;
  std::string chunk(64U << 10U, '\0');
  while (in.read(chunk.data(), static_cast<std::streamsize>(chunk.size())), in.gcount() > 0) {
    text.append(chunk, 0, static_cast<std::size_t>(in.gcount()));
    if (text.size() > kMostBytes) {
      throw UsageError("payload: " + where +
                       " holds more than 32 MiB; an event takes at most 8 MiB");
    }
  }
  if (in.bad()) throw UsageError("payload: " + where + " cannot be read");
  return text;
}

}  // namespace

std::string headers_json(std::span<const std::string> given) {
  auto headers = nlohmann::ordered_json::object();
  for (const auto& header : given) {
    const auto equals = header.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw UsageError("--header: wants NAME=VALUE, as in --header traceparent=00-…");
    }
    const auto name = header.substr(0, equals);
    if (headers.contains(name)) throw UsageError("--header: " + name + " is given twice");
    headers[name] = header.substr(equals + 1);
  }
  try {
    return headers.dump();
  } catch (const nlohmann::json::type_error&) {
    throw UsageError("--header: is not valid UTF-8");
  }
}

std::string read_payload(const std::string& source, std::istream& standard_input) {
  std::string payload = source;
  if (source == "-") {
    payload = read_all(standard_input, "standard input");
  } else if (source.starts_with('@')) {
    const auto path = source.substr(1);
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    if (!file || std::filesystem::is_directory(path)) {
      const auto reason = errno != 0 ? std::generic_category().message(errno) : "is a directory";
      throw UsageError("payload: file " + path + " cannot be read: " + reason);
    }
    payload = read_all(file, path);
  }
  if (payload.find('\0') != std::string::npos) {
    throw UsageError("payload: holds a NUL byte; give JSON text");
  }
  return payload;
}

std::pair<std::string, std::string> parse_aggregate(const std::string& text) {
  const auto slash = text.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == text.size()) {
    throw UsageError("--aggregate: wants TYPE/ID, as in --aggregate order/42");
  }
  return {text.substr(0, slash), text.substr(slash + 1)};
}

}  // namespace relevo::cli
