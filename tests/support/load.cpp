#include "support/load.hpp"

#include <array>
#include <map>
#include <optional>
#include <set>

#include "support/eventually.hpp"

namespace relevo::test {
namespace {

using std::chrono::milliseconds;

constexpr std::array kTypes = {"order", "payment", "ticket"};
constexpr auto kNamedTopic = "named";  // aggregates of type ticket name their topic themselves

std::string type_of(unsigned aggregate) { return kTypes[aggregate % kTypes.size()]; }
std::string id_of(unsigned aggregate) { return "aggregate-" + std::to_string(aggregate); }
bool names_topic(unsigned aggregate) { return type_of(aggregate) == "ticket"; }

}  // namespace

// One writer: a connection, a random source, and the versions of the aggregates its transaction has
// locked.
class Load::Writer {
 public:
  Writer(Load& load, unsigned number) : load_(load), random_(load.options_.seed + number) {}

  void run() {
    while (!load_.stopping_) {
      try {
        if (!connection_) connection_.emplace(load_.options_.url);
        transaction();
      } catch (const SqlError& error) {
        failed(error);
      }
    }
  }

 private:
  bool chance(double probability) { return std::bernoulli_distribution(probability)(random_); }
  unsigned below(unsigned bound) { return std::uniform_int_distribution(0U, bound - 1)(random_); }

  void transaction() {
    committing_ = false;
    connection_->exec("BEGIN");
    lock_aggregates();
    const auto events = 1 + below(5);
    for (unsigned i = 0; i < events; ++i) {
      if (chance(0.15)) {
        inside_savepoint();
      } else {
        write_event();
      }
    }
    for (const auto& [aggregate, version] : versions_) {
      connection_->query("UPDATE aggregate SET version = $3 WHERE type = $1 AND id = $2",
                         {type_of(aggregate), id_of(aggregate), std::to_string(version)});
    }
    pause();
    if (chance(0.1)) {
      connection_->exec("ROLLBACK");
      ++load_.rolled_back_;
    } else {
      committing_ = true;
      connection_->exec("COMMIT");
      ++load_.committed_;
    }
  }

  void lock_aggregates() {
    versions_.clear();
    std::set<unsigned> chosen;  // locked in one order by all writers: no deadlocks
    const auto count = chance(0.7) ? 1 : 2 + below(2);
    while (chosen.size() < count) chosen.insert(below(load_.options_.aggregates));
    for (const auto aggregate : chosen) {
      versions_[aggregate] = connection_->number(
          "SELECT version FROM aggregate WHERE type = $1 AND id = $2 FOR UPDATE",
          {type_of(aggregate), id_of(aggregate)});
    }
  }

  void inside_savepoint() {
    const auto before = versions_;
    connection_->exec("SAVEPOINT s");
    write_event();
    if (chance(0.5)) {
      connection_->exec("ROLLBACK TO s");
      versions_ = before;
    } else {
      connection_->exec("RELEASE s");
    }
  }

  void write_event() {
    auto chosen = std::next(versions_.begin(), below(static_cast<unsigned>(versions_.size())));
    const auto aggregate = chosen->first;
    const auto version = std::to_string(++chosen->second);
    NewEvent event;
    event.aggregate_type = type_of(aggregate);
    event.aggregate_id = id_of(aggregate);
    event.version = chosen->second;
    event.names_topic = names_topic(aggregate);
    event.topic = load_.options_.topic_prefix + "." +
                  (event.names_topic ? kNamedTopic : event.aggregate_type);
    if (!chance(0.05)) {
      event.payload = R"({"version": )" + version +
                      R"(, "name": "naïve ☕ \"quoted\"", "fill": ")" +
                      std::string(chance(0.03) ? 2000 + below(20000) : below(300), 'x') + "\"}";
    }
    if (chance(0.2)) event.headers = R"({"region": "bogotá", "attempt": ")" + version + "\"}";
    if (chance(0.2)) {
      insert_plainly(*connection_, event);
    } else {
      publish(*connection_, event);
    }
  }

  void pause() {
    const auto& options = load_.options_;
    const bool is_long = chance(options.long_transactions);
    const auto length =
        is_long ? milliseconds(1000 + below(2000))
                : milliseconds(below(static_cast<unsigned>(options.longest_pause.count()) + 1));
    (void)eventually(
        length, [&] { return is_long && load_.stopping_; }, milliseconds(10));
  }

  void failed(const SqlError& error) {
    if (error.disconnected()) {
      ++load_.connections_lost_;
      if (committing_) ++load_.commits_in_doubt_;
      committing_ = false;
      connection_.reset();
      (void)eventually(milliseconds(50), [&] { return load_.stopping_.load(); });
      return;
    }
    const std::lock_guard lock(load_.mutex_);
    load_.refused_.emplace_back(error.what());
    connection_.reset();
  }

  Load& load_;
  std::mt19937_64 random_;
  std::optional<Connection> connection_;
  std::map<unsigned, std::int64_t> versions_;
  bool committing_ = false;
};

Load::Load(LoadOptions options) : options_(std::move(options)) {
  Connection connection(options_.url);
  for (unsigned i = 0; i < options_.aggregates; ++i) {
    connection.query("INSERT INTO aggregate (type, id) VALUES ($1, $2)", {type_of(i), id_of(i)});
  }
}

Load::~Load() { stop(); }

void Load::start() {
  for (unsigned i = 0; i < options_.writers; ++i) {
    threads_.emplace_back([this, i] { Writer(*this, i).run(); });
  }
}

LoadCounts Load::stop() {
  stopping_ = true;
  for (auto& thread : threads_) thread.join();
  threads_.clear();
  return {committed_, rolled_back_, connections_lost_, commits_in_doubt_, refused_};
}

std::vector<std::string> Load::topics() const {
  return {options_.topic_prefix + ".order", options_.topic_prefix + ".payment",
          options_.topic_prefix + "." + kNamedTopic};
}

}  // namespace relevo::test
