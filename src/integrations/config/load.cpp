#include "relevo/config/load.hpp"

#include <algorithm>

#include "draft.hpp"
#include "rules.hpp"

namespace relevo::config {

void Draft::set(const Key& key, const Raw& raw, const std::string& where) {
  if (const auto complaint = key.read(config, raw)) return refuse(key.path, where, *complaint);
  origin[key.path] = where;
}

void Draft::set(const Key& list, const Field& field, std::size_t entry, const Raw& raw,
                const std::string& where) {
  const std::string path = entry_path(list.path, entry) + "." + field.path;
  if (const auto complaint = field.read(config, entry, raw)) return refuse(path, where, *complaint);
  origin[path] = where;
}

void Draft::refuse(const std::string& path, const std::string& where,
                   const std::string& complaint) {
  failed.insert(path);
  errors.push_back({where, path + ": " + complaint});
}

void Draft::start_list(const Key& list, const std::string& where) {
  const std::string entries = list.path + "[";
  std::erase_if(origin, [&](const auto& item) { return item.first.starts_with(entries); });
  std::erase_if(failed, [&](const auto& path) { return path.starts_with(entries); });
  list.records->clear(config);
  origin[list.path] = where;
}

namespace {

// "schedules[2].cron" where it was set, or else where its entry stands.
std::vector<std::string> with_entry(std::string key) {
  const auto end = key.find("].");
  if (end == std::string::npos) return {std::move(key)};
  std::string entry = key.substr(0, end + 1);
  return {std::move(key), std::move(entry)};
}

// Each with the place that set one of its keys.
void tell(const std::vector<Broken>& rules, const Draft& draft, std::vector<Problem>& problems) {
  for (const Broken& broken : rules) {
    // A key that could not be read still has its default here: what follows from that is no news.
    const bool about_failed =
        std::any_of(broken.keys.begin(), broken.keys.end(),
                    [&](const std::string& key) { return draft.failed.contains(key); });
    if (about_failed) continue;
    const auto set_by =
        std::find_if(broken.keys.begin(), broken.keys.end(),
                     [&](const std::string& key) { return draft.origin.contains(key); });
    if (set_by == broken.keys.end()) {
      problems.push_back({broken.keys.front(), broken.message});
    } else {
      problems.push_back({draft.origin.at(*set_by), broken.keys.front() + ": " + broken.message});
    }
  }
}

}  // namespace

LoadResult load(const Source& source) {
  Draft draft;
  std::optional<std::string> file = source.file;
  if (const auto named = source.environment.find("RELEVO_CONFIG");
      !file && named != source.environment.end() && !named->second.empty()) {
    file = named->second;
  }
  if (file) read_yaml(*file, draft);
  read_environment(source.environment, draft);

  std::vector<Broken> rules = broken_rules(draft.config);
  for (Problem& problem :
       source.more_rules ? source.more_rules(draft.config) : std::vector<Problem>()) {
    const auto is_known = [&](const Broken& rule) { return rule.keys.front() == problem.where; };
    // A value that breaks a rule of ours is told once.
    if (std::any_of(rules.begin(), rules.end(), is_known)) continue;
    rules.push_back({with_entry(std::move(problem.where)), std::move(problem.message)});
  }
  tell(rules, draft, draft.errors);
  tell(unused_lists(draft.config), draft, draft.warnings);
  return {std::move(draft.config), std::move(draft.errors), std::move(draft.warnings),
          std::move(file)};
}

}  // namespace relevo::config
