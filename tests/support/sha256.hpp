// The digest that PostgreSQL's sha256() writes beside each event of the truth table.
#pragma once

#include <string>
#include <string_view>

namespace relevo::test {

std::string sha256_hex(std::string_view bytes);

}  // namespace relevo::test
