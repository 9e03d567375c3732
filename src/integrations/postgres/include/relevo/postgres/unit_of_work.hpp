// worker::UnitOfWork on a connection: one run's transaction. BEGIN goes out with the first
// statement; publish() and audit() go out with the next statement that needs an answer, so a
// refused event may show as late as at commit(). The owner of the run adds its own statements by
// execute() and ends it by commit() or rollback(); without either it is rolled back.
//
// After an error every call but rollback() throws that error again. 40001, 40P01 and 55P03 are
// ErrorKind::kConflict: the run is tried again and burns no attempt. Borrows the connection, which
// must be usable() and is nobody else's meanwhile. Not thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "relevo/postgres/connection.hpp"
#include "relevo/worker/unit_of_work.hpp"

namespace relevo::postgres {

class Transaction final : public worker::UnitOfWork {
 public:
  explicit Transaction(Connection& connection);
  ~Transaction() override;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  using UnitOfWork::query;
  std::vector<worker::Row> query(const worker::Statement& statement,
                                 std::span<const worker::Value> values) override;
  void publish(const worker::NewEvent& event) override;
  worker::JobId enqueue(const worker::NewJob& job) override;
  void enqueue_many(std::span<const worker::NewJob> jobs) override;
  void audit(const worker::AuditEntry& entry) override;

  // For the owner. A pinned statement pins the planner for the rest of the transaction: best last.
  Result execute(const Statement& statement, const Params& params = {});

  // Removes the job if it still is the run's. false: somebody else owns it; roll back.
  [[nodiscard]] bool finish_job(worker::JobId id, std::int32_t token);

  // Enters events into the inbox of a subscription, each by its own day (YYYY-MM-DD, UTC). Returns
  // those that were not there yet; a concurrent transaction's entry is waited for.
  std::vector<std::string> new_events(std::string_view subscription,
                                      std::span<const std::string> ids,
                                      std::span<const std::string> days);

  // An error of kind kDisconnected: committed or not, nobody knows.
  void commit();
  void rollback() noexcept;

 private:
  Connection& connection_;
};

}  // namespace relevo::postgres
