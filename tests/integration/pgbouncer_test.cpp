// relevo behind PgBouncer in transaction mode: every statement may meet another server connection,
// prepared statements of one do not exist on the next, and the pooler may go away.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <thread>

#include "relevo/kafka/reader.hpp"
#include "support/daemon.hpp"
#include "support/database.hpp"
#include "support/environment.hpp"
#include "support/eventually.hpp"
#include "support/history_checker.hpp"
#include "support/load.hpp"
#include "support/process.hpp"
#include "support/truth.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

int free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  const bool bound =
      ::bind(socket, generic, size) == 0 && ::getsockname(socket, generic, &size) == 0;
  ::close(socket);
  if (!bound) throw std::runtime_error("no free port");
  return ntohs(address.sin_port);
}

// Host, port and database name of a URI of the tests' servers, which have no passwords.
struct Target {
  std::string host, port, database;
};

Target target_of(const std::string& url) {
  const auto host = url.find('@') + 1;
  const auto port = url.find(':', host) + 1;
  const auto database = url.find('/', port) + 1;
  return {url.substr(host, port - 1 - host), url.substr(port, database - 1 - port),
          url.substr(database)};
}

// Fewer server connections than clients, so that clients do change them. Lasts until the object
// goes; kill() and start() in between keep the port.
class PgBouncer {
 public:
  explicit PgBouncer(const std::string& database_url) : directory_("relevo-pgbouncer-") {
    const auto [host, port, database] = target_of(database_url);
    const auto own_port = std::to_string(free_port());
    url_ = "postgresql://postgres@127.0.0.1:" + own_port + "/" + database;
    file_ = (directory_.path() / "pgbouncer.ini").string();
    std::ofstream file(file_);
    file << "[databases]\n"
         << database << " = host=" << host << " port=" << port << " user=postgres\n"
         << "[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = " << own_port
         << "\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n"
            "default_pool_size = 6\nmax_client_conn = 100\n";
    if (::geteuid() == 0) file << "user = postgres\n";  // it refuses to run as root
    file.close();
    start();
  }

  void start() {
    process_ = std::make_unique<Process>(std::vector<std::string>{"pgbouncer", file_});
    const bool answers = eventually(10s, [&] {
      try {
        Connection(url_).exec("SELECT 1");
        return true;
      } catch (const SqlError&) {
        return !process_->running();
      }
    });
    if (!answers || !process_->running()) {
      throw std::runtime_error("pgbouncer did not start: " + process_->standard_error());
    }
  }
  void kill() { process_->kill(); }

  const std::string& url() const { return url_; }

 private:
  TemporaryDirectory directory_;
  std::string file_;
  std::string url_;
  std::unique_ptr<Process> process_;
};

class PgBouncerTest : public testing::Test {
 protected:
  PgBouncerTest() {
    migrate(database_.url());
    auto connection = database_.connect();
    create_truth(connection);
  }

  Daemon start_daemon() const {
    return Daemon(
        {pooler_.url(),
         kafka_,
         prefix_,
         "",
         {{"RELEVO_DATABASE_PREPARED_STATEMENTS", "false"}, {"RELEVO_RELAY_LEASE_TTL", "20s"}}});
  }

  // Everything in this test's topics, once as many records are there as events were committed.
  std::vector<Received> records(std::size_t least) const {
    kafka::ReaderOptions options;
    options.client.bootstrap_servers = kafka_;
    options.topics = {prefix_ + ".*"};
    kafka::KafkaReader reader(std::move(options));
    std::vector<Received> all;
    (void)eventually(
        60s,
        [&] {
          while (const auto* read = reader.poll(50ms)) {
            Received record{std::string(read->topic),
                            read->partition,
                            read->offset,
                            std::string(read->key.value_or("")),
                            std::nullopt,
                            {}};
            if (read->value) record.value = std::string(*read->value);
            for (const auto& [name, value] : read->headers)
              record.headers.emplace_back(name, value);
            all.push_back(std::move(record));
          }
          return all.size() >= least && reader.at_end();
        },
        0ms);
    return all;
  }

  // What was committed stands in Kafka, and the relay ends well.
  Verdict finish(Daemon& daemon) const {
    auto connection = database_.connect();
    const auto events = read_truth(connection);
    EXPECT_TRUE(eventually(60s, [&] {
      return connection.number("SELECT count(*) FROM relevo.dead_event") == 0 &&
             records(events.size()).size() >= events.size();
    })) << daemon.process().standard_error();
    const auto exit = daemon.terminate();
    EXPECT_TRUE(exit && exit->code == 0) << daemon.process().standard_error();
    const auto verdict = check_history(events, records(events.size()));  // stopping may send more
    EXPECT_TRUE(verdict.sound()) << verdict.report() << daemon.process().standard_error();
    return verdict;
  }

  const std::string kafka_ = required_environment("RELEVO_TEST_KAFKA");
  const std::string prefix_ = unique_name("pgbouncer-");
  Database database_{required_environment("RELEVO_TEST_POSTGRES")};
  PgBouncer pooler_{database_.url()};
};

TEST_F(PgBouncerTest, EveryEventArrivesOnceAndInOrder) {
  constexpr int kWriters = 5;
  constexpr int kEvents = 1000;
  auto daemon = start_daemon();
  ASSERT_TRUE(daemon.wait_ready());
  std::vector<std::jthread> writers;
  for (int writer = 0; writer < kWriters; ++writer) {
    writers.emplace_back([&, writer] {
      Connection connection(pooler_.url());
      for (int version = 1; version <= kEvents; version += 10) {
        publish_many(connection, "order", "writer" + std::to_string(writer) + "-",
                     prefix_ + ".order", version, 10, 10);
      }
    });
  }
  writers.clear();
  const auto verdict = finish(daemon);
  EXPECT_EQ(verdict.events, std::size_t{kWriters} * kEvents);
  EXPECT_EQ(verdict.duplicates, 0U);
  EXPECT_FALSE(daemon.process().find_line("outage")) << daemon.process().standard_error();
}

TEST_F(PgBouncerTest, NothingIsLostWhenItIsKilledUnderLoad) {
  auto daemon = start_daemon();
  ASSERT_TRUE(daemon.wait_ready());
  LoadOptions options;
  options.url = pooler_.url();
  options.topic_prefix = prefix_;
  options.writers = 8;
  options.long_transactions = 0;
  Load load(options);
  load.start();
  const auto wait_commits = [&](std::uint64_t more) {
    const auto enough = load.committed() + more;
    return eventually(30s, [&] { return load.committed() >= enough; });
  };
  for (int kill = 0; kill < 3; ++kill) {
    ASSERT_TRUE(wait_commits(100));
    pooler_.kill();
    ASSERT_TRUE(eventually(10s, [&] { return !daemon.ready(); }));
    pooler_.start();
    ASSERT_TRUE(daemon.wait_ready()) << daemon.process().standard_error();
  }
  ASSERT_TRUE(wait_commits(100));
  const auto counts = load.stop();
  EXPECT_TRUE(counts.refused.empty()) << counts.refused[0];
  EXPECT_GT(counts.connections_lost, 0U);
  EXPECT_GT(finish(daemon).events, 0U);
}

}  // namespace
}  // namespace relevo::test
