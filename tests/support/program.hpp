// The program as people call it: what it prints, and how it ends.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/database.hpp"
#include "support/process.hpp"

namespace relevo::test {

struct Outcome {
  int code = -1;  // stays so when it did not end in a minute
  std::string out;
  std::string err;
  std::chrono::milliseconds took{};
};
Outcome call(std::vector<std::string> arguments, const Process::Environment& environment = {});

// Its commands on a database of their own that is migrated, without Kafka.
class ProgramTest : public testing::Test {
 protected:
  // Of commands below this one, if any.
  explicit ProgramTest(std::vector<std::string> command = {});

  Process::Environment environment() const;
  Outcome call(std::vector<std::string> arguments) const;
  // As a user of the database who is a member of this role only.
  Outcome call_as(const std::string& role, std::vector<std::string> arguments);
  // Expects success without a word on standard error; returns standard output.
  std::string done(std::vector<std::string> arguments) const;
  nlohmann::json answer(std::vector<std::string> arguments) const;  // to --json
  // Expects one line that says what to do.
  void expect_refused(std::vector<std::string> arguments, int code, const std::string& hint) const;

  Database database_;
  Connection sql_;

 private:
  std::vector<std::string> under(std::vector<std::string> arguments) const;

  const std::vector<std::string> command_;
};

}  // namespace relevo::test
