#include "value_rules.hpp"

#include <algorithm>
#include <regex>
#include <string>

namespace relevo::config {

bool is_one_of(std::string_view value, std::initializer_list<std::string_view> known) {
  return std::find(known.begin(), known.end(), value) != known.end();
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

Complaint out_of_range(std::chrono::milliseconds value, std::chrono::milliseconds least,
                       std::chrono::milliseconds most) {
  if (value >= least && value <= most) return std::nullopt;
  return "must be " + to_text(least) + " to " + to_text(most) + ", is " + to_text(value);
}

Complaint out_of_range(std::int64_t value, std::int64_t least, std::int64_t most) {
  if (value >= least && value <= most) return std::nullopt;
  return "must be " + std::to_string(least) + " to " + std::to_string(most) + ", is " +
         std::to_string(value);
}

Complaint no_topic(std::string_view name) {
  constexpr std::size_t kKafkaLimit = 249;
  if (name.empty()) return "a topic needs a name";
  if (name == "." || name == "..") return "Kafka has no topic " + in_quotes(name);
  if (!std::all_of(name.begin(), name.end(), is_name_character)) {
    return "a topic holds letters, digits, '.', '_' and '-' only, not " + in_quotes(name);
  }
  if (name.size() > kKafkaLimit) return "longer than Kafka's 249 characters";
  return std::nullopt;
}

bool is_rfc3339(std::string_view text) {
  static const std::regex kForm(
      "([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(\\.[0-9]{1,9})?"
      "([Zz]|[+-]([0-9]{2}):([0-9]{2}))");
  std::match_results<std::string_view::const_iterator> parts;
  if (text.size() > 64 || !std::regex_match(text.begin(), text.end(), parts, kForm)) return false;
  const auto number = [&](std::size_t part) {
    return parts[part].matched ? std::stoi(parts[part].str()) : 0;
  };
  const std::chrono::year_month_day day{std::chrono::year(number(1)),
                                        std::chrono::month(static_cast<unsigned>(number(2))),
                                        std::chrono::day(static_cast<unsigned>(number(3)))};
  return day.ok() && number(4) < 24 && number(5) < 60 && number(6) < 60 && number(9) < 24 &&
         number(10) < 60;
}

}  // namespace relevo::config
