// The whole relay over ports in memory that insist on what a real connection insists on.
#include <gtest/gtest.h>

#include <atomic>

#include "relevo/relay/relay.hpp"
#include "support/eventually.hpp"
#include "support/relay_fakes.hpp"

namespace relevo::relay {
namespace {

using namespace std::chrono_literals;

// What the connections of one test share.
struct Table {
  std::atomic<int> statements_while_busy{0};
  std::atomic<int> pages{0};
  std::atomic<bool> fail_next_find{false};
  test::FakePositions positions{8};
};

// One huge window without end. Like a connection, it takes nothing while a page is under way.
class HugeWindow {
 public:
  explicit HugeWindow(Table& table) : table_(table) {}

  void use() {
    if (!under_way_) return;
    ++table_.statements_while_busy;
    throw core::IntegrationError(core::ErrorKind::kConflict, "fake", "a page is under way");
  }
  std::vector<feed::Tick> find(std::span<const feed::TickId> ids) {
    use();
    if (table_.fail_next_find.exchange(false)) {
      throw core::IntegrationError(core::ErrorKind::kDisconnected, "find", "gone");
    }
    std::vector<feed::Tick> ticks;
    for (const auto id : ids) ticks.push_back(tick(id));
    return ticks;
  }
  static feed::Tick tick(feed::TickId id) {
    return {id, 1000 + id, feed::Snapshot::parse("10:10:")};
  }
  void ask(feed::RowId after) {
    use();
    under_way_ = after;
  }
  feed::Page<OutboxRows> receive() {
    const auto id = *std::exchange(under_way_, std::nullopt) + 1;
    ++table_.pages;
    feed::Page<OutboxRows> page;
    page.scanned_to = id;
    OutboxRow row;
    row.id = id;
    row.aggregate_type = row.aggregate_id = row.event_type = row.content_type = "x";
    page.rows.rows.push_back(row);
    return page;
  }

 private:
  Table& table_;
  std::optional<feed::RowId> under_way_;
};

class Ticks final : public feed::TickSource {
 public:
  explicit Ticks(std::shared_ptr<HugeWindow> window) : window_(std::move(window)) {}
  std::string probe() override {
    window_->use();
    return "10:10:";
  }
  std::optional<feed::Tick> next_tick() override {
    window_->use();
    return HugeWindow::tick(2);
  }
  std::vector<feed::Tick> find_ticks(std::span<const feed::TickId> ids) override {
    return window_->find(ids);
  }

 private:
  std::shared_ptr<HugeWindow> window_;
};

class Rows final : public feed::WindowSource<OutboxRows> {
 public:
  explicit Rows(std::shared_ptr<HugeWindow> window) : window_(std::move(window)) {}
  std::optional<OutboxRows> small_window(const feed::Tick&, const feed::Tick&, feed::RowId,
                                         std::span<const feed::Slice>) override {
    window_->use();
    return std::nullopt;
  }
  feed::RowId lower_bound(const feed::Tick&, const feed::Tick&) override {
    window_->use();
    return feed::kWindowStart;
  }
  void request_page(const feed::Tick&, const feed::Tick&, feed::RowId after,
                    std::span<const feed::Slice>) override {
    window_->ask(after);
  }
  feed::Page<OutboxRows> receive_page() override { return window_->receive(); }

 private:
  std::shared_ptr<HugeWindow> window_;
};

class SharedPositions final : public feed::PositionStore {
 public:
  explicit SharedPositions(feed::PositionStore& store) : store_(store) {}
  std::vector<feed::Held> take(const std::string& holder, std::chrono::milliseconds ttl,
                               int most) override {
    return store_.take(holder, ttl, most);
  }
  std::vector<feed::Slice> save(std::span<const feed::Held> positions) override {
    return store_.save(positions);
  }
  void release(const std::string& holder, std::span<const feed::Lease> leases) override {
    store_.release(holder, leases);
  }
  std::vector<feed::PositionRow> read() override { return store_.read(); }

 private:
  feed::PositionStore& store_;
};

// Acknowledges everything; is lost after so many records, once.
class FragilePublisher final : public Publisher {
 public:
  std::atomic<int> lost_after{-1};
  std::atomic<int> reopened{0};

  SendResult send(const Record&, Ticket ticket) override {
    if (lost_ || lost_after-- == 0) {
      lost_ = true;
      return {Send::kProducerLost, "lost by the test"};
    }
    reports_.push_back({ticket, Outcome::kDelivered});
    return {};
  }
  bool collect(std::chrono::milliseconds, std::vector<Report>& reports) override {
    reports.insert(reports.end(), reports_.begin(), reports_.end());
    reports_.clear();
    return !lost_;
  }
  std::string last_error() const override { return "lost by the test"; }
  SendResult probe_topic(const std::string&) override { return {}; }
  bool reachable() const override { return true; }
  std::size_t in_flight() const override { return reports_.size(); }
  void reopen() override {
    lost_ = false;
    reports_.clear();
    ++reopened;
  }

 private:
  bool lost_ = false;
  std::vector<Report> reports_;
};

struct Relaying : testing::Test {
  Table table;
  test::QuietLog log;
  test::CountingMetrics metrics;
  FragilePublisher publisher;
  test::FakeLeases::Replicas replicas{{"me"}};
  feed::LeaseKeeper leases{"me", 2s,
                           [this] { return std::make_unique<test::FakeLeases>(replicas); }, log,
                           core::system_clock()};
  Relay relay{
      Options{.drain = 100ms},
      {[this] { return connect(); }, leases, publisher, metrics, log, core::system_clock()}};

  Session connect() {
    const auto window = std::make_shared<HugeWindow>(table);
    return {std::make_unique<Ticks>(window), std::make_unique<Rows>(window),
            std::make_unique<test::FakePayloads>(),
            std::make_unique<SharedPositions>(table.positions),
            std::make_unique<test::FakeDeadEvents>()};
  }
  void start() {
    leases.start();
    relay.start();
  }
  bool reads_on(int more) {
    const int before = table.pages;
    return test::eventually(10s, [&] { return table.pages > before + more; });
  }
  void TearDown() override {
    relay.stop();
    leases.stop();
  }
};

TEST_F(Relaying, BeginsAgainWhenTheProducerIsLostWhileAPageIsUnderWay) {
  publisher.lost_after = 50;
  start();
  ASSERT_TRUE(test::eventually(10s, [&] { return publisher.reopened > 0; }));
  EXPECT_TRUE(reads_on(200));
  EXPECT_EQ(table.statements_while_busy, 0);
}

TEST_F(Relaying, WorksTheShardsItTookAlthoughReadingTheFirstFailed) {
  table.fail_next_find = true;
  start();
  EXPECT_TRUE(reads_on(500));
}

TEST_F(Relaying, HandsItsLeasesBackWhenItStops) {
  start();
  ASSERT_TRUE(reads_on(10));
  relay.stop();
  for (const auto& row : table.positions.rows) EXPECT_EQ(row.holder, "");
}

}  // namespace
}  // namespace relevo::relay
