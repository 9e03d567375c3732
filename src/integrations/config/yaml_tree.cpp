#include "yaml_tree.hpp"

#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <sstream>
#include <vector>

namespace relevo::config {

namespace {

constexpr auto kQuotes = "; a value that starts with a special character needs quotes";

struct DocumentStarts : YAML::EventHandler {
  using Mark = YAML::Mark;

  void OnDocumentStart(const Mark& mark) override { marks.push_back(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const Mark&, YAML::anchor_t) override {}
  void OnAlias(const Mark&, YAML::anchor_t) override {}
  void OnScalar(const Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

  std::vector<Mark> marks;
};

}  // namespace

std::optional<YAML::Node> parse_yaml(const std::string& text, const YamlPlace& place,
                                     const std::string& subject, Draft& draft) {
  const auto fail = [&](const YAML::Mark& mark, const std::string& message) {
    draft.errors.push_back({place.at(mark), subject + message});
    return std::nullopt;
  };
  YAML::Node document;
  DocumentStarts starts;
  try {
    // Not YAML::LoadAll(): of a text such as "," it makes documents until memory is used up.
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    while (starts.marks.size() < 2 && parser.HandleNextDocument(starts)) continue;
    if (starts.marks.size() < 2) document = YAML::Load(text);
  } catch (const YAML::Exception& e) {
    // The part behind a colon repeats text of the file.
    const std::string what = e.msg.substr(0, e.msg.find(':'));
    return fail(e.mark, "not YAML: " + what + kQuotes);
  }
  if (starts.marks.size() < 2) return document;
  if (starts.marks[0].pos == starts.marks[1].pos) {
    return fail(starts.marks[0], std::string("not YAML: nothing can begin so") + kQuotes);
  }
  return fail(starts.marks[1], "a second YAML document; only one is read");
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
