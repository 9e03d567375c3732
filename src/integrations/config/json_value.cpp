#include "json_value.hpp"

#include <nlohmann/json.hpp>

namespace relevo::config {

using nlohmann::json;

Complaint check_json(std::string_view text) {
  bool too_deep = false;
  bool has_nul = false;
  const auto look = [&](int depth, json::parse_event_t event, const json& parsed) {
    too_deep = too_deep || depth > kDeepestNesting;
    const bool is_text =
        (event == json::parse_event_t::key || event == json::parse_event_t::value) &&
        parsed.is_string();
    has_nul = has_nul ||
              (is_text && parsed.get_ref<const std::string&>().find('\0') != std::string::npos);
    return !too_deep;
  };
  const json parsed = json::parse(text, look, false);
  if (too_deep) return "is nested deeper than " + std::to_string(kDeepestNesting) + " levels";
  if (parsed.is_discarded()) return "is not JSON; write a map, or JSON text in quotes";
  if (has_nul) return "holds a NUL character, which PostgreSQL cannot store";
  return std::nullopt;
}

std::string json_string(std::string_view text) {
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

bool is_json_literal(std::string_view text) {
  return !text.empty() &&
         std::string_view("\"[{ \t\r\n").find(text.front()) == std::string_view::npos &&
         json::accept(text);
}

}  // namespace relevo::config
