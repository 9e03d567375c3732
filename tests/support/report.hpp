// What a fault test has counted, for people and for the documentation.
#pragma once

#include <string>

namespace relevo::test {

// Prints the line and appends it to the file that RELEVO_TEST_REPORT names.
void report(const std::string& line);

}  // namespace relevo::test
