#include "support/jobs.hpp"

#include <cstdlib>
#include <filesystem>
#include <random>

#include "support/daemon.hpp"
#include "support/environment.hpp"
#include "support/eventually.hpp"
#include "support/report.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

std::string shared_server() { return required_environment("RELEVO_TEST_POSTGRES"); }

}  // namespace

JobWorld::JobWorld(std::string server)
    : database_(server.empty() ? shared_server() : server), worker_url_(database_.url()) {
  migrate(database_.url());
  connect().exec(R"(
    CREATE TABLE test_job (job_id bigint NOT NULL, kind text NOT NULL);
    CREATE TABLE test_run (at timestamptz NOT NULL DEFAULT clock_timestamp(), job_id bigint NOT NULL,
                           attempt int NOT NULL, worker text NOT NULL, pid int NOT NULL);
    CREATE TABLE test_effect (at timestamptz NOT NULL DEFAULT clock_timestamp(), job_id bigint NOT NULL);
    CREATE INDEX ON test_run (job_id);)");
}

std::unique_ptr<Process> JobWorld::worker(const std::string& name, std::vector<std::string> extra,
                                          const Process::Environment& environment) const {
  const auto program =
      std::filesystem::path(required_environment("RELEVO_BIN")).parent_path() / "test_worker";
  std::vector<std::string> command{program.string(), "--postgres", worker_url_, "--name", name};
  command.insert(command.end(), extra.begin(), extra.end());
  return std::make_unique<Process>(command, environment);
}

bool JobWorld::wait_holds_lanes(const std::string& worker, int least,
                                std::chrono::milliseconds deadline) const {
  auto connection = connect();
  return eventually(deadline, [&] {
    return connection.number(
               "SELECT count(*) FROM relevo.lane WHERE holder = $1 AND expires > clock_timestamp()",
               {worker}) >= least;
  });
}

bool JobWorld::wait_all_ended(std::chrono::milliseconds deadline) const {
  auto connection = connect();
  return eventually(
      deadline,
      [&] { return connection.number("SELECT count(*) FROM relevo.job WHERE state < 2") == 0; },
      50ms);
}

std::int64_t JobWorld::number(const std::string& sql) const { return connect().number(sql); }

std::string JobWorld::judge(const std::string& name) const {
  auto connection = connect();
  const auto count = [&](const std::string& sql) { return connection.number(sql); };
  const auto jobs = count("SELECT count(*) FROM test_job");
  const auto lost = count(
      "SELECT count(*) FROM test_job t WHERE NOT EXISTS (SELECT FROM relevo.job_history h "
      "WHERE h.job_id = t.job_id AND h.outcome = 'completed')");
  const auto twice = count(
      "SELECT count(*) FROM (SELECT job_id FROM relevo.job_history WHERE outcome = 'completed' "
      "GROUP BY job_id HAVING count(*) > 1) x");
  const auto effects_wrong = count(
      "SELECT count(*) FROM test_job t WHERE t.kind = 'audit' AND (SELECT count(*) FROM "
      "test_effect e WHERE e.job_id = t.job_id) <> 1");
  const auto invented = count(
      "SELECT count(*) FROM test_run r WHERE NOT EXISTS (SELECT FROM test_job t WHERE t.job_id = "
      "r.job_id)");
  const auto again = count(
      "SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM test_run GROUP BY job_id) x");
  const auto crashes = count("SELECT count(*) FROM relevo.job_attempt WHERE outcome = 'crash'");
  const auto left = count("SELECT count(*) FROM relevo.job");
  const auto line = name + ": jobs " + std::to_string(jobs) + ", lost " + std::to_string(lost) +
                    ", completed twice " + std::to_string(twice) + ", wrong effects " +
                    std::to_string(effects_wrong) + ", second executions " + std::to_string(again) +
                    ", crash attempts " + std::to_string(crashes) + ", left " +
                    std::to_string(left);
  report(line);
  std::string wrong;
  if (jobs == 0) wrong += "nothing was enqueued; ";
  if (lost > 0) wrong += "jobs were lost; ";
  if (twice > 0) wrong += "jobs were completed twice; ";
  if (effects_wrong > 0) wrong += "jobs without exactly one effect; ";
  if (invented > 0) wrong += "jobs ran that were not committed; ";
  if (left > 0) wrong += "jobs are left; ";
  return wrong;
}

JobWriters::JobWriters(const JobWorld& world, int threads, std::chrono::milliseconds pause) {
  std::random_device random;
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back(
        [this, url = world.url(), seed = random(), pause] { write(url, seed, pause); });
  }
}

JobWriters::~JobWriters() { stop(); }

void JobWriters::stop() {
  stopping_ = true;
  for (auto& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void JobWriters::write(const std::string& url, std::uint64_t seed,
                       std::chrono::milliseconds pause) {
  std::mt19937_64 random(seed);
  const auto chance = [&](double p) { return std::bernoulli_distribution(p)(random); };
  std::unique_ptr<Connection> connection;
  while (!stopping_) {
    try {
      if (!connection) connection = std::make_unique<Connection>(url);
      connection->exec("BEGIN");
      const auto count = 1 + random() % 5;
      for (std::uint64_t i = 0; i < count; ++i) {
        const std::string kind = chance(0.5) ? "audit" : "run";
        const Value key =
            chance(0.2) ? Value("key-" + std::to_string(random() % 20)) : std::nullopt;
        connection->query(
            "INSERT INTO test_job (job_id, kind) SELECT relevo.enqueue($1, priority => $2::int, "
            "concurrency_key => $3, run_at => clock_timestamp() + $4::interval), $1",
            {kind, std::to_string(static_cast<int>(random() % 3) - 1), key,
             chance(0.1) ? Value("200 milliseconds") : std::nullopt});
      }
      if (chance(0.1)) std::this_thread::sleep_for(std::chrono::milliseconds(random() % 300));
      const bool commit = chance(0.9);
      connection->exec(commit ? "COMMIT" : "ROLLBACK");
      if (commit) committed_ += count;
      std::this_thread::sleep_for(pause);
    } catch (const SqlError& error) {
      connection.reset();
      if (!error.disconnected()) throw;
      std::this_thread::sleep_for(50ms);  // the server restarts
    }
  }
}

}  // namespace relevo::test
