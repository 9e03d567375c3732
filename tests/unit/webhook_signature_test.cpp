#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "relevo/webhook/signature.hpp"

namespace relevo::webhook {
namespace {

using namespace std::chrono_literals;

// Published by Standard Webhooks.
constexpr std::string_view kSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
constexpr std::string_view kId = "msg_p5jXN8AQM9LWM0D4loKWxJek";
constexpr std::string_view kTimestamp = "1614265330";
constexpr std::string_view kBody = R"({"test": 2432232314})";
constexpr std::string_view kSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
constexpr core::WallTime kSent{1614265330s};

const SigningKey& key() {
  static const SigningKey key(kSecret);
  return key;
}

TEST(WebhookSignature, MatchesThePublishedVectors) {
  EXPECT_EQ(sign(key(), kId, kTimestamp, kBody), kSignature);
  EXPECT_EQ(sign(key(), kId, kTimestamp, R"({"test":2432232314})"),
            "v1,Vif40peJBP7Iyl0XGmu61n4MwdrcHov5CFREBpE0svs=");
  EXPECT_EQ(sign(SigningKey(kSecret.substr(6)), kId, kTimestamp, kBody), kSignature);
  EXPECT_EQ(timestamp(kSent + 999ms), kTimestamp);
}

TEST(WebhookSignature, IsVerified) {
  struct Case {
    std::string_view what, id, timestamp, signatures, body;
    std::chrono::seconds late;
    Verdict verdict;
  };
  const std::string other = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";
  const std::string listed =
      other + " v2,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= " + std::string(kSignature) + " " +
      other;
  const std::string bare(kSignature.substr(3));
  const std::string as_v2 = "v2," + bare;
  const std::string empty_body = sign(key(), kId, kTimestamp, "");
  using enum Verdict;
  const std::vector<Case> cases{
      {"as sent", kId, kTimestamp, kSignature, kBody, 0s, kGenuine},
      {"one of a list", kId, kTimestamp, listed, kBody, 0s, kGenuine},
      {"empty body", kId, kTimestamp, empty_body, "", 0s, kGenuine},
      {"five minutes late", kId, kTimestamp, kSignature, kBody, 300s, kGenuine},
      {"later", kId, kTimestamp, kSignature, kBody, 301s, kTooOld},
      {"five minutes early", kId, kTimestamp, kSignature, kBody, -300s, kGenuine},
      {"earlier", kId, kTimestamp, kSignature, kBody, -301s, kTooNew},
      {"body changed", kId, kTimestamp, kSignature, R"({"test":2432232314})", 0s, kForged},
      {"other id", "msg_other", kTimestamp, kSignature, kBody, 0s, kForged},
      {"other time", kId, "1614265331", kSignature, kBody, 0s, kForged},
      {"last character", kId, kTimestamp, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA=", kBody,
       0s, kForged},
      {"only the version", kId, kTimestamp, "v1,", kBody, 0s, kForged},
      {"no version", kId, kTimestamp, bare, kBody, 0s, kForged},
      {"unknown version", kId, kTimestamp, as_v2, kBody, 0s, kForged},
      {"spaces", kId, kTimestamp, "   ", kBody, 0s, kForged},
      {"no id", "", kTimestamp, kSignature, kBody, 0s, kMalformed},
      {"no time", kId, "", kSignature, kBody, 0s, kMalformed},
      {"no signature", kId, kTimestamp, "", kBody, 0s, kMalformed},
      {"time in words", kId, "hello", kSignature, kBody, 0s, kMalformed},
      {"time with a tail", kId, "1614265330 ", kSignature, kBody, 0s, kMalformed},
      {"negative time", kId, "-1614265330", kSignature, kBody, 0s, kMalformed},
      {"beyond any time", kId, "99999999999999999999", kSignature, kBody, 0s, kMalformed},
      {"at the end of time", kId, "9223372036854775807", kSignature, kBody, 0s, kTooNew}};
  for (const auto& c : cases) {
    EXPECT_EQ(verify(key(), c.id, c.timestamp, c.signatures, c.body, kSent + c.late), c.verdict)
        << c.what;
  }
}

TEST(WebhookSignature, RefusesASecretThatIsNoneAndDoesNotRepeatIt) {
  const auto base64_of = [](std::size_t bytes) {
    std::string text((bytes + 2) / 3 * 4, 'Q');
    for (std::size_t i = 0; i < (3 - bytes % 3) % 3; ++i) text[text.size() - 1 - i] = '=';
    return text;
  };
  for (const auto bytes : {24UL, 25UL, 26UL, 64UL}) EXPECT_NO_THROW(SigningKey{base64_of(bytes)});
  for (const std::string& secret :
       {std::string(), std::string("whsec_"), base64_of(23), base64_of(65), std::string("hunter2!"),
        base64_of(24) + "\n", base64_of(24).substr(1), "whsec_whsec_" + base64_of(24),
        base64_of(24) + "====", "=" + base64_of(24).substr(1)}) {
    try {
      SigningKey{secret};
      FAIL() << "taken: " << secret;
    } catch (const std::invalid_argument& error) {
      const std::string_view text(error.what());
      EXPECT_NE(text.find("signing secret"), std::string_view::npos) << text;
      if (secret.size() <= 6) continue;
      EXPECT_EQ(text.find(secret.substr(6)), std::string_view::npos) << text;
    }
  }
}

}  // namespace
}  // namespace relevo::webhook
