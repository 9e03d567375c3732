#include "support/tls_server.hpp"

#include <httplib.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <stdexcept>

#include "support/eventually.hpp"

namespace relevo::test {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

void require(bool done, const char* what) {
  if (!done) throw std::runtime_error(what);
}

// Signed by itself, hence its own authority.
Certificate certificate_for(EVP_PKEY* key, const char* names) {
  Certificate certificate(X509_new(), &X509_free);
  X509* const x509 = certificate.get();
  X509_set_version(x509, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
  X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
  X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
  X509_set_pubkey(x509, key);
  X509_NAME* const name = X509_get_subject_name(x509);
  const unsigned char common_name[] = "relevo test";
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, common_name, -1, -1, 0);
  X509_set_issuer_name(x509, name);
  const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> alternatives(
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names), &X509_EXTENSION_free);
  require(alternatives && X509_add_ext(x509, alternatives.get(), -1) == 1, "subjectAltName");
  require(X509_sign(x509, key, EVP_sha256()) > 0, "sign the certificate");
  return certificate;
}

// No pointer to std::fclose: its type carries attributes, which a template argument would lose.
struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

void write(X509* certificate, const std::string& path) {
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "w"));
  require(file && PEM_write_X509(file.get(), certificate) == 1, "write the certificate");
}

}  // namespace

class TlsServer::Server : public httplib::SSLServer {
 public:
  using httplib::SSLServer::SSLServer;
};

TlsServer::TlsServer() {
  const Key key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  require(key != nullptr, "make a key");
  const auto certificate = certificate_for(key.get(), "DNS:localhost");
  write(certificate.get(), certificate_file());
  server_ = std::make_unique<Server>(certificate.get(), key.get());
  server_->Post("/", [this](const httplib::Request&, httplib::Response&) { ++requests_; });
  const int port = server_->bind_to_any_port("127.0.0.1");
  require(port > 0, "bind");
  port_ = static_cast<std::uint16_t>(port);
  thread_ = std::thread([this] { server_->listen_after_bind(); });
  require(eventually(std::chrono::seconds(10), [this] { return server_->is_running(); }), "listen");
}

TlsServer::~TlsServer() {
  server_->stop();
  thread_.join();
}

std::string TlsServer::url(const std::string& host) const {
  return "https://" + host + ":" + std::to_string(port_) + "/";
}

}  // namespace relevo::test
