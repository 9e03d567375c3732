#include "cli/command_line.hpp"

int main(int argc, char** argv) { return relevo::cli::run(argc, argv); }
