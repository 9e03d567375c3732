// The examples in other languages, run as they are and called as relevo calls them.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "relevo/webhook/endpoint.hpp"
#include "relevo/webhook/http_job_handler.hpp"
#include "support/eventually.hpp"
#include "support/process.hpp"
#include "support/relay_fakes.hpp"
#include "support/webhook_fakes.hpp"

namespace relevo::webhook {
namespace {

using namespace std::chrono_literals;
using test::describe;

constexpr const char* kSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
constexpr const char* kOtherSecret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

class ShiftedClock final : public core::Clock {
 public:
  core::BootTime now() const override { return core::system_clock().now(); }
  core::WallTime wall() const override { return core::system_clock().wall() + shift; }

  std::chrono::minutes shift{0};
};

struct Example {
  std::string language;
  std::vector<std::string> command;
};

std::ostream& operator<<(std::ostream& out, const Example& example) {
  return out << example.language;
}

class HandlerInAnotherLanguage : public testing::TestWithParam<Example> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(GetParam().command.front())) {
      GTEST_SKIP() << GetParam().command.front() << " is not installed";
    }
    const auto file = directory_.path() / "secret";
    std::ofstream(file) << kOtherSecret << '\n' << kSecret << '\n';
    auto command = GetParam().command;
    command.insert(command.end(), {"--port", "0", "--secret-file", file.string()});
    handler_.emplace(command);
    ASSERT_TRUE(test::eventually(
        20s, [&] { return !handler_->running() || handler_->standard_output().ends_with('\n'); }));
    const auto port = handler_->standard_output();
    ASSERT_TRUE(port.ends_with('\n')) << handler_->standard_error();
    url_ = "http://127.0.0.1:" + port.substr(0, port.size() - 1) + "/";
    client_.start();
  }
  void TearDown() override { client_.stop(); }

  EndpointOptions options() const {
    EndpointOptions options;
    options.name = GetParam().language;
    options.url = url_;
    options.secret = kSecret;
    options.allow_private = true;
    return options;
  }

  std::string outcome(const EndpointOptions& options, worker::JobId id, std::string_view payload,
                      std::string_view kind = "mail.send") {
    HttpEndpoint endpoint(options, client_, metrics_, log_, clock_);
    HttpJobHandler handler(endpoint);
    worker::Job job;
    job.id = id;
    job.kind = kind;
    job.queue = "default";
    job.payload = payload;
    job.headers = "{}";
    test::Mailbox<worker::Outcome> outcomes;
    handler.start(job, 20s, [&](worker::Outcome given) { outcomes.put(std::move(given)); });
    const auto given = outcomes.take(30s);
    return given ? describe(*given) : "none in time";
  }

  test::TemporaryDirectory directory_{"relevo-handler-"};
  std::optional<test::Process> handler_;
  std::string url_;
  ShiftedClock clock_;
  test::QuietLog log_;
  test::RememberingEndpointMetrics metrics_;
  HttpClient client_;
};

// JSON writers differ in spaces.
std::string without_spaces(std::string text) {
  std::erase(text, ' ');
  return text;
}

TEST_P(HandlerInAnotherLanguage, DoesAJobOnce) {
  EXPECT_EQ(without_spaces(outcome(options(), 1, R"({"to": "ñ"})")).substr(0, 14),
            R"(done{"sent_to")");
  EXPECT_EQ(without_spaces(outcome(options(), 2, R"({"to": "b"})")), R"(done{"sent_to":"b"})");
  // The same job again: its first result, whatever the payload says now.
  EXPECT_EQ(without_spaces(outcome(options(), 2, R"({"to": "c"})")), R"(done{"sent_to":"b"})");
  const std::string large(200'000, 'x');
  EXPECT_TRUE(
      outcome(options(), 3, R"({"to": "b", "text": ")" + large + "\"}").starts_with("done"));
}

TEST_P(HandlerInAnotherLanguage, RefusesWhatItCannotDo) {
  for (const auto* payload :
       {"{}", "{", "5", "null", "true", R"("to")", "[]", R"(["to"])", R"({"to": null})"}) {
    EXPECT_TRUE(outcome(options(), 1, payload).starts_with("retry HTTP 422: ")) << payload;
  }
  EXPECT_TRUE(outcome(options(), 1, "{}", "mail.burn").starts_with("retry HTTP 404: "));
  EXPECT_TRUE(outcome(options(), 1, "{}", "constructor").starts_with("retry HTTP 404: "));
  // What failed is not remembered as done.
  EXPECT_TRUE(outcome(options(), 1, R"({"to": "b"})").starts_with("done "));
}

TEST_P(HandlerInAnotherLanguage, RefusesWhatIsNotSignedOrNotNow) {
  auto forged = options();
  forged.secret = "whsec_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";
  EXPECT_TRUE(outcome(forged, 1, R"({"to": "b"})").starts_with("retry HTTP 401: "));
  auto other = options();
  other.secret = kOtherSecret;
  EXPECT_TRUE(outcome(other, 1, R"({"to": "b"})").starts_with("done "));
  for (const auto shift : {-6min, 6min}) {
    clock_.shift = shift;
    EXPECT_TRUE(outcome(options(), 2, R"({"to": "b"})").starts_with("retry HTTP 401: "));
  }
  clock_.shift = 4min;
  EXPECT_TRUE(outcome(options(), 2, R"({"to": "b"})").starts_with("done "));
}

const std::string kExamples = RELEVO_SOURCE_DIR "/examples/handlers/";

INSTANTIATE_TEST_SUITE_P(
    Examples, HandlerInAnotherLanguage,
    testing::Values(Example{"python", {"/usr/bin/python3", kExamples + "python/handler.py"}},
                    Example{"node", {"/usr/bin/node", kExamples + "node/handler.mjs"}}),
    [](const auto& example) { return example.param.language; });

}  // namespace
}  // namespace relevo::webhook
