// The consumer's store on a real server.
#include "relevo/postgres/message_store.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "relevo/core/error.hpp"
#include "relevo/postgres/migrator.hpp"
#include "support/database.hpp"
#include "support/environment.hpp"

namespace relevo::postgres {
namespace {

using core::ErrorKind;
using core::IntegrationError;

class MessageStoreTest : public testing::Test {
 protected:
  MessageStoreTest() {
    options.url = database.url();
    Migrator(options).migrate(4, [](int, std::string_view) {});
  }

  void kill_backends() {
    database.connect().query(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = "
        "current_database() AND pid <> pg_backend_pid()");
  }

  test::Database database{test::required_environment("RELEVO_TEST_POSTGRES")};
  ConnectOptions options;
};

TEST_F(MessageStoreTest, a_connection_lost_in_a_rollback_is_told_by_the_next_call) {
  const worker::RawRecord record{worker::RawRecord::Parts{}};
  const worker::FailedAttempt failed{1, {}, "no"};
  const worker::DeadLetter letter{"rejected", "no", 1, {}, {&failed, 1}};
  const std::function<void(MessageStore&)> calls[] = {
      [](auto& store) { (void)store.begin(); },
      [&](auto& store) { store.park("s", record, std::nullopt, letter); },
      [&](auto& store) { store.park_again(1, letter); },
  };
  for (const auto& call : calls) {
    MessageStore store(options);
    {
      const auto transaction = store.begin();
      EXPECT_FALSE(transaction->next_redrive("s"));
      kill_backends();
    }
    EXPECT_TRUE(store.lost());
    try {
      call(store);
      ADD_FAILURE() << "no error";
    } catch (const IntegrationError& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kDisconnected);
    }
  }
}

}  // namespace
}  // namespace relevo::postgres
