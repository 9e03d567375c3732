#include "support/report.hpp"

#include <fstream>
#include <iostream>

#include "support/environment.hpp"

namespace relevo::test {

void report(const std::string& line) {
  std::cout << line << std::endl;
  if (const auto file = environment("RELEVO_TEST_REPORT")) {
    std::ofstream(*file, std::ios::app) << line << '\n';
  }
}

}  // namespace relevo::test
