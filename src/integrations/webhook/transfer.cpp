#include "transfer.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <new>

#include "relevo/core/invariant.hpp"
#include "relevo/core/public_address.hpp"

namespace relevo::webhook {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr milliseconds kConnectTimeout{10'000};
constexpr std::string_view kRetryAfter = "retry-after:";

template <class Value>
void set(CURL* handle, CURLoption option, Value value) {
  const CURLcode code = curl_easy_setopt(handle, option, value);
  if (code == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
  RELEVO_INVARIANT(code == CURLE_OK, curl_easy_strerror(code));
}

microseconds time_of(CURL* handle, CURLINFO which) {
  curl_off_t time = 0;
  curl_easy_getinfo(handle, which, &time);
  return microseconds(time);
}

bool starts_with_name(std::string_view line, std::string_view name) {
  return line.size() >= name.size() &&
         std::equal(name.begin(), name.end(), line.begin(), [](char a, char b) {
           return a == std::tolower(static_cast<unsigned char>(b));
         });
}

}  // namespace

Transfer::Transfer(HttpClient::Ticket ticket, HttpRequest request, HttpClient::Answered answered,
                   const HttpClient::Options& options)
    : ticket_(ticket),
      request_(std::move(request)),
      answered_(std::move(answered)),
      handle_(curl_easy_init(), &curl_easy_cleanup) {
  if (!handle_) throw std::bad_alloc();
  set_request();
  set_limits(options);
  set_callbacks();
}

void Transfer::set_request() {
  for (const auto& header : request_.headers) {
    auto* const longer = curl_slist_append(headers_.get(), header.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    (void)headers_.release();
    headers_.reset(longer);
  }
  set(handle(), CURLOPT_URL, request_.url.c_str());
  set(handle(), CURLOPT_POST, 1L);
  set(handle(), CURLOPT_POSTFIELDS, request_.body.data());
  set(handle(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
  set(handle(), CURLOPT_HTTPHEADER, headers_.get());
  set(handle(), CURLOPT_USERAGENT, "relevo/" RELEVO_VERSION);
  // One call a connection: the end of one says something about that call only.
  set(handle(), CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  // An empty string is "none"; without it libcurl follows http_proxy and its like. A proxy would
  // resolve names itself, and no address could be checked here.
  set(handle(), CURLOPT_PROXY, "");
}

void Transfer::set_limits(const HttpClient::Options& options) {
  set(handle(), CURLOPT_PROTOCOLS_STR, request_.allow_private ? "http,https" : "https");
  set(handle(), CURLOPT_FOLLOWLOCATION, 0L);
  set(handle(), CURLOPT_SSL_VERIFYPEER, 1L);
  set(handle(), CURLOPT_SSL_VERIFYHOST, 2L);
  set(handle(), CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
  if (!options.ca_file.empty()) {
    set(handle(), CURLOPT_CAINFO, options.ca_file.c_str());
    set(handle(), CURLOPT_CAPATH, nullptr);
  }
  set(handle(), CURLOPT_TIMEOUT_MS, long{std::max(request_.timeout, milliseconds(1)).count()});
  set(handle(), CURLOPT_CONNECTTIMEOUT_MS, long{kConnectTimeout.count()});
  set(handle(), CURLOPT_NOSIGNAL, 1L);
  // A name server that does not answer would otherwise hold up the thread when the time is over:
  // libcurl waits for the end of getaddrinfo().
  set(handle(), CURLOPT_QUICK_EXIT, 1L);
}

void Transfer::set_callbacks() {
  set(handle(), CURLOPT_PRIVATE, this);
  set(handle(), CURLOPT_ERRORBUFFER, error_.data());
  set(handle(), CURLOPT_WRITEFUNCTION, &Transfer::take_body);
  set(handle(), CURLOPT_WRITEDATA, this);
  set(handle(), CURLOPT_HEADERFUNCTION, &Transfer::take_header);
  set(handle(), CURLOPT_HEADERDATA, this);
  if (request_.allow_private) return;
  set(handle(), CURLOPT_OPENSOCKETFUNCTION, &Transfer::open_socket);
  set(handle(), CURLOPT_OPENSOCKETDATA, this);
  set(handle(), CURLOPT_PREREQFUNCTION, &Transfer::before_request);
  set(handle(), CURLOPT_PREREQDATA, this);
}

// Less than `size` ends the transfer.
std::size_t Transfer::take_body(char* data, std::size_t, std::size_t size, void* self) {
  auto& answer = static_cast<Transfer*>(self)->answer_;
  const auto room = HttpClient::kBodyLimit - answer.body.size();
  answer.body.append(data, std::min(size, room));
  answer.body_cut = size > room;
  return answer.body_cut ? 0 : size;
}

std::size_t Transfer::take_header(char* data, std::size_t, std::size_t size, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  transfer.head_bytes_ += size;
  transfer.head_too_large_ = transfer.head_bytes_ > HttpClient::kHeadLimit;
  std::string_view line(data, size);
  if (starts_with_name(line, kRetryAfter)) {
    line.remove_prefix(kRetryAfter.size());
    transfer.answer_.retry_after = line.substr(0, line.find_first_of("\r\n"));
  }
  return transfer.head_too_large_ ? 0 : size;
}

// Between the check and the connection nothing is resolved again, so a name cannot change under it.
curl_socket_t Transfer::open_socket(void* self, curlsocktype, curl_sockaddr* address) {
  if (!core::is_public(address->addr)) {
    static_cast<Transfer*>(self)->refused_address_ = core::address_text(address->addr);
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// A connection that was kept may have been made for an endpoint with other rules.
int Transfer::before_request(void* self, char* address, char*, int, int) {
  if (core::is_public(address)) return CURL_PREREQFUNC_OK;
  static_cast<Transfer*>(self)->refused_address_ = address;
  return CURL_PREREQFUNC_ABORT;
}

void Transfer::finish(CURLcode code) {
  long status = 0;
  curl_easy_getinfo(handle(), CURLINFO_RESPONSE_CODE, &status);
  answer_.failure = failure_of(code);
  answer_.status = static_cast<int>(status);
  answer_.sent = time_of(handle(), CURLINFO_PRETRANSFER_TIME_T) > microseconds(0);
  answer_.duration = time_of(handle(), CURLINFO_TOTAL_TIME_T);
  if (answer_.failure != HttpFailure::kNone) answer_.detail = detail_of(code);
  answered_(std::move(answer_));
}

void Transfer::give_up() {
  answer_.failure = HttpFailure::kGivenUp;
  answer_.sent = time_of(handle(), CURLINFO_PRETRANSFER_TIME_T) > microseconds(0);
  answer_.duration = time_of(handle(), CURLINFO_TOTAL_TIME_T);
  answer_.detail = "given up";
  answered_(std::move(answer_));
}

HttpFailure Transfer::failure_of(CURLcode code) const {
  // A body beyond the limit is not read on; the status stands.
  if (code == CURLE_WRITE_ERROR && answer_.body_cut && !head_too_large_) return HttpFailure::kNone;
  if (code != CURLE_OK && !refused_address_.empty()) return HttpFailure::kAddressRefused;
  switch (code) {
    case CURLE_OK: return HttpFailure::kNone;
    case CURLE_COULDNT_RESOLVE_HOST: return HttpFailure::kResolve;
    case CURLE_COULDNT_CONNECT: return HttpFailure::kConnect;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_ENGINE_INITFAILED: return HttpFailure::kTls;
    case CURLE_OPERATION_TIMEDOUT: return HttpFailure::kTimeout;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE: return HttpFailure::kReset;
    default: return HttpFailure::kProtocol;
  }
}

std::string Transfer::detail_of(CURLcode code) const {
  if (!refused_address_.empty()) return "address " + refused_address_ + " is not public";
  if (head_too_large_) return "the headers of the answer are too large";
  return error_.front() != '\0' ? error_.data() : curl_easy_strerror(code);
}

}  // namespace relevo::webhook
