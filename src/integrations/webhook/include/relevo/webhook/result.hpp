// Texts of an answer that go into PostgreSQL. What the database would refuse is sorted out here: in
// the transaction that ends the job an error would come again at each attempt.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace relevo::webhook {

// The body when it is JSON that fits jsonb; else nullopt, and the job has no result.
std::optional<std::string> json_result(std::string_view body);

// The first line, in valid UTF-8 without control characters, shortened.
std::string first_line(std::string_view body);

}  // namespace relevo::webhook
