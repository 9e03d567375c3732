#include "cli/explain.hpp"

#include <array>
#include <optional>
#include <string_view>

#include "daemon.hpp"

namespace relevo::cli {
namespace {

using core::ErrorKind;

struct Remedy {
  std::string_view sign;  // in the error's detail
  std::string_view advice;
};

// SQLSTATEs stand before the server's message; the rest are libpq's own words.
constexpr std::array kRemedies{
    Remedy{"28P01", "correct the user or password (database.url, database.password_file)"},
    Remedy{"28000", "let this user in by pg_hba.conf, or correct database.url"},
    Remedy{"3D000", "create the database, or correct its name in database.url"},
    Remedy{
        "42501",
        "make the user a member of the role it needs: relevo_relay for events, relevo_worker for "
        "jobs, schedules and messages, relevo_writer to publish and to enqueue, the owner to "
        "migrate (docs/database.md)"},
    Remedy{"42P01", "run `relevo migrate`"},
    Remedy{"42883", "run `relevo migrate`"},
    Remedy{"3F000", "run `relevo migrate`"},
    Remedy{"25006", "name the primary in database.url (target_session_attrs=read-write finds it)"},
    Remedy{"42P05",
           "set database.prepared_statements to false: a pooler between hands this connection's "
           "statements to others"},
    Remedy{"26000",
           "set database.prepared_statements to false: a pooler between hands this connection's "
           "statements to others"},
    Remedy{"22P02", "give valid JSON as payload"},
    Remedy{"22P05", "take \\u0000 out of the JSON: PostgreSQL cannot store it"},
    Remedy{"no password supplied", "set database.password_file, or the password in database.url"},
    Remedy{"Connection refused", "start PostgreSQL, or correct host and port in database.url"},
    Remedy{"could not translate host name", "correct the host in database.url"},
    Remedy{"connect_timeout", "check host, port and firewall of database.url"},
};

// A function of relevo refused an argument, and says which, why and what to do: "22023
// relevo.pause: queue: is empty; …". Neither our statement nor the function tells the caller of a
// command more.
std::optional<std::string_view> refusal(std::string_view detail) {
  static constexpr std::string_view kSign = "22023 relevo.";
  if (!detail.starts_with(kSign)) return std::nullopt;
  const auto colon = detail.find(": ");
  return colon == std::string_view::npos ? std::nullopt : std::optional(detail.substr(colon + 2));
}

}  // namespace

std::string advice(const core::IntegrationError& error) {
  for (const auto& [sign, text] : kRemedies) {
    if (error.detail().find(sign) != std::string::npos) return std::string(text);
  }
  return {};
}

bool is_not_permitted(const core::IntegrationError& error) {
  return error.detail().find("42501") != std::string::npos;  // SQLSTATE
}

std::string explain(const core::IntegrationError& error) {
  if (const auto message = refusal(error.detail())) return std::string(*message);
  const auto what_to_do = advice(error);
  return error.what() + (what_to_do.empty() ? "" : "; " + what_to_do);
}

int exit_code_of(const core::IntegrationError& error) {
  switch (error.kind()) {
    case ErrorKind::kMisconfigured: return exit_code::kMisconfigured;
    case ErrorKind::kDisconnected:
    case ErrorKind::kOverloaded: return exit_code::kUnavailable;
    case ErrorKind::kConflict: return exit_code::kFailed;
    case ErrorKind::kRejected: break;
  }
  // A schema that is not there is for `relevo migrate`, not for another try.
  return advice(error) == "run `relevo migrate`" ? exit_code::kMisconfigured : exit_code::kFailed;
}

}  // namespace relevo::cli
