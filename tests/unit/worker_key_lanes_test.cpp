#include "relevo/worker/key_lanes.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>
#include <set>

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;
using Ticket = KeyLanes::Ticket;

const TopicPartition kOne{"orders", 0};
const TopicPartition kTwo{"orders", 1};
const core::BootTime kNow{1h};

class KeyLanesTest : public testing::Test {
 protected:
  KeyLanesTest() {
    lanes.open(kOne);
    lanes.open(kTwo);
  }
  Ticket add(const std::string& key, const TopicPartition& partition = kOne) {
    return lanes.add(partition, offset++, key, 100);
  }

  KeyLanes lanes{{.messages = 10, .bytes = 10'000}};
  std::int64_t offset = 0;
};

TEST_F(KeyLanesTest, one_message_of_a_key_at_a_time) {
  const auto a1 = add("a");
  const auto a2 = add("a");
  const auto b1 = add("b");
  EXPECT_EQ(lanes.take(kNow, 10, 1), (std::vector{a1, b1}));
  EXPECT_TRUE(lanes.take(kNow, 10, 1).empty());
  lanes.finish(a1);
  EXPECT_EQ(lanes.take(kNow, 10, 1), std::vector{a2});
}

TEST_F(KeyLanesTest, several_of_a_key_come_together_in_their_order) {
  const auto a1 = add("a");
  const auto a2 = add("a");
  const auto a3 = add("a");
  EXPECT_EQ(lanes.take(kNow, 2, 10), (std::vector{a1, a2}));
  EXPECT_TRUE(lanes.take(kNow, 2, 10).empty());
  lanes.finish(a2);
  EXPECT_TRUE(lanes.take(kNow, 2, 10).empty());
  lanes.finish(a1);
  EXPECT_EQ(lanes.take(kNow, 2, 10), std::vector{a3});
}

TEST_F(KeyLanesTest, messages_without_a_key_do_not_wait_for_each_other) {
  lanes.add(kOne, 0, std::nullopt, 1);
  lanes.add(kOne, 1, std::nullopt, 1);
  EXPECT_EQ(lanes.take(kNow, 10, 1).size(), 2U);
}

TEST_F(KeyLanesTest, a_message_that_waits_holds_up_its_key_only) {
  const auto a1 = add("a");
  add("a");
  const auto b1 = add("b");
  lanes.take(kNow, 1, 1);
  lanes.put_back(a1, kNow + 1s, true);
  EXPECT_EQ(lanes.take(kNow, 10, 1), std::vector{b1});
  EXPECT_EQ(lanes.next_due(), kNow + 1s);
  EXPECT_TRUE(lanes.take(kNow + 999ms, 10, 1).empty());
  EXPECT_EQ(lanes.take(kNow + 1s, 10, 10), std::vector{a1}) << "alone, though its key has more";
}

TEST_F(KeyLanesTest, what_failed_before_comes_alone) {
  const auto a1 = add("a");
  lanes.take(kNow, 1, 1);
  lanes.put_back(a1, kNow, true);
  const auto b1 = add("b");
  EXPECT_EQ(lanes.take(kNow, 10, 1), std::vector{b1}) << "it was ready first";
  EXPECT_EQ(lanes.take(kNow, 10, 1), std::vector{a1});
}

TEST_F(KeyLanesTest, several_put_back_keep_their_order) {
  const auto a1 = add("a");
  const auto a2 = add("a");
  const auto a3 = add("a");
  lanes.take(kNow, 2, 2);
  lanes.put_back(a2, kNow, false);
  lanes.put_back(a1, kNow, false);
  EXPECT_EQ(lanes.take(kNow, 3, 3), (std::vector{a1, a2, a3}));
}

TEST_F(KeyLanesTest, an_offset_is_told_once_everything_before_it_is_finished) {
  const auto a1 = add("a");
  const auto b1 = add("b");
  lanes.take(kNow, 10, 1);
  lanes.finish(b1);
  EXPECT_EQ(lanes.advanced(kOne), std::nullopt);
  lanes.finish(a1);
  EXPECT_EQ(lanes.advanced(kOne), 2);
  EXPECT_EQ(lanes.advanced(kOne), std::nullopt) << "nothing new";
  EXPECT_EQ(lanes.advanced(kTwo), std::nullopt);
}

TEST_F(KeyLanesTest, it_is_full_by_number_and_by_bytes) {
  std::vector<Ticket> tickets;
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(lanes.full());
    tickets.push_back(add("k" + std::to_string(i)));
  }
  EXPECT_TRUE(lanes.full());
  lanes.take(kNow, 10, 1);
  for (const auto ticket : tickets) lanes.finish(ticket);
  EXPECT_TRUE(lanes.roomy());
  lanes.add(kOne, 100, "big", 20'000);
  EXPECT_TRUE(lanes.full());
}

TEST_F(KeyLanesTest, revoked_messages_are_forgotten_and_those_at_work_still_count) {
  const auto a1 = add("a");
  const auto a2 = add("a");
  const auto b1 = add("b", kTwo);
  lanes.take(kNow, 1, 1);
  EXPECT_EQ(lanes.revoke(kOne), std::vector{a2});
  EXPECT_EQ(lanes.at_work(kOne), 1U);
  EXPECT_FALSE(lanes.accepts(kOne, 100));
  lanes.finish(a1);
  EXPECT_EQ(lanes.advanced(kOne), 1);
  lanes.drop(kOne);
  EXPECT_EQ(lanes.take(kNow, 10, 1), std::vector{b1});
}

TEST_F(KeyLanesTest, what_outlives_its_partition_no_longer_counts) {
  const auto a1 = add("a");
  lanes.take(kNow, 1, 1);
  lanes.revoke(kOne);
  lanes.drop(kOne);
  lanes.open(kOne);  // given back: the message comes anew
  const auto again = lanes.add(kOne, 0, "a", 1);
  EXPECT_TRUE(lanes.take(kNow, 1, 1).empty()) << "its key is at work";
  EXPECT_FALSE(lanes.put_back(a1, kNow, true));
  EXPECT_EQ(lanes.advanced(kOne), std::nullopt);
  EXPECT_EQ(lanes.take(kNow, 1, 1), std::vector{again});
  lanes.finish(again);
  EXPECT_EQ(lanes.advanced(kOne), 1);
  EXPECT_EQ(lanes.held(), 0U);
}

// Any course of events: order and exclusion per key, the watermark never ahead, nothing leaked.
TEST(KeyLanes, keeps_order_exclusion_and_watermark) {
  rc::check([] {
    KeyLanes lanes({.messages = 50, .bytes = 1U << 20U});
    struct Held {
      TopicPartition partition;
      std::int64_t offset = 0;
      std::string key;
      bool live = true;  // its partition was not revoked
    };
    std::map<Ticket, Held> held;
    std::set<Ticket> at_work;
    std::map<TopicPartition, std::int64_t> next_offset;
    std::map<TopicPartition, std::set<std::int64_t>> unfinished;
    std::map<std::pair<TopicPartition, std::string>, std::int64_t> newest_done;
    core::BootTime now{1h};
    const auto steps = *rc::gen::inRange(1, 200);
    const auto per_key = static_cast<std::size_t>(*rc::gen::element(1, 3));
    const auto some = [&] {
      auto place = at_work.begin();
      std::advance(place, *rc::gen::inRange<std::size_t>(0, at_work.size()));
      return *place;
    };
    for (int step = 0; step < steps; ++step) {
      const TopicPartition partition{"t", *rc::gen::inRange(0, 2)};
      switch (*rc::gen::inRange(0, 7)) {
        case 0:
        case 1: {
          lanes.open(partition);
          if (lanes.full()) break;
          const auto key = std::string(1, static_cast<char>('a' + *rc::gen::inRange(0, 3)));
          const auto offset = next_offset[partition]++;
          const auto ticket = lanes.add(partition, offset, key, 10);
          RC_ASSERT(!held.contains(ticket));
          held[ticket] = {partition, offset, key, true};
          unfinished[partition].insert(offset);
          break;
        }
        case 2: {
          std::map<std::string, std::size_t> before;
          for (const auto ticket : at_work) ++before[held[ticket].key];
          for (const auto ticket : lanes.take(now, 5, per_key)) {
            const auto& message = held.at(ticket);
            RC_ASSERT(!before.contains(message.key));
            for (const auto& [other, it] : held) {  // nothing earlier of its key is left behind
              RC_ASSERT(at_work.contains(other) || it.partition != message.partition ||
                        it.key != message.key || !it.live || it.offset >= message.offset);
            }
            at_work.insert(ticket);
          }
          break;
        }
        case 3:
        case 4:
          if (!at_work.empty()) {
            const auto ticket = some();
            const auto message = held[ticket];
            if (message.live) unfinished[message.partition].erase(message.offset);
            lanes.finish(ticket);
            at_work.erase(ticket);
            held.erase(ticket);
          }
          break;
        case 5:
          if (!at_work.empty()) {
            const auto ticket = some();
            const bool kept = lanes.put_back(ticket, now + 1ms * *rc::gen::inRange(0, 5),
                                             *rc::gen::arbitrary<bool>());
            RC_ASSERT(kept == held[ticket].live);
            at_work.erase(ticket);
            if (!kept) held.erase(ticket);
          }
          break;
        case 6:
          if (*rc::gen::inRange(0, 4) != 0) {
            now += 2ms;
            break;
          }
          for (const auto ticket : lanes.revoke(partition)) {
            RC_ASSERT(held.at(ticket).partition == partition && !at_work.contains(ticket));
            held.erase(ticket);
          }
          lanes.drop(partition);
          for (auto& [ticket, message] : held) {
            if (message.partition == partition) message.live = false;
          }
          next_offset[partition] = *rc::gen::inRange(0, 3);  // read again from an earlier one
          unfinished[partition].clear();
          break;
        default: break;
      }
      RC_ASSERT(lanes.held() == held.size());
      RC_ASSERT(lanes.at_work() == at_work.size());
      for (const auto& [of, offsets] : unfinished) {
        if (const auto next = lanes.advanced(of)) {
          RC_ASSERT(*next <= next_offset[of]);
          RC_ASSERT(offsets.empty() || *next <= *offsets.begin());
        }
      }
    }
  });
}

}  // namespace
}  // namespace relevo::worker
