#include "consumer_run.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "relevo/core/backoff.hpp"
#include "relevo/core/error.hpp"
#include "utf8.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;
using core::ErrorKind;
using core::IntegrationError;
using std::chrono::milliseconds;

constexpr std::size_t kLongestError = 1'024;
constexpr auto kConflictCap = 2s;
constexpr auto kLetterRetry = 15s;  // the dead letter topic does not take a message

class RunContext final : public Context {
 public:
  RunContext(MessageTransaction& transaction, const core::Clock& clock, std::stop_token stop,
             core::Log& log)
      : transaction_(transaction), clock_(clock), stop_(std::move(stop)), log_(log) {}

  UnitOfWork& unit() override { return transaction_.unit(); }
  const core::Clock& clock() const override { return clock_; }
  std::stop_token stop() const override { return stop_; }
  core::Log& log() override { return log_; }

 private:
  MessageTransaction& transaction_;
  const core::Clock& clock_;
  const std::stop_token stop_;
  core::Log& log_;
};

bool keeps(const Outcome& outcome) {
  return std::holds_alternative<Done>(outcome) || std::holds_alternative<Cancel>(outcome);
}

// A text for PostgreSQL and a header: one line, UTF-8. It may come from a handler.
std::string error_text(std::string_view text) {
  text = text.substr(0, kLongestError);
  std::string clean;
  while (!text.empty()) {
    const auto first = static_cast<unsigned char>(text[0]);
    const auto length = utf8_length(text);
    if (length == 0 || first < 0x20 || first == 0x7F) {
      clean += length == 0 ? '?' : ' ';
      text.remove_prefix(1);
    } else {
      clean += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  return clean;
}

// Runs the handler; what it throws is told by the text.
std::vector<Outcome> call(MessageHandler& handler, std::span<const Message> messages,
                          Context& context) {
  auto outcomes = handler.run(messages, context);
  if (outcomes.size() != messages.size()) {
    throw std::runtime_error("the handler returned " + std::to_string(outcomes.size()) +
                             " outcomes for " + std::to_string(messages.size()) + " messages");
  }
  return outcomes;
}

}  // namespace

Consumer::Call::Call(Consumer& consumer) : begun(consumer.to_.clock.now()), consumer_(consumer) {
  const std::lock_guard lock(consumer_.mutex_);
  consumer_.calls_.insert(this);
  if (consumer_.stop_.stop_requested()) stop.request_stop();
}

Consumer::Call::~Call() {
  const std::lock_guard lock(consumer_.mutex_);
  consumer_.calls_.erase(this);
}

Consumer::Run::Run(Consumer& consumer, MessageStore& store, const std::vector<Taken>& taken)
    : consumer_(consumer), store_(store) {
  items_.reserve(taken.size());
  for (const auto& [ticket, held] : taken) items_.push_back({ticket, held, false});
}

Consumer::Run::~Run() {
  for (auto& item : items_) {
    if (!item.settled) try_again(item, 0ms, false);
  }
}

void Consumer::Run::process() {
  Items fit;
  for (auto& item : items_) {
    if (item.held->parked) {
      const auto [error_class, reason] = *item.held->parked;
      dead_letter(item, error_class, reason);
    } else if (decode(item)) {
      fit.push_back(&item);
    }
  }
  run(std::move(fit));
}

// Whether it is for the handler; else it is settled.
bool Consumer::Run::decode(Item& item) {
  auto& held = *item.held;
  if (!held.decoded) held.decoded = worker::decode(held.record, consumer_.options_.envelope);
  if (const auto* refused = std::get_if<Undecodable>(&*held.decoded)) {
    dead_letter(item, "undecodable", refused->reason);
    return false;
  }
  auto& message = item.decoded().message;
  message.attempt = held.attempt;
  if (knows(message.type)) return true;
  consumer_.to_.metrics.unknown_type(consumer_.options_.subscription);
  if (consumer_.options_.park_unknown) {
    dead_letter(item, "unknown_type",
                message.type.empty() ? "the message has no type, and only listed types are taken"
                                     : "type " + std::string(message.type) + " is not listed");
  } else {
    finish({&item});
  }
  return false;
}

bool Consumer::Run::knows(std::string_view type) const {
  const auto& types = consumer_.options_.types;
  return types.empty() || std::ranges::find(types, type) != types.end();
}

// Messages of a key that is held up are put back: they come after it.
Consumer::Run::Items Consumer::Run::without_held_up(const Items& items) {
  if (held_up_.empty()) return items;
  Items free;
  for (auto* item : items) {
    if (item->key() && held_up_.contains(*item->key())) {
      try_again(*item, 0ms, false);
    } else {
      free.push_back(item);
    }
  }
  return free;
}

void Consumer::Run::run(Items items) {
  items = without_held_up(items);
  if (items.empty()) return;
  const auto failure = attempt(items);
  if (!failure) return;
  if (items.size() == 1) {
    failed(*items[0], *failure);
  } else {
    run_apart(items, *failure);
  }
}

// Where the handler said which ones fail, the others go together again; where it only threw, halves
// find the culprit with far fewer transactions than single runs would take.
void Consumer::Run::run_apart(const Items& items, const Failure& failure) {
  if (failure.outcomes.empty()) {
    const auto middle = items.begin() + static_cast<std::ptrdiff_t>(items.size() / 2);
    run(Items(items.begin(), middle));
    run(Items(middle, items.end()));
    return;
  }
  Items fit;
  Items rest;
  std::set<std::string_view> keys;  // with an item in rest
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto& key = items[i]->key();
    if (keeps(failure.outcomes[i]) && !(key && keys.contains(*key))) {
      fit.push_back(items[i]);
    } else {
      rest.push_back(items[i]);
      if (key) keys.insert(*key);
    }
  }
  run(std::move(fit));
  for (auto* item : rest) run({item});
}

// Enters the items into the inbox and returns those that are new to it.
std::vector<Consumer::Run::Item*> Consumer::Run::enter(MessageTransaction& transaction,
                                                       const Items& items) {
  std::vector<InboxEvent> events;
  events.reserve(items.size());
  for (const auto* item : items) {
    events.push_back({item->decoded().message.id, item->decoded().day});
  }
  // In one order in every transaction, so that two of them do not wait for each other.
  const auto by_id = [](const InboxEvent& a, const InboxEvent& b) { return a.id < b.id; };
  std::ranges::sort(events, by_id);
  events.erase(std::ranges::unique(events, {}, &InboxEvent::id).begin(), events.end());
  const auto entered = transaction.enter(consumer_.options_.subscription, events);
  std::set<std::string_view> fresh(entered.begin(), entered.end());
  Items of_handler;
  // Of several with one id the first counts.
  for (auto* item : items) {
    if (fresh.erase(item->decoded().message.id) > 0) of_handler.push_back(item);
  }
  return of_handler;
}

// One transaction for all; nullopt: committed, and every item is settled.
std::optional<Consumer::Run::Failure> Consumer::Run::attempt(const Items& items) {
  const auto& to = consumer_.to_;
  const auto started = to.clock.now();
  const auto took = [&] { return std::chrono::duration<double>(to.clock.now() - started); };
  Failure failure;
  try {
    const auto transaction = store_.begin();
    const auto fresh = enter(*transaction, items);
    std::vector<Message> messages;
    messages.reserve(fresh.size());
    for (const auto* item : fresh) messages.push_back(item->decoded().message);
    Call handlers_call(consumer_);
    RunContext context(*transaction, to.clock, handlers_call.stop.get_token(), to.log);
    const auto outcomes =
        fresh.empty() ? std::vector<Outcome>() : call(to.handler, messages, context);
    if (std::ranges::all_of(outcomes, keeps)) {
      if (!fresh.empty()) transaction->commit();
      const auto done = static_cast<std::size_t>(std::ranges::count_if(
          outcomes, [](const auto& o) { return std::holds_alternative<Done>(o); }));
      finish(items);
      if (done > 0) to.metrics.messages_finished("done", done, took());
      if (outcomes.size() > done) {
        to.metrics.messages_finished("cancelled", outcomes.size() - done, took());
      }
      if (items.size() > fresh.size()) to.metrics.inbox_duplicates(items.size() - fresh.size());
      return std::nullopt;
    }
    if (const auto* later = std::get_if<Snooze>(&outcomes.front()); later && items.size() == 1) {
      transaction->withdraw(consumer_.options_.subscription,
                            {items[0]->decoded().message.id, items[0]->decoded().day});
      transaction->commit();
      try_again(*items[0], later->delay, true);
      to.metrics.messages_finished("snoozed", 1, took());
      return std::nullopt;
    }
    // Per item; what was in the inbox already was done before.
    failure.outcomes.assign(items.size(), Done{});
    for (std::size_t i = 0; i < fresh.size(); ++i) {
      const auto place = std::ranges::find(items, fresh[i]) - items.begin();
      failure.outcomes[static_cast<std::size_t>(place)] = outcomes[i];
    }
  } catch (const IntegrationError& error) {
    if (store_.lost()) throw;
    failure.conflict = error.kind() == ErrorKind::kConflict;
    failure.reason = error.what();
  } catch (const std::exception& error) {
    failure.reason = error.what();
  } catch (...) {
    failure.reason = "the handler threw something that is no std::exception";
  }
  return failure;
}

void Consumer::Run::failed(Item& item, const Failure& failure) {
  const auto& to = consumer_.to_;
  auto& held = *item.held;
  if (failure.conflict) {
    ++held.conflicts;
    const auto highest =
        std::min<milliseconds>(10ms * (1 << std::min(held.conflicts, 10)), kConflictCap);
    try_again(item, core::Backoff(highest, highest).next(), false);
    return;
  }
  auto reason = failure.reason;
  std::optional<milliseconds> after;
  if (!failure.outcomes.empty()) {
    if (const auto* dead = std::get_if<Dead>(&failure.outcomes.front())) {
      dead_letter(item, "rejected", dead->reason);
      return;
    }
    if (const auto* retry = std::get_if<Retry>(&failure.outcomes.front())) {
      reason = retry->reason;
      after = retry->after;
    }
  }
  if (held.attempt >= consumer_.options_.max_attempts) {
    dead_letter(item, "exhausted", reason);
    return;
  }
  held.failures.add({held.attempt, to.clock.wall(), error_text(reason)});
  const auto delay = after.value_or(consumer_.backoff(held.attempt));
  to.log.debug("message failed for now", {{"subscription", consumer_.options_.subscription},
                                          {"event", item.decoded().message.id},
                                          {"attempt", held.attempt},
                                          {"reason", reason}});
  ++held.attempt;
  to.metrics.messages_finished("retried", 1, 0s);
  try_again(item, delay, true);
}

void Consumer::Run::try_again(Item& item, milliseconds delay, bool suspect) {
  item.settled = true;
  {
    const std::lock_guard lock(consumer_.mutex_);
    const auto due = consumer_.to_.clock.now() + delay;
    if (item.key()) held_up_.emplace(*item.key());
    if (!consumer_.lanes_.put_back(item.ticket, due, suspect)) {
      consumer_.held_[item.ticket].reset();  // revoked: the partition's next owner gets it
    }
    item.held = nullptr;  // another thread's from here on
  }
  consumer_.ended_.notify_all();
  consumer_.work_.notify_one();
}

// The table first: what the topic has, a person finds there, too.
void Consumer::Run::dead_letter(Item& item, std::string_view error_class, std::string_view reason) {
  const auto& to = consumer_.to_;
  auto& held = *item.held;
  const auto text = error_text(reason);
  if (!held.parked) held.failures.add({held.attempt, to.clock.wall(), text});
  const auto failures = held.failures.entries();
  const DeadLetter letter{error_class, text, held.attempt, failures.front().at, failures};
  if (!held.parked) {
    const auto* decoded = held.decoded ? std::get_if<DecodedMessage>(&*held.decoded) : nullptr;
    try {
      store_.park(consumer_.options_.subscription, held.record,
                  decoded ? std::optional(decoded->message.id) : std::nullopt, letter);
    } catch (const IntegrationError& error) {
      if (store_.lost()) throw;
      // Nowhere to put it: better to hold up its key than to lose it.
      to.log.error("message cannot be parked",
                   {{"subscription", consumer_.options_.subscription}, {"reason", error.what()}});
      try_again(item, consumer_.options_.backoff_cap, true);
      return;
    }
    to.metrics.dead_letter(consumer_.options_.subscription);
    to.metrics.messages_finished("dead", 1, 0s);
    to.log.warn("message parked", {{"subscription", consumer_.options_.subscription},
                                   {"topic", held.record.topic()},
                                   {"partition", held.record.partition()},
                                   {"offset", held.record.offset()},
                                   {"class", error_class},
                                   {"reason", text}});
  }
  if (to.dead_letters) {
    if (const auto problem = to.dead_letters->send(held.record, letter)) {
      held.parked.emplace(error_class, text);
      to.log.warn("dead letter topic does not take a message; it is tried again",
                  {{"subscription", consumer_.options_.subscription}, {"reason", *problem}});
      try_again(item, core::Backoff(kLetterRetry, kLetterRetry).next(), true);
      return;
    }
  }
  finish({&item});
}

void Consumer::Run::finish(const Items& items) {
  {
    const std::lock_guard lock(consumer_.mutex_);
    for (auto* item : items) {
      item->settled = true;
      consumer_.lanes_.finish(item->ticket);
      consumer_.held_[item->ticket].reset();
      item->held = nullptr;
    }
  }
  consumer_.ended_.notify_all();
}

bool Consumer::Run::redrive(Consumer& consumer, MessageStore& store) {
  const auto& to = consumer.to_;
  const auto& options = consumer.options_;
  std::optional<ParkedMessage> parked;
  DeadLetter letter{"rejected", {}, 0, {}, {}};
  std::string reason;
  try {
    const auto transaction = store.begin();
    parked = transaction->next_redrive(options.subscription);
    if (!parked) return false;
    letter.attempts = parked->attempts + 1;
    auto decoded = worker::decode(parked->record, options.envelope);
    if (const auto* refused = std::get_if<Undecodable>(&decoded)) {
      letter.error_class = "undecodable";
      reason = refused->reason;
    } else {
      auto& [message, day, owned, headers] = std::get<DecodedMessage>(decoded);
      message.attempt = letter.attempts;
      const InboxEvent event{message.id, day};
      bool done = transaction->enter(options.subscription, {&event, 1}).empty();
      if (!done) {
        Call handlers_call(consumer);
        RunContext context(*transaction, to.clock, handlers_call.stop.get_token(), to.log);
        const auto outcome = call(to.handler, {&message, 1}, context)[0];
        if (std::holds_alternative<Snooze>(outcome)) return false;  // at the next look
        done = keeps(outcome);
        if (const auto* retry = std::get_if<Retry>(&outcome)) reason = retry->reason;
        if (const auto* dead = std::get_if<Dead>(&outcome)) reason = dead->reason;
      }
      if (done) {
        transaction->remove_parked(parked->id);
        transaction->commit();
        to.metrics.messages_finished("done", 1, 0s);
        return true;
      }
    }
  } catch (const IntegrationError& error) {
    if (store.lost() || !parked) throw;
    if (error.kind() == ErrorKind::kConflict) return false;
    reason = error.what();
  } catch (const std::exception& error) {
    reason = error.what();
  } catch (...) {
    reason = "the handler threw something that is no std::exception";
  }
  const auto text = error_text(reason);
  letter.error_message = text;
  parked->failures.add({letter.attempts, to.clock.wall(), text});
  letter.attempt_log = parked->failures.entries();
  letter.first_failed_at = letter.attempt_log.front().at;
  store.park_again(parked->id, letter);
  return true;
}

}  // namespace relevo::worker
