#include "pages.hpp"

#include <nlohmann/json.hpp>

namespace relevo::http {

namespace {

std::string on_one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return text;
}

std::string html_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

}  // namespace

std::string health_text(const Health& health) {
  std::string out;
  for (const Check& check : health.checks) {
    out += check.name + (check.ok ? " ok" : " failing");
    if (!check.detail.empty()) out += ": " + on_one_line(check.detail);
    out += '\n';
  }
  return out.empty() ? "ok\n" : out;
}

std::string health_json(const Health& health) {
  using Json = nlohmann::ordered_json;
  Json checks = Json::array();
  for (const Check& check : health.checks) {
    checks.push_back({{"name", check.name}, {"ok", check.ok}, {"detail", check.detail}});
  }
  const Json root{{"ok", health.ok()}, {"checks", checks}};
  return root.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string index_html(std::string_view title) {
  const std::string name = html_escaped(title);
  return "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" + name +
         "</title></head>\n<body><h1>" + name +
         "</h1>\n<ul>\n"
         "<li><a href=\"/livez\">/livez</a>: do the loops turn? Failing means restart</li>\n"
         "<li><a href=\"/readyz\">/readyz</a>: can it do its work now?</li>\n"
         "<li><a href=\"/metrics\">/metrics</a>: for Prometheus</li>\n"
         "</ul></body></html>\n";
}

}  // namespace relevo::http
