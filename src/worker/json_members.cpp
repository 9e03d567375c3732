#include "relevo/worker/json_members.hpp"

#include <nlohmann/json.hpp>

namespace relevo::worker {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

std::size_t skip_space(std::string_view text, std::size_t at) {
  const auto next = text.find_first_not_of(kSpace, at);
  return next == std::string_view::npos ? text.size() : next;
}

std::size_t end_of_string(std::string_view text, std::size_t quote) {
  auto at = quote + 1;
  while (text[at] != '"') at += text[at] == '\\' ? 2 : 1;
  return at + 1;
}

std::size_t end_of_value(std::string_view text, std::size_t begin) {
  if (text[begin] == '"') return end_of_string(text, begin);
  if (text[begin] != '{' && text[begin] != '[') {
    const auto end = text.find_first_of(",]} \t\r\n", begin);
    return end == std::string_view::npos ? text.size() : end;
  }
  std::size_t depth = 0;
  for (auto at = begin;;) {
    const char c = text[at];
    if (c == '"') {
      at = end_of_string(text, at);
      continue;
    }
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0) return at + 1;
    ++at;
  }
}

}  // namespace

bool is_json(std::string_view text) { return nlohmann::json::accept(text); }

std::string_view trim_json(std::string_view text) {
  text.remove_prefix(skip_space(text, 0));
  const auto last = text.find_last_not_of(kSpace);
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

bool is_json_object(std::string_view text) { return trim_json(text).starts_with('{'); }
bool is_json_string(std::string_view text) { return trim_json(text).starts_with('"'); }

void for_each_member(std::string_view object,
                     const std::function<void(const std::string&, std::string_view)>& visit) {
  object = trim_json(object);
  auto at = skip_space(object, 1);
  while (object[at] != '}') {
    const auto name_end = end_of_string(object, at);
    const auto name = json_string(object.substr(at, name_end - at));
    const auto begin = skip_space(object, skip_space(object, name_end) + 1);
    const auto end = end_of_value(object, begin);
    visit(name, object.substr(begin, end - begin));
    at = skip_space(object, end);
    if (object[at] == ',') at = skip_space(object, at + 1);
  }
}

std::string json_string(std::string_view quoted) {
  const auto inside = trim_json(quoted).substr(1, trim_json(quoted).size() - 2);
  if (inside.find('\\') == std::string_view::npos) return std::string(inside);
  return nlohmann::json::parse(quoted).get<std::string>();
}

}  // namespace relevo::worker
