// `relevo dead` as an operator sees it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "relevo/postgres/migrator.hpp"
#include "support/database.hpp"
#include "support/environment.hpp"
#include "support/program.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

class DeadMessagesTest : public testing::Test {
 protected:
  DeadMessagesTest() {
    postgres::ConnectOptions options;
    options.url = database.url();
    postgres::Migrator(options).migrate(4, [](int, std::string_view) {});
    database.connect().exec(
        "INSERT INTO relevo.dead_message (subscription, topic, partition, record_offset, event_id, "
        "key, payload, headers, error, attempts, error_class, attempt_log) SELECT CASE WHEN g < 3 "
        "THEN 'orders' "
        "ELSE 'mail' END, 'shop', 1, 40 + g, 'e-' || g, 'k', '\\x00ff', '[[\"ce_id\", \"e\"], "
        "[\"empty\", null]]', 'no such product', 9, 'rejected', '[{\"attempt\": 1, \"at\": "
        "\"2026-01-31T12:00:00.123Z\", \"error\": \"too\\tsoon\"}, {\"attempt\": 9, \"at\": "
        "\"2026-01-31T12:01:00.000Z\", \"error\": \"no such product\"}]' FROM generate_series(1, "
        "4) g");
  }

  Outcome relevo(std::vector<std::string> arguments) {
    return call(std::move(arguments), {{"RELEVO_DATABASE_URL", database.url()}});
  }
  std::int64_t number(const std::string& sql) { return database.connect().number(sql); }

  Database database{required_environment("RELEVO_TEST_POSTGRES")};
};

TEST_F(DeadMessagesTest, are_listed_by_page_and_subscription) {
  const auto page = relevo({"dead", "list", "--json", "--limit", "2"});
  EXPECT_EQ(page.code, 0);
  EXPECT_THAT(page.err, HasSubstr("--after 2"));
  const auto rows = json::parse(page.out);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0]["subscription"], "orders");
  EXPECT_EQ(rows[0]["offset"], 41);
  EXPECT_EQ(rows[0]["state"], "parked");
  EXPECT_EQ(rows[0]["attempts"], 9);
  EXPECT_EQ(json::parse(relevo({"dead", "list", "--json", "--subscription", "mail"}).out).size(),
            2U);
  EXPECT_THAT(relevo({"dead", "list"}).out, HasSubstr("shop[1]@41"));
  EXPECT_THAT(relevo({"dead", "list", "--subscription", "none"}).out,
              HasSubstr("no dead messages"));
}

TEST_F(DeadMessagesTest, one_is_shown_with_all_it_carries) {
  const auto shown = relevo({"dead", "show", "1"});
  EXPECT_THAT(shown.out, HasSubstr("rejected: no such product"));
  EXPECT_THAT(shown.out, HasSubstr("ce_id: e"));
  EXPECT_THAT(shown.out, HasSubstr("  failed    1 at 2026-01-31T12:00:00.123Z: too\\tsoon\n"
                                   "  failed    … (7 attempts not kept)\n"
                                   "  failed    9 at 2026-01-31T12:01:00.000Z: no such product\n"));
  const auto whole = json::parse(relevo({"dead", "show", "1", "--json"}).out);
  EXPECT_EQ(whole["headers"], json::parse(R"([["ce_id", "e"], ["empty", null]])"));
  EXPECT_EQ(whole["key"], "k");
  EXPECT_EQ(whole["attempt_log"],
            json::parse(R"([{"attempt": 1, "at": "2026-01-31T12:00:00.123Z", "error": "too\tsoon"},
                {"attempt": 9, "at": "2026-01-31T12:01:00.000Z", "error": "no such product"}])"));
  const auto missing = relevo({"dead", "show", "99"});
  EXPECT_EQ(missing.code, 1);
  EXPECT_THAT(missing.err, HasSubstr("message 99 is not there"));
}

TEST_F(DeadMessagesTest, are_released_once) {
  const auto first = relevo({"dead", "retry", "1", "99"});
  EXPECT_EQ(first.code, 1);
  EXPECT_THAT(first.out, HasSubstr("released 1 message"));
  EXPECT_THAT(first.err, HasSubstr("message 99 is not parked"));
  const auto rest = json::parse(relevo({"dead", "retry", "--all", "--json"}).out);
  EXPECT_THAT(rest["released"], ElementsAre(2, 3, 4));
  EXPECT_EQ(number("SELECT count(*) FROM relevo.dead_message WHERE redriven_at IS NOT NULL"), 4);
  EXPECT_EQ(number("SELECT count(*) FROM relevo.audit_log WHERE action = 'redrive'"), 4);
}

TEST_F(DeadMessagesTest, are_dropped_with_a_reason_that_is_kept) {
  EXPECT_EQ(relevo({"dead", "drop", "1"}).code, 2) << "no reason";
  EXPECT_EQ(relevo({"dead", "drop", "1", "2", "--reason", "gone"}).code, 2) << "no --yes";
  EXPECT_EQ(number("SELECT count(*) FROM relevo.dead_message"), 4);
  EXPECT_EQ(relevo({"dead", "drop", "1", "2", "--reason", "gone", "--yes"}).code, 0);
  EXPECT_EQ(number("SELECT count(*) FROM relevo.dead_message"), 2);
  EXPECT_EQ(
      number("SELECT count(*) FROM relevo.audit_log WHERE action = 'drop' AND reason = 'gone' "
             "AND details->>'topic' = 'shop'"),
      2);
}

}  // namespace
}  // namespace relevo::test
