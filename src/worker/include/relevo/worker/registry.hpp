// Which handler does which kind, and by what rules: filled once at start by the registration
// function of each context and by the configuration, then only read. Reading is thread-safe.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relevo/worker/handler.hpp"
#include "relevo/worker/remote_handler.hpp"

namespace relevo::worker {

enum class History { kAll, kFailures };

// Rules of a kind; the configuration (`kinds`) may override each.
struct KindPolicy {
  int max_attempts = 25;
  std::chrono::milliseconds backoff_base{1'000};     // full jitter up to base * 2^n …
  std::chrono::milliseconds backoff_cap{3'600'000};  // … and never above this
  std::chrono::milliseconds timeout{300'000};        // then the stop token is set
  History history = History::kAll;
  std::chrono::milliseconds unique_for{0};  // how long a unique key holds after completion
  int key_concurrency = 1;                  // jobs of one concurrency key at a time
  std::size_t batch_size = 500;             // batch handlers: jobs in one call at most
};

struct KindEntry {
  std::string pattern;  // "mail.send", or "report.*"
  KindPolicy policy;
  // Exactly one of the three; shared by a kind that has rules of its own under a pattern.
  std::shared_ptr<JobHandler> handler;
  std::shared_ptr<BatchHandler> batch;
  std::shared_ptr<RemoteHandler> remote;
};

// Its jobs run at an endpoint. nullptr: there is no handler.
inline bool is_remote(const KindEntry* kind) { return kind && kind->remote; }

class Registry {
 public:
  // kind: exact, or ending in ".*" or "*" for all that begin so. Throws std::invalid_argument when
  // the same pattern is added twice.
  void add(std::string kind, std::unique_ptr<JobHandler> handler, KindPolicy policy = {});
  void add(std::string kind, std::unique_ptr<BatchHandler> handler, KindPolicy policy = {});
  void add(std::string kind, std::unique_ptr<RemoteHandler> handler, KindPolicy policy = {});
  // For subscriptions that name it in their `handler`.
  void add_messages(const std::string& name, std::unique_ptr<MessageHandler> handler);

  // Changes the rules of every kind the pattern covers (of a pattern itself when it is equal). What
  // a wider pattern does becomes an entry of its own. False: nobody does anything of it here.
  [[nodiscard]] bool set_policy(const std::string& pattern,
                                const std::function<void(KindPolicy&)>& change);

  // The exact kind, else the longest pattern that covers it; nullptr: nobody does it here.
  const KindEntry* find(std::string_view kind) const;
  MessageHandler* find_messages(std::string_view name) const;
  std::vector<std::string> kinds() const;
  bool empty() const { return exact_.empty() && prefixes_.empty(); }

 private:
  void add(const KindEntry& entry);

  std::map<std::string, KindEntry, std::less<>> exact_;
  std::map<std::string, KindEntry, std::greater<>> prefixes_;  // without the star; longest first
  std::map<std::string, std::unique_ptr<MessageHandler>, std::less<>> messages_;
};

}  // namespace relevo::worker
