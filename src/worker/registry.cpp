#include "relevo/worker/registry.hpp"

#include <stdexcept>
#include <utility>

namespace relevo::worker {
namespace {

bool is_pattern(std::string_view kind) { return kind.ends_with('*'); }

std::string_view prefix_of(std::string_view pattern) {
  return pattern.substr(0, pattern.size() - 1);
}

}  // namespace

void Registry::add(std::string kind, std::unique_ptr<JobHandler> handler, KindPolicy policy) {
  add(KindEntry{std::move(kind), policy, std::move(handler), nullptr, nullptr});
}

void Registry::add(std::string kind, std::unique_ptr<BatchHandler> handler, KindPolicy policy) {
  add(KindEntry{std::move(kind), policy, nullptr, std::move(handler), nullptr});
}

void Registry::add(std::string kind, std::unique_ptr<RemoteHandler> handler, KindPolicy policy) {
  add(KindEntry{std::move(kind), policy, nullptr, nullptr, std::move(handler)});
}

void Registry::add(const KindEntry& entry) {
  const auto& pattern = entry.pattern;
  const bool added = is_pattern(pattern)
                         ? prefixes_.try_emplace(std::string(prefix_of(pattern)), entry).second
                         : exact_.try_emplace(pattern, entry).second;
  if (!added) throw std::invalid_argument("kind " + pattern + " has two handlers");
}

void Registry::add_messages(const std::string& name, std::unique_ptr<MessageHandler> handler) {
  if (!messages_.try_emplace(name, std::move(handler)).second) {
    throw std::invalid_argument("message handler " + name + " is registered twice");
  }
}

bool Registry::set_policy(const std::string& pattern,
                          const std::function<void(KindPolicy&)>& change) {
  const bool all = is_pattern(pattern);
  const auto name = all ? prefix_of(pattern) : std::string_view(pattern);
  const bool own = all ? prefixes_.contains(name) : exact_.contains(name);
  if (const auto* wider = own ? nullptr : find(name)) {
    add(KindEntry{pattern, wider->policy, wider->handler, wider->batch, wider->remote});
  }
  const auto covers = [&](std::string_view kind) {
    return kind == pattern || (all && kind.starts_with(prefix_of(pattern)));
  };
  bool some = false;
  const auto change_if_covered = [&](KindEntry& entry) {
    if (!covers(entry.pattern)) return;
    change(entry.policy);
    some = true;
  };
  for (auto& [kind, entry] : exact_) change_if_covered(entry);
  for (auto& [prefix, entry] : prefixes_) change_if_covered(entry);
  return some;
}

const KindEntry* Registry::find(std::string_view kind) const {
  if (const auto exact = exact_.find(kind); exact != exact_.end()) return &exact->second;
  // In descending order every prefix of `kind` comes before the shorter ones.
  for (auto entry = prefixes_.lower_bound(kind); entry != prefixes_.end(); ++entry) {
    if (kind.starts_with(entry->first)) return &entry->second;
  }
  return nullptr;
}

MessageHandler* Registry::find_messages(std::string_view name) const {
  const auto found = messages_.find(name);
  return found == messages_.end() ? nullptr : found->second.get();
}

std::vector<std::string> Registry::kinds() const {
  std::vector<std::string> all;
  for (const auto& [kind, entry] : exact_) all.push_back(kind);
  for (const auto& [prefix, entry] : prefixes_) all.push_back(entry.pattern);
  return all;
}

}  // namespace relevo::worker
