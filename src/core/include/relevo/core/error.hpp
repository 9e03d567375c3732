// A fault of infrastructure, translated from the library that met it by exactly one function per
// adapter. The kind says what the caller does; loops and thread entries catch it, nobody in
// between.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace relevo::core {

enum class ErrorKind {
  kDisconnected,   // connection lost or never made; wait and connect again
  kOverloaded,     // the other side asks for less; back off
  kRejected,       // this request will not be accepted as it is
  kConflict,       // somebody else changed the same thing; read again
  kMisconfigured,  // wrong for good (password, database name): a person must act
};

std::string_view to_string(ErrorKind kind);

class IntegrationError : public std::runtime_error {
 public:
  // operation: what was tried ("query page", "create topic orders"). detail: what the other side
  // said, without payloads or secrets.
  IntegrationError(ErrorKind kind, std::string operation, std::string detail);

  ErrorKind kind() const { return kind_; }
  const std::string& operation() const { return operation_; }
  const std::string& detail() const { return detail_; }

 private:
  ErrorKind kind_;
  std::string operation_;
  std::string detail_;
};

}  // namespace relevo::core
