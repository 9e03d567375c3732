// Bodies of the answers.
#pragma once

#include <string>
#include <string_view>

#include "relevo/http/health.hpp"

namespace relevo::http {

std::string health_text(const Health& health);
std::string health_json(const Health& health);
std::string index_html(std::string_view title);

}  // namespace relevo::http
