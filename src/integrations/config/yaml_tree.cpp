#include "yaml_tree.hpp"

#include <algorithm>
#include <vector>

namespace relevo::config {

std::optional<YAML::Node> parse_yaml(const std::string& text, const YamlPlace& place,
                                     const std::string& subject, Draft& draft) {
  const auto fail = [&](const YAML::Mark& mark, const std::string& message) {
    draft.errors.push_back({place.at(mark), subject + message});
    return std::nullopt;
  };
  std::vector<YAML::Node> documents;
  try {
    documents = YAML::LoadAll(text);
  } catch (const YAML::Exception& e) {
    // The part behind a colon repeats text of the file.
    const std::string what = e.msg.substr(0, e.msg.find(':'));
    return fail(e.mark, "not YAML: " + what +
                            "; a value that starts with a special character needs quotes");
  }
  if (documents.size() > 1) {
    return fail(documents[1].Mark(), "a second YAML document; only one is read");
  }
  return documents.empty() ? YAML::Node() : documents[0];
}

std::string shown_name(const std::string& name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  const bool is_name =
      !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), plain);
  return is_name ? name : "(not a plain name)";
}

}  // namespace relevo::config
