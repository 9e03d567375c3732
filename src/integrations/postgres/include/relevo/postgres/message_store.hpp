// worker::MessageStore over one connection: relevo.inbox and relevo.dead_message.
#pragma once

#include <memory>
#include <string>

#include "relevo/postgres/connection.hpp"
#include "relevo/worker/message_store.hpp"

namespace relevo::postgres {

class MessageStore final : public worker::MessageStore {
 public:
  // Throws as Connection.
  explicit MessageStore(const ConnectOptions& options);

  std::unique_ptr<worker::MessageTransaction> begin() override;
  void park(std::string_view subscription, const worker::RawRecord& record,
            std::optional<std::string_view> event_id, const worker::DeadLetter& letter) override;
  void park_again(std::int64_t id, const worker::DeadLetter& letter) override;
  bool lost() const override;

 private:
  class Session;

  void check_connection(std::string_view operation) const;

  Connection connection_;
  bool lost_ = false;
};

// Headers as relevo.dead_message keeps them: an array of [name, value] in their order. A value is a
// text, null, or {"hex": …} where it is not text; so is a name that is not.
std::string headers_json(std::span<const worker::RecordHeader> headers);

}  // namespace relevo::postgres
