#include "relevo/postgres/message_store.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "relevo/core/error.hpp"
#include "relevo/core/invariant.hpp"
#include "relevo/postgres/unit_of_work.hpp"
#include "statements.hpp"

namespace relevo::postgres {
namespace {

using core::ErrorKind;
using core::IntegrationError;
using nlohmann::json;
using worker::InboxEvent;

std::string day_text(core::WallTime time) {
  using namespace std::chrono;
  // A year that has not four digits would need another spelling; nothing happened then.
  static constexpr core::WallTime kFirst{sys_days{year{1} / 1 / 1}};
  static constexpr core::WallTime kLast{sys_days{year{9999} / 12 / 31}};
  const year_month_day date{floor<days>(std::clamp(time, kFirst, kLast))};
  const auto padded = [](unsigned value, std::size_t width) {
    auto text = std::to_string(value);
    return std::string(width - std::min(width, text.size()), '0') + text;
  };
  return padded(static_cast<unsigned>(int{date.year()}), 4) + "-" +
         padded(unsigned{date.month()}, 2) + "-" + padded(unsigned{date.day()}, 2);
}

std::string hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += kDigits[static_cast<unsigned char>(c) >> 4U];
    text += kDigits[static_cast<unsigned char>(c) & 15U];
  }
  return text;
}

std::string from_hex(std::string_view text) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes += static_cast<char>(digit(text[i]) * 16 + digit(text[i + 1]));
  }
  return bytes;
}

// jsonb takes every text but one with a NUL character.
json to_json(std::string_view bytes) {
  json text = bytes;
  if (bytes.find('\0') != std::string_view::npos) return {{"hex", hex(bytes)}};
  try {
    (void)text.dump();
  } catch (const json::type_error&) {  // not UTF-8
    return {{"hex", hex(bytes)}};
  }
  return text;
}

std::optional<std::string> from_json(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object()) return from_hex(value.value("hex", ""));
  return std::nullopt;
}

std::int64_t microseconds(core::WallTime time) { return time.time_since_epoch().count(); }

void add(Params& params, const std::optional<std::string_view>& bytes) {
  if (bytes) {
    params.add_bytes(*bytes);
  } else {
    params.add(std::nullopt);
  }
}

}  // namespace

std::string headers_json(std::span<const worker::RecordHeader> headers) {
  auto array = json::array();
  for (const auto& [name, value] : headers) {
    array.push_back(json::array({to_json(name), value.data() ? to_json(value) : json()}));
  }
  return array.dump();
}

class MessageStore::Session final : public worker::MessageTransaction {
  // A statement that no handler wrote: if it fails, the handler is not to blame.
  template <class Action>
  auto own(Action action) {
    try {
      return action();
    } catch (const IntegrationError& error) {
      store_.lost_ = error.kind() != ErrorKind::kConflict;
      throw;
    }
  }

 public:
  explicit Session(MessageStore& store) : store_(store), transaction_(store.connection_) {}
  // Here, not by the member: what lost() says rests on how the rollback went.
  ~Session() override { transaction_.rollback(); }

  worker::UnitOfWork& unit() override { return transaction_; }

  std::vector<std::string> enter(std::string_view subscription,
                                 std::span<const InboxEvent> events) override {
    std::vector<std::string> ids;
    std::vector<std::string> days;
    ids.reserve(events.size());
    days.reserve(events.size());
    for (const auto& event : events) {
      ids.emplace_back(event.id);
      if (!days.empty() && event.day == last_day_) {
        days.push_back(days.back());
      } else {
        days.push_back(day_text(event.day));
        last_day_ = event.day;
      }
    }
    return own([&] { return transaction_.new_events(subscription, ids, days); });
  }

  void withdraw(std::string_view subscription, const InboxEvent& event) override {
    own([&] {
      return transaction_.execute(
          statements::kInboxWithdraw,
          Params().add(subscription).add(event.id).add(day_text(event.day)));
    });
  }

  std::optional<worker::ParkedMessage> next_redrive(std::string_view subscription) override {
    const auto rows = own([&] {
      return transaction_.execute(statements::kMessageToRedrive, Params().add(subscription));
    });
    if (rows.rows() == 0) return std::nullopt;
    const auto optional = [&](int column) {
      return rows.is_null(0, column) ? std::nullopt : std::optional(rows.text(0, column));
    };
    worker::RawRecord::Parts parts;
    parts.topic = rows.text(0, 1);
    parts.partition = rows.int4(0, 2);
    parts.offset = rows.int8(0, 3);
    parts.key = optional(4);
    parts.value = optional(5);
    parts.timestamp = rows.time(0, 8);
    std::vector<std::pair<std::string, std::optional<std::string>>> kept;
    for (const auto& header : json::parse(optional(6).value_or("[]"))) {
      kept.emplace_back(from_json(header.at(0)).value_or(""), from_json(header.at(1)));
    }
    std::vector<worker::RecordHeader> headers;
    for (const auto& [name, value] : kept) {
      headers.emplace_back(name, value ? std::string_view(*value) : std::string_view());
    }
    parts.headers = headers;
    return worker::ParkedMessage{rows.int8(0, 0), worker::RawRecord(parts), rows.int4(0, 7),
                                 worker::AttemptLog(rows.text(0, 9))};
  }

  void remove_parked(std::int64_t id) override {
    own([&] { return transaction_.execute(statements::kMessageDone, Params().add(id)); });
  }

  void commit() override { transaction_.commit(); }

 private:
  MessageStore& store_;
  Transaction transaction_;
  core::WallTime last_day_{};
};

MessageStore::MessageStore(const ConnectOptions& options) : connection_(options) {}

// A rollback throws nothing, so it may have been the last to know that the connection is gone.
void MessageStore::check_connection(std::string_view operation) const {
  if (connection_.usable()) return;
  throw IntegrationError(ErrorKind::kDisconnected, std::string(operation),
                         "the connection was lost in a rollback");
}

std::unique_ptr<worker::MessageTransaction> MessageStore::begin() {
  check_connection("begin");
  return std::make_unique<Session>(*this);
}

void MessageStore::park(std::string_view subscription, const worker::RawRecord& record,
                        std::optional<std::string_view> event_id,
                        const worker::DeadLetter& letter) {
  Params params;
  params.add(subscription).add(record.topic()).add(record.partition()).add(record.offset());
  if (event_id) {
    params.add(*event_id);
  } else {
    params.add(std::nullopt);
  }
  add(params, record.key());
  add(params, record.value());
  params.add(headers_json(record.headers()))
      .add(letter.error_message)
      .add(letter.attempts)
      .add(letter.error_class)
      .add(microseconds(record.timestamp()))
      .add(microseconds(letter.first_failed_at))
      .add(worker::attempts_json(letter.attempt_log));
  check_connection(statements::kMessagePark.name);
  Transaction transaction(connection_);
  transaction.execute(statements::kMessagePark, params);
  transaction.commit();
}

void MessageStore::park_again(std::int64_t id, const worker::DeadLetter& letter) {
  check_connection(statements::kMessageParkAgain.name);
  Transaction transaction(connection_);
  transaction.execute(statements::kMessageParkAgain,
                      Params()
                          .add(id)
                          .add(letter.error_message)
                          .add(letter.attempts)
                          .add(letter.error_class)
                          .add(worker::attempts_json(letter.attempt_log)));
  transaction.commit();
}

bool MessageStore::lost() const { return lost_ || !connection_.usable() || connection_.unfit(); }

}  // namespace relevo::postgres
