#include "relevo/webhook/result.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace relevo::webhook {
namespace {

using Json = nlohmann::json;

constexpr int kDeepest = 100;               // PostgreSQL's parser recurses
constexpr std::size_t kLongestNumber = 64;  // numeric has limits of its own
constexpr std::size_t kLongestLine = 200;

// Accepts what both JSON and jsonb accept.
class JsonbCheck final : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  // A value that came out as 0 may have an exponent numeric cannot hold.
  bool number_float(number_float_t value, const string_t& text) override {
    const auto mantissa = std::string_view(text).substr(0, text.find_first_of("eE"));
    const bool zero = mantissa.find_first_of("123456789") == std::string_view::npos;
    return text.size() <= kLongestNumber && (value != 0 || (zero && mantissa == text));
  }
  bool string(string_t& value) override { return no_nul(value); }
  bool binary(binary_t&) override { return false; }
  bool key(string_t& value) override { return no_nul(value); }
  bool start_object(std::size_t) override { return ++depth_ <= kDeepest; }
  bool end_object() override { return --depth_ >= 0; }
  bool start_array(std::size_t) override { return ++depth_ <= kDeepest; }
  bool end_array() override { return --depth_ >= 0; }
  bool parse_error(std::size_t, const std::string&, const Json::exception&) override {
    return false;
  }

 private:
  static bool no_nul(const std::string& text) { return text.find('\0') == std::string::npos; }

  int depth_ = 0;
};

}  // namespace

std::optional<std::string> json_result(std::string_view body) {
  // This parser skips a byte order mark and ends at a NUL; PostgreSQL's refuses both.
  if (body.starts_with('\xef') || body.find('\0') != std::string_view::npos) return std::nullopt;
  JsonbCheck check;
  if (!Json::sax_parse(body, &check)) return std::nullopt;
  return std::string(body);
}

std::string first_line(std::string_view body) {
  std::string line(body.substr(0, std::min(body.find_first_of("\r\n"), kLongestLine)));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  // Writing and reading again leaves out what is not UTF-8, also a character that was cut.
  return Json::parse(Json(line).dump(-1, ' ', false, Json::error_handler_t::ignore))
      .get<std::string>();
}

}  // namespace relevo::webhook
