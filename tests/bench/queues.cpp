#include "queues.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "relevo/worker/worker.hpp"
#include "support/daemon.hpp"
#include "support/environment.hpp"
#include "support/process.hpp"

namespace relevo::bench {
namespace {

// graphile-worker takes 24 and 500 for the figures it documents; 5,000 was at least as fast.
constexpr int kGraphileConcurrency = 24;
constexpr int kGraphileLocalQueue = 5'000;
// A fetch takes as many jobs as there are free workers.
constexpr int kRiverWorkers = 2'000;

std::string graphile(const Options& options) { return options.peers + "/graphile/"; }
std::string river(const Options& options) { return options.peers + "/river/"; }

std::optional<std::string> absent(const std::string& folder) {
  if (!std::filesystem::exists(folder)) return "not installed";
  std::ifstream reason(folder + "absent");
  if (!reason) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(reason), {});
}

}  // namespace

Queue relevo_queue(const Options& options, Lines history, const std::string& columns,
                   const std::string& values) {
  return {.name = "relevo",
          .create = [](const std::string& url) { test::migrate(url); },
          .fill = "INSERT INTO relevo.job (kind, payload" + columns +
                  ") SELECT 'noop', jsonb_build_object('n', n)" + values +
                  " FROM generate_series($1::bigint, $2::bigint) n",
          .enqueue = "SELECT relevo.enqueue($1, jsonb_build_object('due', $2::bigint))",
          .enqueue_many = "SELECT relevo.enqueue_many($1::jsonb)",
          .kind_field = "kind",
          .table = "relevo.job",
          .finished = "SELECT NOT EXISTS (SELECT FROM relevo.job)",
          .worker =
              [binary = options.worker, history](const std::string& url, int process) {
                return std::vector<std::string>{binary,
                                                "--postgres",
                                                url,
                                                "--name",
                                                "bench-" + std::to_string(process),
                                                "--history",
                                                history == Lines::kAll ? "all" : "failures"};
              }};
}

Queue graphile_queue(const Options& options, Batching batching) {
  const auto folder = graphile(options);
  const auto node = folder + "node_modules/.bin/node";
  return {
      .name = "graphile",
      .create =
          [=](const std::string& url) {
            test::run({node, folder + "node_modules/graphile-worker/dist/cli.js", "--schema-only",
                       "--connection", url});
          },
      .fill = R"(SELECT count(*) FROM graphile_worker.add_jobs((
                   SELECT array_agg(ROW('noop', json_build_object('n', n), NULL, NULL, NULL, NULL,
                                        NULL, NULL)::graphile_worker.job_spec)
                   FROM generate_series($1::bigint, $2::bigint) n)))",
      // Its own created_at is the start of the transaction, and milliseconds in JavaScript.
      .enqueue = R"(SELECT id FROM graphile_worker.add_job($1, json_build_object('due', $2::bigint,
                      'at', (extract(epoch FROM clock_timestamp()) * 1e6)::bigint)))",
      .enqueue_many = R"(SELECT id FROM graphile_worker.add_jobs(ARRAY(
                           SELECT json_populate_recordset(NULL::graphile_worker.job_spec,
                                                          $1::json))))",
      .kind_field = "identifier",
      .table = "graphile_worker._private_jobs",
      .finished = "SELECT NOT EXISTS (SELECT FROM graphile_worker._private_jobs)",
      .worker =
          [=](const std::string& url, int) {
            std::vector<std::string> command{node, folder + "worker.mjs", url,
                                             std::to_string(kGraphileConcurrency)};
            if (batching == Batching::kOn) command.push_back(std::to_string(kGraphileLocalQueue));
            return command;
          }};
}

// River keeps a job that is done for a day.
Queue river_queue(const Options& options) {
  const auto binary = river(options) + "river";
  return {.name = "river",
          .create =
              [=](const std::string& url) {
                test::run({binary, "migrate", url});
              },
          .fill = R"(INSERT INTO river_job (args, kind, max_attempts)
                 SELECT jsonb_build_object('n', n), 'noop', 25
                 FROM generate_series($1::bigint, $2::bigint) n)",
          .enqueue = R"(INSERT INTO river_job (args, kind, max_attempts)
                    VALUES (jsonb_build_object('n', $2::bigint), $1, 25))",
          .enqueue_many = R"(INSERT INTO river_job (args, kind, max_attempts)
                         SELECT j.payload, j.kind, 25
                         FROM jsonb_to_recordset($1::jsonb) j (kind text, payload jsonb))",
          .kind_field = "kind",
          .table = "river_job",
          .finished =
              "SELECT NOT EXISTS (SELECT FROM river_job WHERE state IN ('available', 'running'))",
          .worker =
              [=](const std::string& url, int) {
                return std::vector<std::string>{binary, "work", url, std::to_string(kRiverWorkers)};
              }};
}

std::optional<std::string> graphile_absent(const Options& options) {
  return absent(graphile(options));
}

std::optional<std::string> river_absent(const Options& options) { return absent(river(options)); }

nlohmann::ordered_json queue_settings() {
  const worker::Options relevo;
  return {{"relevo",
           {{"threads", relevo.threads},
            {"lanes", relevo.lanes},
            {"max_in_flight", relevo.max_in_flight}}},
          {"graphile",
           {{"concurrentJobs", kGraphileConcurrency},
            {"localQueue.size", kGraphileLocalQueue},
            {"completeJobBatchDelay", 0}}},
          {"river", {{"MaxWorkers", kRiverWorkers}, {"FetchCooldown", "1ms"}}}};
}

nlohmann::ordered_json peer_versions(const Options& options) {
  nlohmann::ordered_json versions;
  for (const std::string package : {"graphile-worker", "node"}) {
    std::ifstream file(graphile(options) + "node_modules/" + package + "/package.json");
    if (file) versions[package] = nlohmann::json::parse(file).at("version");
  }
  std::ifstream modules(river(options) + "go.mod");
  for (std::string word; modules >> word;) {
    if (word == "github.com/riverqueue/river" && modules >> word) versions["river"] = word;
  }
  return versions;
}

}  // namespace relevo::bench
