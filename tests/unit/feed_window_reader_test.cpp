// Reader and ticker against a table in memory that follows PostgreSQL's rules: ids are drawn before
// commit, snapshots list what is in progress, whoever rolls back is never seen.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <set>

#include "relevo/feed/window_reader.hpp"

namespace relevo::feed {
namespace {

struct Row {
  RowId id = 0;
  Xid xid = 0;
  Slice slice = 0;
};
using Rows = std::vector<Row>;

class Table final : public TickSource, public WindowSource<Rows> {
 public:
  std::size_t page_rows = 4;
  bool somebody_else_ticks = false;

  Xid begin() {
    open_.insert(next_xid_);
    return next_xid_++;
  }
  RowId insert(Xid xid, Slice slice) {
    rows_.push_back({next_id_, xid, slice});
    return next_id_++;
  }
  void skip_ids(RowId count) { next_id_ += count; }
  void commit(Xid xid) { open_.erase(xid); }
  void roll_back(Xid xid) {
    open_.erase(xid);
    std::erase_if(rows_, [&](const Row& row) { return row.xid == xid; });
  }

  std::vector<RowId> committed() const {
    std::vector<RowId> ids;
    for (const auto& row : rows_) {
      if (!open_.contains(row.xid)) ids.push_back(row.id);
    }
    return ids;
  }

  Snapshot snapshot() const {
    std::string text = std::to_string(open_.empty() ? next_xid_ : *open_.begin()) + ":" +
                       std::to_string(next_xid_) + ":";
    for (const Xid xid : open_) text += (text.back() == ':' ? "" : ",") + std::to_string(xid);
    return Snapshot::parse(text);
  }

  std::string probe() override { return snapshot().text(); }
  std::optional<Tick> next_tick() override {
    if (somebody_else_ticks) return std::nullopt;
    if (ticks_.empty() || ticks_.rbegin()->second.snapshot.text() != snapshot().text()) {
      const TickId id = static_cast<TickId>(ticks_.size()) + 1;
      ticks_[id] = {id, 1000 + id, snapshot()};
    }
    return ticks_.rbegin()->second;
  }
  std::vector<Tick> find_ticks(std::span<const TickId> ids) override {
    std::vector<Tick> found;
    for (const auto id : ids) {
      if (const auto tick = ticks_.find(id); tick != ticks_.end()) found.push_back(tick->second);
    }
    return found;
  }

  std::optional<Rows> small_window(const Tick& a, const Tick& b, RowId after,
                                   std::span<const Slice> slices) override {
    RELEVO_INVARIANT(!request_, "one statement at a time");
    auto rows = window(a, b, slices);
    if (rows.size() > page_rows) return std::nullopt;
    std::erase_if(rows, [&](const Row& row) { return row.id <= after; });
    return rows;
  }
  RowId lower_bound(const Tick&, const Tick&) override {
    RELEVO_INVARIANT(!request_, "one statement at a time");
    return kWindowStart;
  }
  void request_page(const Tick& a, const Tick& b, RowId after,
                    std::span<const Slice> slices) override {
    RELEVO_INVARIANT(!request_, "one page at a time");
    request_ = Request{a, b, after, {slices.begin(), slices.end()}};
  }
  Page<Rows> receive_page() override {
    RELEVO_INVARIANT(request_.has_value(), "a page was asked for");
    const auto request = *std::exchange(request_, std::nullopt);
    // As the statement does: scan so many rows by id, visible or not, then filter.
    Page<Rows> page;
    std::size_t scanned = 0;
    std::map<RowId, Row> by_id;
    for (const auto& row : rows_) by_id[row.id] = row;
    const auto ours = window(request.a, request.b, request.slices);
    for (auto row = by_id.upper_bound(request.after); row != by_id.end() && scanned < page_rows;
         ++row) {
      ++scanned;
      page.scanned_to = row->first;
      const bool found =
          std::any_of(ours.begin(), ours.end(), [&](const Row& r) { return r.id == row->first; });
      if (found) page.rows.push_back(row->second);
    }
    return page;
  }

 private:
  struct Request {
    Tick a, b;
    RowId after;
    std::vector<Slice> slices;
  };

  Rows window(const Tick& a, const Tick& b, std::span<const Slice> slices) const {
    Rows rows;
    for (const auto& row : rows_) {
      const bool visible = !open_.contains(row.xid) && b.snapshot.sees(row.xid);
      const bool ours = std::find(slices.begin(), slices.end(), row.slice) != slices.end();
      if (visible && !a.snapshot.sees(row.xid) && ours) rows.push_back(row);
    }
    std::sort(rows.begin(), rows.end(), [](const Row& x, const Row& y) { return x.id < y.id; });
    return rows;
  }

  Xid next_xid_ = 100;
  RowId next_id_ = 1;
  std::set<Xid> open_;
  Rows rows_;
  std::map<TickId, Tick> ticks_;
  std::optional<Request> request_;
};

struct Reading : testing::Test {
  Table table;
  Ticker ticker{table};
  WindowReader<Rows> reader{ticker, table};
  Position start;

  Reading() {
    const auto tick = table.next_tick();
    start = {tick->id, tick->id, kWindowStart, tick->fingerprint};
  }

  std::vector<RowId> read_all() {
    std::vector<RowId> ids;
    while (reader.look() || reader.has_window()) {
      while (reader.has_window()) {
        for (const auto& row : reader.step().rows) ids.push_back(row.id);
      }
    }
    return ids;
  }
};

TEST_F(Reading, DeliversALateCommitWithALowerIdInTheNextWindow) {
  ASSERT_TRUE(reader.add(0, start));
  const auto slow = table.begin();
  const auto late = table.insert(slow, 0);
  const auto fast = table.begin();
  const auto early = table.insert(fast, 0);
  table.commit(fast);
  EXPECT_EQ(read_all(), std::vector<RowId>{early});
  table.commit(slow);
  EXPECT_EQ(read_all(), std::vector<RowId>{late});
}

TEST_F(Reading, NeverWaitsForAForeignTransaction) {
  ASSERT_TRUE(reader.add(0, start));
  (void)table.begin();  // stays open
  const auto mine = table.begin();
  const auto id = table.insert(mine, 0);
  table.commit(mine);
  EXPECT_EQ(read_all(), std::vector<RowId>{id});
}

TEST_F(Reading, PagesAWindowThatIsLargerThanOneRead) {
  ASSERT_TRUE(reader.add(0, start));
  const auto bulk = table.begin();
  std::vector<RowId> ids;
  for (int i = 0; i < 23; ++i) ids.push_back(table.insert(bulk, 0));
  table.commit(bulk);
  EXPECT_EQ(read_all(), ids);
}

TEST_F(Reading, TakesUpAWindowWhereItWasLeft) {
  ASSERT_TRUE(reader.add(0, start));
  const auto bulk = table.begin();
  std::vector<RowId> ids;
  for (int i = 0; i < 10; ++i) ids.push_back(table.insert(bulk, 0));
  table.commit(bulk);
  ASSERT_TRUE(reader.look());
  (void)reader.step();
  const auto left = reader.step();
  ASSERT_EQ(left.rows.size(), 4U);

  Ticker other_ticker{table};
  (void)table.receive_page();  // of the reader that is left behind
  WindowReader<Rows> other{other_ticker, table};
  ASSERT_TRUE(other.add(0, left.after));
  std::vector<RowId> rest;
  while (other.has_window()) {
    for (const auto& row : other.step().rows) rest.push_back(row.id);
  }
  EXPECT_EQ(rest, std::vector<RowId>(ids.begin() + 4, ids.end()));
}

TEST_F(Reading, ReadsAllSlicesThatStandTogetherByOneQuery) {
  for (Slice slice = 0; slice < 3; ++slice) ASSERT_TRUE(reader.add(slice, start));
  EXPECT_EQ(reader.groups(), 1U);
}

TEST_F(Reading, LetsASliceThatWasTakenOverCatchUpAndJoin) {
  ASSERT_TRUE(reader.add(0, start));
  for (int i = 0; i < 3; ++i) {
    const auto t = table.begin();
    table.insert(t, 0);
    table.insert(t, 1);
    table.commit(t);
    EXPECT_EQ(read_all().size(), 1U);
  }
  ASSERT_TRUE(reader.add(1, start));
  EXPECT_EQ(reader.groups(), 2U);
  EXPECT_EQ(read_all().size(), 3U);
  EXPECT_EQ(reader.groups(), 1U);
}

TEST_F(Reading, IsCaughtUpOnceAllSlicesHaveReadTheSameTick) {
  EXPECT_EQ(reader.caught_up(), nullptr);
  ASSERT_TRUE(reader.add(0, start));
  const auto at_start = reader.caught_up();
  ASSERT_NE(at_start, nullptr);
  EXPECT_EQ(at_start->id, start.b);
  const auto bulk = table.begin();
  for (int i = 0; i < 10; ++i) table.insert(bulk, 0);
  table.commit(bulk);
  ASSERT_TRUE(reader.look());
  while (reader.has_window()) {
    EXPECT_EQ(reader.caught_up(), nullptr);
    (void)reader.step();
  }
  EXPECT_EQ(reader.caught_up(), ticker.look());
  ASSERT_TRUE(reader.add(1, start));
  EXPECT_EQ(reader.caught_up(), nullptr) << "one stands further back";
}

TEST_F(Reading, KeepsThePagesOfTwoHugeWindowsApart) {
  ASSERT_TRUE(reader.add(0, start));
  const auto fill = [&] {
    const auto bulk = table.begin();
    for (int i = 0; i < 20; ++i) {
      table.insert(bulk, 0);
      table.insert(bulk, 1);
    }
    table.commit(bulk);
  };
  fill();
  ASSERT_TRUE(reader.look());
  std::map<RowId, int> seen;
  const auto step = [&] {
    const auto delivery = reader.step();
    for (const auto& row : delivery.rows) {
      EXPECT_EQ(delivery.slices, std::vector<Slice>{row.slice}) << "row " << row.id;
      ++seen[row.id];
    }
  };
  step();
  fill();
  ASSERT_TRUE(reader.add(1, start));  // its window is huge, too, and another one
  ASSERT_TRUE(reader.look());
  while (reader.look() || reader.has_window()) {
    while (reader.has_window()) step();
  }
  for (const auto id : table.committed()) EXPECT_EQ(seen[id], 1) << id;
}

TEST_F(Reading, RefusesAPositionOfAnotherHistory) {
  auto foreign = start;
  foreign.fingerprint += 1;
  EXPECT_FALSE(reader.add(0, foreign));
  foreign = start;
  foreign.a = foreign.b = 77;
  EXPECT_FALSE(reader.add(0, foreign));
}

TEST_F(Reading, DoesNotTakeALookForCompleteWhileSomebodyElseTicks) {
  ASSERT_TRUE(reader.add(0, start));
  (void)read_all();
  const auto t = table.begin();
  const auto id = table.insert(t, 0);
  table.commit(t);
  table.somebody_else_ticks = true;
  EXPECT_TRUE(reader.look()) << "not idle: the text of the probe must not be remembered";
  EXPECT_FALSE(reader.has_window());
  table.somebody_else_ticks = false;  // that somebody died before it committed
  EXPECT_EQ(read_all(), std::vector<RowId>{id});
}

TEST_F(Reading, AsksForNothingWhileNothingBecomesVisible) {
  ASSERT_TRUE(reader.add(0, start));
  (void)read_all();
  EXPECT_FALSE(reader.look());
  EXPECT_FALSE(reader.look());
}

// Any interleaving of writers, looks, steps, take-overs at saved positions: every committed row
// once, and rows of one window in the order of their ids.
RC_GTEST_PROP(WindowReader, DeliversEveryCommittedRowOnceInAnyInterleaving, ()) {
  Table table;
  table.page_rows = *rc::gen::inRange<std::size_t>(1, 6);
  const auto first = table.next_tick();
  std::map<Slice, Position> saved;
  for (Slice slice = 0; slice < 3; ++slice) {
    saved[slice] = {first->id, first->id, kWindowStart, first->fingerprint};
  }
  auto ticker = std::make_unique<Ticker>(table);
  auto reader = std::make_unique<WindowReader<Rows>>(*ticker, table);
  std::set<Slice> held;
  std::vector<Xid> open;
  std::map<RowId, int> delivered;
  const auto step = [&] {
    const auto delivery = reader->step();
    RowId last = kWindowStart;
    for (const auto& row : delivery.rows) {
      if (!held.contains(row.slice)) continue;
      const bool of_delivery = std::find(delivery.slices.begin(), delivery.slices.end(),
                                         row.slice) != delivery.slices.end();
      if (!of_delivery) continue;
      RC_ASSERT(row.id > last);
      last = row.id;
      ++delivered[row.id];
    }
    for (const auto slice : delivery.slices) saved[slice] = delivery.after;
  };
  const int actions = *rc::gen::inRange(0, 120);
  for (int i = 0; i < actions; ++i) {
    switch (*rc::gen::inRange(0, 8)) {
      case 0: open.push_back(table.begin()); break;
      case 1:
      case 2:
        if (!open.empty()) table.insert(*rc::gen::elementOf(open), *rc::gen::inRange<Slice>(0, 3));
        break;
      case 3:
        if (!open.empty()) {
          const auto xid = *rc::gen::elementOf(open);
          if (*rc::gen::inRange(0, 5) == 0)
            table.roll_back(xid);
          else
            table.commit(xid);
          std::erase(open, xid);
        }
        break;
      case 4: (void)reader->look(); break;
      case 5:
        if (reader->has_window()) step();
        break;
      case 6: {
        const auto slice = *rc::gen::inRange<Slice>(0, 3);
        if (held.insert(slice).second) RC_ASSERT(reader->add(slice, saved[slice]));
        break;
      }
      case 7: {
        const auto slice = *rc::gen::inRange<Slice>(0, 3);
        if (held.erase(slice) == 1) reader->remove(slice);
        break;
      }
    }
  }
  for (const auto xid : open) table.commit(xid);
  for (Slice slice = 0; slice < 3; ++slice) {
    if (held.insert(slice).second) RC_ASSERT(reader->add(slice, saved[slice]));
  }
  for (int quiet = 0; quiet < 3;) {
    quiet = reader->look() || reader->has_window() ? 0 : quiet + 1;
    while (reader->has_window()) step();
  }
  for (const auto id : table.committed()) RC_ASSERT(delivered[id] == 1);
  RC_ASSERT(delivered.size() == table.committed().size());
}

}  // namespace
}  // namespace relevo::feed
