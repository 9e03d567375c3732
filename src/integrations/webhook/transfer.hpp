// One request on its way, and what has come back of it so far. Lives on the client's thread;
// libcurl holds pointers into it until it is gone.
#pragma once

#include <curl/curl.h>

#include <array>
#include <memory>
#include <string>

#include "relevo/webhook/http_client.hpp"

namespace relevo::webhook {

class Transfer {
 public:
  Transfer(HttpClient::Ticket ticket, HttpRequest request, HttpClient::Answered answered,
           const HttpClient::Options& options);
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  CURL* handle() const { return handle_.get(); }
  HttpClient::Ticket ticket() const { return ticket_; }
  void finish(CURLcode code);
  void give_up();

 private:
  void set_request();
  void set_limits(const HttpClient::Options& options);
  void set_callbacks();

  static std::size_t take_body(char* data, std::size_t, std::size_t size, void* self);
  static std::size_t take_header(char* data, std::size_t, std::size_t size, void* self);
  static curl_socket_t open_socket(void* self, curlsocktype, curl_sockaddr* address);
  static int before_request(void* self, char* address, char*, int, int);

  HttpFailure failure_of(CURLcode code) const;
  std::string detail_of(CURLcode code) const;

  const HttpClient::Ticket ticket_;
  const HttpRequest request_;
  const HttpClient::Answered answered_;
  HttpAnswer answer_;
  std::size_t head_bytes_ = 0;
  bool head_too_large_ = false;
  std::string refused_address_;
  std::array<char, CURL_ERROR_SIZE> error_{};
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers_{nullptr,
                                                                       &curl_slist_free_all};
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle_;  // last: uses all of the above
};

}  // namespace relevo::webhook
