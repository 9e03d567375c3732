// A row of relevo.job as it was read, and as it is kept until its run is over.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/feed/position.hpp"
#include "relevo/feed/snapshot.hpp"
#include "relevo/worker/job.hpp"

namespace relevo::worker {

using Token = std::int32_t;  // fence: raised by every change that ends a claim

inline constexpr int kClasses = 3;  // 0 high, 1 normal, 2 low: the sign of the priority

// Order of reading inside a class: by the transaction that changed the row last, then by id.
struct Cursor {
  feed::Xid xid = 0;
  JobId id = -1;

  friend auto operator<=>(const Cursor&, const Cursor&) = default;
};

using JobPosition = feed::BasicPosition<Cursor>;

struct JobKey {
  JobId id = 0;
  Token token = 0;

  friend bool operator==(const JobKey&, const JobKey&) = default;
};

// Views into the memory of its page.
struct JobRow {
  Cursor at;
  feed::Slice lane = 0;
  int job_class = 1;
  Token token = 0;
  bool due = true;
  std::optional<core::WallTime> run_at;
  std::string_view queue;
  std::string_view kind;
  int priority = 0;
  int attempts = 0;
  int crashes = 0;
  std::optional<std::string_view> unique_key;
  std::optional<std::string_view> concurrency_key;
  std::optional<std::string_view> rate_key;
  std::optional<std::string_view> tenant;
  std::optional<int> max_attempts;
  std::optional<std::chrono::milliseconds> timeout;
  std::optional<core::WallTime> expires_at;
  core::WallTime created_at{};
  std::optional<std::int64_t> batch;
  std::string_view headers;                 // "{}" when there are none
  std::optional<std::string_view> payload;  // nullopt: large, fetched at the start
  std::int32_t payload_bytes = 0;
};

struct JobRows {
  std::vector<JobRow> rows;
  std::vector<std::shared_ptr<const void>> memory;  // what the views point into
};

// A row with memory of its own, apart from that of its page.
class JobRecord {
 public:
  explicit JobRecord(const JobRow& row);
  JobRecord(const JobRecord&) = delete;
  JobRecord& operator=(const JobRecord&) = delete;

  const JobRow& row() const { return row_; }
  JobKey key() const { return {row_.at.id, row_.token}; }
  // Bytes it takes, roughly.
  std::size_t size() const { return sizeof(JobRecord) + text_.size() + payload_.size(); }
  void set_payload(std::string payload);
  Job job() const;

 private:
  std::string text_;
  std::string payload_;
  JobRow row_;
};

}  // namespace relevo::worker

template <>
inline constexpr relevo::worker::Cursor relevo::feed::kStart<relevo::worker::Cursor>{};
