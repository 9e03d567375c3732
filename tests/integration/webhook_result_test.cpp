// What an endpoint answers is stored in the transaction that ends its job: PostgreSQL must take
// whatever passed the checks of result.hpp.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "relevo/webhook/result.hpp"
#include "support/database.hpp"
#include "support/environment.hpp"

namespace relevo::webhook {
namespace {

// Answers as odd as endpoints can make them: pieces of JSON in random order.
std::string odd_body(std::mt19937& random) {
  static const std::vector<std::string> kPieces{"[",
                                                "]",
                                                "{",
                                                "}",
                                                ",",
                                                ":",
                                                "\"a\":",
                                                "1",
                                                "1e300",
                                                "1e-300",
                                                "1e-5000",
                                                "-0.0",
                                                "0e9",
                                                "9e99999",
                                                "null",
                                                "\"\\u0000\"",
                                                "\"ñ\"",
                                                "\"\\ud800\"",
                                                "\"\\udc00\\ud800\"",
                                                "\"\x7f\"",
                                                "\"\xc0\x80\"",
                                                "\"\xed\xa0\x80\"",
                                                "\"\xf4\x90\x80\x80\"",
                                                " ",
                                                "\n",
                                                "\t",
                                                "\"\\/\"",
                                                "99999999999999999999999999"};
  std::uniform_int_distribution<std::size_t> piece(0, kPieces.size() - 1);
  std::uniform_int_distribution<int> length(1, 5);
  std::string body;
  for (int left = length(random); left > 0; --left) body += kPieces[piece(random)];
  return body;
}

TEST(WebhookResult, IsAlwaysTakenByTheDatabase) {
  const test::Database database(test::required_environment("RELEVO_TEST_POSTGRES"));
  auto connection = database.connect();
  std::mt19937 random(1);
  std::vector<std::string> bodies{std::string(100, '[') + std::string(100, ']'),
                                  "[0." + std::string(60, '0') + "1]", "1.7976931348623157e308",
                                  "5e-324", "{\"a\":1,\"a\":2}"};
  for (int i = 0; i < 20'000; ++i) bodies.push_back(odd_body(random));
  int stored = 0;
  for (const auto& body : bodies) {
    if (const auto result = json_result(body)) {
      EXPECT_NO_THROW(connection.query("SELECT $1::jsonb", {*result})) << body;
      ++stored;
    }
    EXPECT_NO_THROW(connection.query("SELECT $1::text", {first_line(body)})) << body;
  }
  EXPECT_GT(stored, 500) << "hardly any body was JSON: this run has shown nothing";
}

}  // namespace
}  // namespace relevo::webhook
