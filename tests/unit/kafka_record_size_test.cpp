#include "relevo/kafka/record_size.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace relevo::kafka {
namespace {

struct Case {
  std::size_t key;
  std::size_t value;
  std::vector<std::pair<std::size_t, std::size_t>> headers;  // sizes of name and value
  std::size_t batch;
};

// 61 + varint(record) + record; record = 3 + varint(key) + key + varint(value) + value +
// varint(headers) + … A zigzag varint takes one byte up to 63, two up to 8191, three up to 1048575.
TEST(KafkaRecordSize, IsExactAroundTheEdgesOfVarints) {
  const std::vector<Case> cases{
      {0, 0, {}, 61 + 1 + 6},
      {1, 1, {}, 61 + 1 + 8},
      {1, 56, {}, 61 + 1 + 63},
      {1, 57, {}, 61 + 2 + 64},
      {0, 63, {}, 61 + 2 + 3 + 1 + 1 + 63 + 1},
      {0, 64, {}, 61 + 2 + 3 + 1 + 2 + 64 + 1},
      {64, 0, {}, 61 + 2 + 3 + 2 + 64 + 1 + 1},
      {0, 8183, {}, 61 + 2 + 3 + 1 + 2 + 8183 + 1},
      {0, 8185, {}, 61 + 3 + 3 + 1 + 2 + 8185 + 1},
      {0, 8192, {}, 61 + 3 + 3 + 1 + 3 + 8192 + 1},
      {3,
       5,
       {{4, 0}, {4, 70}},
       61 + 2 + 3 + (1 + 3) + (1 + 5) + 1 + (1 + 4 + 1) + (1 + 4 + 2 + 70)},
  };
  for (const auto& c : cases) {
    const std::string text(10'000, 'x');
    const std::string_view view(text);
    std::vector<relay::Header> headers;
    for (const auto& [name, value] : c.headers)
      headers.push_back({view.substr(0, name), view.substr(0, value)});
    const relay::Record record{.topic = "t",
                               .key = view.substr(0, c.key),
                               .value = view.substr(0, c.value),
                               .headers = headers};
    EXPECT_EQ(batch_size_of(record), c.batch) << "key " << c.key << " value " << c.value;
  }
}

TEST(KafkaRecordSize, ATombstoneTakesOneByteForItsValue) {
  const relay::Record record{.topic = "t", .key = "k", .value = std::nullopt, .headers = {}};
  EXPECT_EQ(batch_size_of(record), 61U + 1 + 3 + 2 + 1 + 1);
}

TEST(KafkaRecordSize, ManyHeadersTakeTwoBytesForTheirNumber) {
  const std::vector<relay::Header> headers(64);
  const relay::Record record{.topic = "t", .key = "", .value = "", .headers = headers};
  EXPECT_EQ(batch_size_of(record), 61U + 2 + 3 + 1 + 1 + 2 + 64 * 2);
}

}  // namespace
}  // namespace relevo::kafka
