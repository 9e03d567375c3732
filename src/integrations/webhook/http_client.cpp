#include "relevo/webhook/http_client.hpp"

#include <curl/curl.h>
#include <pthread.h>

#include <csignal>
#include <map>
#include <new>
#include <stdexcept>
#include <utility>

#include "relevo/core/invariant.hpp"
#include "transfer.hpp"

namespace relevo::webhook {
namespace {

constexpr int kLookEveryMs = 1'000;
constexpr long kConnectionsKept = 256;

struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

std::string part_of(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return {};
  const std::unique_ptr<char, decltype(&curl_free)> owned(text, &curl_free);
  return text;
}

HttpAnswer given_up() {
  HttpAnswer answer;
  answer.detail = "the client has stopped";
  return answer;
}

}  // namespace

std::string_view to_string(HttpFailure failure) {
  switch (failure) {
    case HttpFailure::kNone: return "none";
    case HttpFailure::kAddressRefused: return "address_refused";
    case HttpFailure::kResolve: return "resolve";
    case HttpFailure::kConnect: return "connect";
    case HttpFailure::kTls: return "tls";
    case HttpFailure::kTimeout: return "timeout";
    case HttpFailure::kReset: return "reset";
    case HttpFailure::kProtocol: return "protocol";
    case HttpFailure::kGivenUp: return "given_up";
  }
  return "unknown";
}

void check_url(const std::string& url, bool allow_private) {
  const std::unique_ptr<CURLU, UrlDeleter> parsed(curl_url());
  if (!parsed) throw std::bad_alloc();
  const CURLUcode code =
      curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), CURLU_NON_SUPPORT_SCHEME);
  if (code != CURLUE_OK) {
    throw std::invalid_argument(std::string("not a URL: ") + curl_url_strerror(code));
  }
  const auto scheme = part_of(parsed.get(), CURLUPART_SCHEME);
  if (scheme != "https" && scheme != "http") {
    throw std::invalid_argument("must begin with https:// or http://");
  }
  if (scheme == "http" && !allow_private) {
    throw std::invalid_argument("must begin with https:// (http needs allow_private)");
  }
  for (const auto part : {CURLUPART_USER, CURLUPART_PASSWORD}) {
    if (!part_of(parsed.get(), part).empty()) {
      throw std::invalid_argument("must not contain a user name or password");
    }
  }
}

// What only the client's thread touches.
class HttpClient::Loop {
 public:
  Loop() : multi_(curl_multi_init(), &curl_multi_cleanup) {
    if (!multi_) throw std::bad_alloc();
    curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, kConnectionsKept);
  }

  // The one call for other threads.
  void wake() { curl_multi_wakeup(multi_.get()); }

  void add(std::unique_ptr<Transfer> transfer) {
    check(curl_multi_add_handle(multi_.get(), transfer->handle()));
    const auto ticket = transfer->ticket();
    transfers_.emplace(ticket, std::move(transfer));
  }

  void cancel(Ticket ticket) {
    const auto found = transfers_.find(ticket);
    if (found != transfers_.end()) take(found)->give_up();
  }

  void cancel_all() {
    while (!transfers_.empty()) take(transfers_.begin())->give_up();
  }

  void turn() {
    int running = 0;
    check(curl_multi_perform(multi_.get(), &running));
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;  // `message` is gone with its handle
      char* transfer = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
      take(transfers_.find(reinterpret_cast<Transfer*>(transfer)->ticket()))->finish(code);
    }
  }

  void wait() { check(curl_multi_poll(multi_.get(), nullptr, 0, kLookEveryMs, nullptr)); }

 private:
  using Transfers = std::map<Ticket, std::unique_ptr<Transfer>>;

  // Out of libcurl's hands before its owner hears of it.
  std::unique_ptr<Transfer> take(Transfers::iterator found) {
    RELEVO_INVARIANT(found != transfers_.end(), "libcurl knows only what add() gave it");
    auto transfer = std::move(found->second);
    transfers_.erase(found);
    check(curl_multi_remove_handle(multi_.get(), transfer->handle()));
    return transfer;
  }

  static void check(CURLMcode code) {
    if (code == CURLM_OUT_OF_MEMORY) throw std::bad_alloc();
    RELEVO_INVARIANT(code == CURLM_OK, curl_multi_strerror(code));
  }

  std::unique_ptr<CURLM, decltype(&curl_multi_cleanup)> multi_;
  Transfers transfers_;
};

HttpClient::HttpClient(Options options) : options_(std::move(options)) {
  // Counted by libcurl, and safe beside other threads since 7.84.
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) throw std::bad_alloc();
}

HttpClient::~HttpClient() {
  stop();
  curl_global_cleanup();
}

void HttpClient::start() {
  const std::lock_guard life(life_);
  if (thread_.joinable()) return;
  auto loop = std::make_unique<Loop>();
  {
    const std::lock_guard lock(mutex_);
    loop_ = std::move(loop);
    accepting_ = true;
  }
  // OpenSSL writes to sockets without MSG_NOSIGNAL; other signals are for other threads.
  sigset_t all{};
  sigset_t before{};
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void HttpClient::stop() {
  const std::lock_guard life(life_);
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    accepting_ = false;
    loop_->wake();
  }
  thread_.join();
  const std::lock_guard lock(mutex_);
  loop_.reset();
}

HttpClient::Ticket HttpClient::send(HttpRequest request, Answered answered) {
  {
    const std::lock_guard lock(mutex_);
    if (accepting_) {
      const auto ticket = ++last_ticket_;
      put([this, ticket, request = std::move(request), answered = std::move(answered)]() mutable {
        loop_->add(
            std::make_unique<Transfer>(ticket, std::move(request), std::move(answered), options_));
      });
      return ticket;
    }
  }
  answered(given_up());
  return 0;
}

void HttpClient::cancel(Ticket ticket) {
  const std::lock_guard lock(mutex_);
  if (accepting_) put([this, ticket] { loop_->cancel(ticket); });
}

void HttpClient::post(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (accepting_) {
      put(std::move(work));
      return;
    }
  }
  work();
}

void HttpClient::put(std::function<void()> work) {
  if (inbox_.empty()) loop_->wake();
  inbox_.push_back(std::move(work));
}

void HttpClient::run() {
  while (work_off()) {
    loop_->turn();
    loop_->wait();
  }
  loop_->cancel_all();
}

bool HttpClient::work_off() {
  std::vector<std::function<void()>> work;
  bool going = true;
  {
    const std::lock_guard lock(mutex_);
    work.swap(inbox_);
    going = accepting_;
  }
  for (const auto& item : work) item();
  return going;
}

}  // namespace relevo::webhook
