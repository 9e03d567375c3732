#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "relevo/webhook/header_value.hpp"
#include "relevo/webhook/result.hpp"
#include "relevo/webhook/retry_after.hpp"

namespace relevo::webhook {
namespace {

using namespace std::chrono_literals;

TEST(RetryAfter, IsReadStrictly) {
  constexpr core::WallTime kNow{784111777s};  // Sun, 06 Nov 1994 08:49:37 GMT
  const std::vector<std::pair<std::string, std::optional<std::chrono::milliseconds>>> cases{
      {"0", 0ms},
      {"1", 1s},
      {" 120\t", 120s},
      {"0000000000000000000000000000060", 60s},
      {"86400", 24h},
      {"86401", 24h},
      {"9223372036854775807", 24h},
      {"99999999999999999999999999", 24h},
      {"Sun, 06 Nov 1994 08:49:37 GMT", 0ms},
      {"Sun, 06 Nov 1994 08:50:07 GMT", 30s},
      {"Sun, 06 Nov 1994 08:49:07 GMT", 0ms},
      {"Thu, 01 Jan 1970 00:00:00 GMT", 0ms},
      {"Mon, 01 Jan 0000 00:00:00 GMT", 0ms},
      {"Fri, 31 Dec 9999 23:59:59 GMT", 24h},
      {"", std::nullopt},
      {" ", std::nullopt},
      {"-1", std::nullopt},
      {"+1", std::nullopt},
      {"1.5", std::nullopt},
      {"1e3", std::nullopt},
      {"0x10", std::nullopt},
      {"30s", std::nullopt},
      {"30, 60", std::nullopt},
      {"soon", std::nullopt},
      {"Sun, 06 Nov 1994 08:50:07 CET", std::nullopt},
      {"Sun, 06 nov 1994 08:50:07 GMT", std::nullopt},
      {"Sun, 31 Feb 1994 08:50:07 GMT", std::nullopt},
      {"Sun, 06 Nov 1994 24:00:00 GMT", std::nullopt},
      {"Sun, 06 Nov 1994 08:50:07 GMT+1", std::nullopt},
      {"Sunday, 06-Nov-94 08:49:37 GMT", std::nullopt},
      {std::string("12\0", 3), std::nullopt}};
  for (const auto& [text, wait] : cases) EXPECT_EQ(retry_after(text, kNow), wait) << text;
}

TEST(JsonResult, IsOnlyWhatTheDatabaseTakes) {
  for (const std::string& body :
       {std::string("{}"), std::string(" [1, -2.5e3, 0.0, null, true]\n"),
        std::string(R"({"a":"ñ\n\ud83d\ude00"})"), std::string("123456789012345678901234567890"),
        std::string(100, '[') + std::string(100, ']'), std::string("1e300")}) {
    EXPECT_EQ(json_result(body), body);
  }
  for (const std::string& body :
       {std::string(), std::string("ok"), std::string("<html>"), std::string("{}{}"),
        std::string("{"), std::string("\xef\xbb\xbf{}"), std::string("\"\xff\""),
        std::string(R"("\u0000")"), std::string(R"({"\u0000":1})"), std::string(R"("\ud800")"),
        std::string(101, '[') + std::string(101, ']'), std::string(60'000, '['),
        std::string("1e400"), std::string("1e-400000"), "0." + std::string(60'000, '0') + "1",
        std::string("NaN"), std::string("{\"a\":1}\0", 8), std::string("\x1f\x8b\x08gzip")}) {
    EXPECT_EQ(json_result(body), std::nullopt) << body.substr(0, 40);
  }
}

TEST(FirstLine, IsShortPrintableText) {
  EXPECT_EQ(first_line(""), "");
  EXPECT_EQ(first_line("no such order\nat handler.py:12"), "no such order");
  EXPECT_EQ(first_line("a\tb\x01"
                       "c\r\nd"),
            "a b c");
  EXPECT_EQ(first_line(std::string("a\0b", 3)), "a b");
  EXPECT_EQ(first_line("señal \xff\xc3"), "señal ");
  EXPECT_EQ(first_line(std::string(199, 'x') + "ñ"), std::string(199, 'x'));
  EXPECT_EQ(first_line(std::string(70'000, 'x')).size(), 200U);
}

TEST(HeaderValue, CannotStartAnotherHeader) {
  EXPECT_EQ(header("relevo-kind", "mail.send"), "relevo-kind: mail.send");
  EXPECT_EQ(header("relevo-kind", "a\r\nx-admin: 1"), "relevo-kind: a%0D%0Ax-admin:%201");
  EXPECT_EQ(header("relevo-tenant", "café 100%"), "relevo-tenant: caf%C3%A9%20100%25");
  EXPECT_EQ(header("ce-source", std::string("\"\0", 2)), "ce-source: %22%00");
}

TEST(WebhookId, HasNoDotsAndStaysUnique) {
  EXPECT_EQ(webhook_id("0190f5d2-7b1c-7c3e"), "0190f5d2-7b1c-7c3e");
  EXPECT_EQ(webhook_id("a.b"), "a%2Eb");
  EXPECT_EQ(webhook_id("a%2Eb"), "a%252Eb");
}

TEST(HeaderName, IsCheckedBeforeItIsCopied) {
  for (const char* name : {"ce-id", "ce-x1"}) EXPECT_TRUE(is_header_name(name)) << name;
  for (const char* name : {"", "ce id", "ce-id:", "ce-\r\n", "CE-ID", "ce_id"})
    EXPECT_FALSE(is_header_name(name)) << name;
}

}  // namespace
}  // namespace relevo::webhook
