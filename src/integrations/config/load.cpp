#include "relevo/config/load.hpp"

#include <algorithm>

#include "draft.hpp"
#include "rules.hpp"

namespace relevo::config {

void Draft::set(const Key& key, const Raw& raw, const std::string& where) {
  if (const auto complaint = key.read(config, raw)) return refuse(key, where, *complaint);
  origin[key.path] = where;
}

void Draft::refuse(const Key& key, const std::string& where, const std::string& complaint) {
  failed.insert(key.path);
  errors.push_back({where, key.path + ": " + complaint});
}

LoadResult load(const Source& source) {
  Draft draft;
  std::optional<std::string> file = source.file;
  if (const auto named = source.environment.find("RELEVO_CONFIG");
      !file && named != source.environment.end() && !named->second.empty()) {
    file = named->second;
  }
  if (file) read_yaml(*file, draft);
  read_environment(source.environment, draft);

  for (const Broken& broken : broken_rules(draft.config)) {
    // A key that could not be read still has its default here: what follows from that is no news.
    const bool about_failed =
        std::any_of(broken.keys.begin(), broken.keys.end(),
                    [&](const std::string& key) { return draft.failed.contains(key); });
    if (about_failed) continue;
    const auto set_by =
        std::find_if(broken.keys.begin(), broken.keys.end(),
                     [&](const std::string& key) { return draft.origin.contains(key); });
    if (set_by == broken.keys.end()) {
      draft.errors.push_back({broken.keys.front(), broken.message});
    } else {
      draft.errors.push_back(
          {draft.origin.at(*set_by), broken.keys.front() + ": " + broken.message});
    }
  }
  return {std::move(draft.config), std::move(draft.errors), std::move(draft.warnings),
          std::move(file)};
}

}  // namespace relevo::config
