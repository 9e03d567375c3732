#include "redact.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "endpoint_url.hpp"

namespace relevo::config {

namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

bool names_secret(std::string_view name) {
  constexpr std::array<std::string_view, 8> kSigns{"password", "secret", "key.pem", "jaas",
                                                   "ssl.key",  "oauth",  "token",   "credential"};
  const std::string wanted = lower(name);
  return std::any_of(kSigns.begin(), kSigns.end(),
                     [&](std::string_view sign) { return wanted.find(sign) != std::string::npos; });
}

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// libpq decodes parameter names too: pass%77ord is a password.
std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
      out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string redact_query(std::string_view query) {
  std::string out;
  while (true) {
    const auto end = query.find('&');
    const std::string_view item = query.substr(0, end);
    const auto equals = item.find('=');
    if (equals == std::string_view::npos) {
      out += kHidden;
    } else if (names_secret(percent_decoded(item.substr(0, equals)))) {
      out.append(item.substr(0, equals + 1)).append(kHidden);
    } else {
      out += item;
    }
    if (end == std::string_view::npos) return out;
    out += '&';
    query.remove_prefix(end + 1);
  }
}

std::string redact_uri(std::string_view uri) {
  const auto authority = uri.find("://") + 3;
  std::string out(uri.substr(0, authority));
  std::string_view rest = uri.substr(authority);
  // Up to the last @, wherever it is: a password may hold @, :, / or ? although libpq wants them
  // encoded.
  const auto at = rest.rfind('@');
  if (at != std::string_view::npos) {
    const std::string_view user = rest.substr(0, rest.find_first_of(":/?@"));
    out += user;
    if (user.size() < at) out.append(":").append(kHidden);
    out += '@';
    rest.remove_prefix(at + 1);
  }
  const auto question = rest.find('?');
  out += rest.substr(0, question);
  if (question != std::string_view::npos)
    out.append("?").append(redact_query(rest.substr(question + 1)));
  return out;
}

// Reads libpq's `name = 'value'` pairs one after the other.
class KeywordReader {
 public:
  explicit KeywordReader(std::string_view text) : text_(text) { skip_space(); }

  struct Pair {
    std::string_view name;
    std::string_view value;  // as written, quotes included
  };

  bool at_end() const { return text_.empty(); }

  std::optional<Pair> next() {
    const std::string_view name = take_while([](char c) { return c != '=' && !is_space(c); });
    skip_space();
    if (name.empty() || !text_.starts_with('=')) return std::nullopt;
    text_.remove_prefix(1);
    skip_space();
    const auto length = text_.starts_with('\'') ? quoted_length() : plain_length();
    if (!length) return std::nullopt;
    const Pair pair{name, text_.substr(0, *length)};
    text_.remove_prefix(*length);
    skip_space();
    return pair;
  }

 private:
  static bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

  template <class Predicate>
  std::string_view take_while(Predicate predicate) {
    const auto end = std::find_if_not(text_.begin(), text_.end(), predicate);
    const std::string_view taken = text_.substr(0, static_cast<std::size_t>(end - text_.begin()));
    text_.remove_prefix(taken.size());
    return taken;
  }

  void skip_space() { take_while(is_space); }

  std::optional<std::size_t> plain_length() const {
    std::size_t i = 0;
    while (i < text_.size() && !is_space(text_[i])) i += text_[i] == '\\' ? 2 : 1;
    return std::min(i, text_.size());
  }

  std::optional<std::size_t> quoted_length() const {
    for (std::size_t i = 1; i < text_.size(); i += text_[i] == '\\' ? 2 : 1) {
      if (text_[i] == '\'') return i + 1;
    }
    return std::nullopt;
  }

  std::string_view text_;
};

std::string redact_keywords(std::string_view text) {
  std::string out;
  for (KeywordReader reader(text); !reader.at_end();) {
    if (!out.empty()) out += ' ';
    const auto pair = reader.next();
    if (!pair) return out.append(kHidden);
    out.append(pair->name).append("=");
    if (names_secret(pair->name)) {
      out += kHidden;
    } else if (pair->value.find("://") != std::string_view::npos) {
      out += redact_uri(pair->value);  // dbname may be a whole URI
    } else {
      out += pair->value;
    }
  }
  return out;
}

using Json = nlohmann::ordered_json;

bool hide_secrets(Json& value) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (text.find("://") == std::string::npos) return false;
    std::string shown = redact_uri(text);
    if (shown == text) return false;
    value = std::move(shown);
    return true;
  }
  if (!value.is_structured()) return false;
  bool hidden = false;
  for (auto item = value.begin(); item != value.end(); ++item) {
    if (value.is_object() && names_secret(item.key())) {
      *item = kHidden;
      hidden = true;
    } else {
      hidden = hide_secrets(*item) || hidden;
    }
  }
  return hidden;
}

}  // namespace

std::string redact_url(std::string_view url) {
  const auto scheme_end = url.find("://");
  if (scheme_end != std::string_view::npos &&
      url.substr(0, scheme_end).find('=') == std::string_view::npos) {
    return redact_uri(url);
  }
  return redact_keywords(url);
}

std::string redact_endpoint(std::string_view url) {
  // Of one that is not legal it is not known where a password ends.
  if (no_endpoint(url, true)) return redact_url(url);
  const auto question = url.find('?');
  if (question == std::string_view::npos) return std::string(url);
  return std::string(url.substr(0, question + 1)) + redact_query(url.substr(question + 1));
}

bool looks_like_secret(std::string_view path) { return path.starts_with("whsec_"); }

std::string redact_path(std::string_view path) {
  return std::string(looks_like_secret(path) ? kHidden : path);
}

std::string redact_json(std::string_view text) {
  Json value = Json::parse(text, nullptr, false);
  if (value.is_discarded()) return std::string(kHidden);
  // As written, if there is nothing to hide: numbers keep their digits.
  if (!hide_secrets(value)) return std::string(text);
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::map<std::string, std::string> redact_properties(
    const std::map<std::string, std::string>& properties) {
  std::map<std::string, std::string> shown;
  for (const auto& [name, value] : properties) {
    if (names_secret(name)) {
      shown[name] = kHidden;
    } else {
      shown[name] = value.find("://") == std::string::npos ? value : redact_uri(value);
    }
  }
  return shown;
}

}  // namespace relevo::config
