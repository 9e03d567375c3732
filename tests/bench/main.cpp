// The measuring half of scripts/bench, which starts the servers. One JSON object on standard
// output.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "jobs.hpp"
#include "latency.hpp"
#include "relay.hpp"
#include "surroundings.hpp"

int main(int argc, char** argv) {
  using namespace relevo::bench;
  Options options;
  int seconds = static_cast<int>(options.duration.count());
  CLI::App app{"relevo_bench"};
  app.require_subcommand(1);
  app.add_option("--postgres", options.postgres)->required();
  app.add_option("--kafka", options.kafka);
  app.add_option("--kafka-version", options.kafka_version);
  app.add_option("--runs", options.runs)->check(CLI::Range(1, 100));
  auto* relay = app.add_subcommand("relay");
  relay->add_option("--events", options.events)->check(CLI::Range(1'000, 100'000'000));
  auto* latency = app.add_subcommand("latency");
  latency->add_option("--rate", options.rate)->check(CLI::Range(1, 100'000));
  latency->add_option("--seconds", seconds)->check(CLI::Range(1, 3'600));
  latency->add_option("--writers", options.writers)->check(CLI::Range(1, 100));
  auto* jobs = app.add_subcommand("jobs");
  jobs->add_option("--jobs", options.jobs)->check(CLI::Range(1'000, 100'000'000));
  jobs->add_option("--jobs-backlog", options.backlog)->check(CLI::Range(1'000, 100'000'000));
  jobs->add_option("--jobs-future", options.future)->check(CLI::Range(1'000, 100'000'000));
  jobs->add_option("--only", options.only)
      ->delimiter(',')
      ->check(CLI::IsMember(job_measurements()));
  jobs->add_option("--worker", options.worker)->required();
  jobs->add_option("--consumer", options.consumer)->required();
  jobs->add_option("--peers", options.peers)->required();
  jobs->add_option("--rate", options.rate)->check(CLI::Range(2, 100'000));
  jobs->add_option("--seconds", seconds)->check(CLI::Range(1, 3'600));
  for (auto* command : {relay, latency, jobs}) command->fallthrough();
  CLI11_PARSE(app, argc, argv);
  options.duration = std::chrono::seconds(seconds);

  try {
    auto result = relay->parsed()     ? measure_relay(options)
                  : latency->parsed() ? measure_latency(options)
                                      : measure_jobs(options);
    if (!jobs->parsed()) result["settings"] = settings(options);
    result["versions"].update(versions(options));
    std::printf("%s\n", result.dump(2).c_str());
    return has_failed(result) ? 1 : 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench: %s\n", error.what());
    return 1;
  }
}
