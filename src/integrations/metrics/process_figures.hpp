// What the kernel knows about this process, from /proc; a figure that cannot be read is 0.
#pragma once

namespace relevo::metrics {

struct ProcessFigures {
  double resident_bytes = 0;
  double cpu_seconds = 0;
  double start_time_seconds = 0;  // since 1970
  double open_descriptors = 0;
  double threads = 0;
};

ProcessFigures read_process_figures();

}  // namespace relevo::metrics
