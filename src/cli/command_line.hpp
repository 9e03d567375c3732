// The command line of relevo. Data goes to standard output, everything else to standard error.
#pragma once

namespace relevo::cli {

// Returns the exit code (relevo::exit_code).
int run(int argc, char** argv);

}  // namespace relevo::cli
