#include "relevo/postgres/jobs.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "relevo/core/error.hpp"
#include "relevo/core/invariant.hpp"
#include "relevo/postgres/positions.hpp"
#include "statements.hpp"
#include "timestamp.hpp"

namespace relevo::postgres {
namespace {

using std::chrono::milliseconds;
using worker::Cursor;
using worker::JobId;
using worker::JobKey;

// The statements' literal LIMIT.
constexpr int kPageRows = 2000;
constexpr int kOperationRows = 500;  // some milliseconds in which the worker does nothing else

struct JobColumns {
  enum : int {
    kXid,
    kId,
    kLane,
    kToken,
    kRunAt,
    kQueue,
    kKind,
    kPriority,
    kAttempts,
    kCrashes,
    kUniqueKey,
    kConcurrencyKey,
    kRateKey,
    kTenant,
    kMaxAttempts,
    kTimeout,
    kExpiresAt,
    kCreatedAt,
    kBatch,
    kHeaders,
    kPayload,
    kPayloadBytes,
    kDue,
    kClass
  };
};

std::optional<std::string_view> text_or_null(const Result& result, int row, int column) {
  if (result.is_null(row, column)) return std::nullopt;
  return result.text(row, column);
}

worker::JobRow decode_job(const Result& r, int i) {
  using C = JobColumns;
  worker::JobRow row;
  row.at = {static_cast<feed::Xid>(r.int8(i, C::kXid)), r.int8(i, C::kId)};
  row.lane = static_cast<feed::Slice>(r.int2(i, C::kLane));
  row.token = r.int4(i, C::kToken);
  if (!r.is_null(i, C::kRunAt)) row.run_at = r.time(i, C::kRunAt);
  row.queue = r.text(i, C::kQueue);
  row.kind = r.text(i, C::kKind);
  row.priority = r.int4(i, C::kPriority);
  row.attempts = r.int2(i, C::kAttempts);
  row.crashes = r.int2(i, C::kCrashes);
  row.unique_key = text_or_null(r, i, C::kUniqueKey);
  row.concurrency_key = text_or_null(r, i, C::kConcurrencyKey);
  row.rate_key = text_or_null(r, i, C::kRateKey);
  row.tenant = text_or_null(r, i, C::kTenant);
  if (!r.is_null(i, C::kMaxAttempts)) row.max_attempts = r.int4(i, C::kMaxAttempts);
  if (!r.is_null(i, C::kTimeout)) row.timeout = milliseconds(r.int8(i, C::kTimeout));
  if (!r.is_null(i, C::kExpiresAt)) row.expires_at = r.time(i, C::kExpiresAt);
  row.created_at = r.time(i, C::kCreatedAt);
  if (!r.is_null(i, C::kBatch)) row.batch = r.int8(i, C::kBatch);
  row.headers = r.is_null(i, C::kHeaders) ? std::string_view("{}") : r.text(i, C::kHeaders);
  row.payload = text_or_null(r, i, C::kPayload);
  row.payload_bytes = r.int4(i, C::kPayloadBytes);
  row.due = r.boolean(i, C::kDue);
  row.job_class = r.int2(i, C::kClass);
  return row;
}

// Rows of the result, without the one that only tells how far the scan came; that one's index.
std::optional<int> append(const Result& result, worker::JobRows& rows) {
  rows.memory.push_back(result.memory());
  rows.rows.reserve(rows.rows.size() + static_cast<std::size_t>(result.rows()));
  std::optional<int> end;
  for (int i = 0; i < result.rows(); ++i) {
    if (result.is_null(i, JobColumns::kLane)) {
      end = i;
    } else {
      rows.rows.push_back(decode_job(result, i));
    }
  }
  return end;
}

// Whether the scan ended because it had looked at as many rows as it may.
bool is_full(const Result& result, int end) {
  return result.int4(end, JobColumns::kToken) >= kPageRows;
}

Cursor cursor_of(const Result& result, int row) {
  return {static_cast<feed::Xid>(result.int8(row, JobColumns::kXid)),
          result.int8(row, JobColumns::kId)};
}

// Whole numbers of an array in PostgreSQL's text form, "{1,2}".
template <class Number>
std::vector<Number> numbers_of(std::string_view array) {
  std::vector<Number> numbers;
  const char* at = array.data();
  const char* const end = at + array.size();
  while (at != end) {
    if (*at == '{' || *at == '}' || *at == ',') {
      ++at;
      continue;
    }
    Number number{};
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc{}) {
      throw core::IntegrationError(core::ErrorKind::kRejected, "read lane",
                                   "an array holds something that is no number; was relevo.lane "
                                   "altered by hand?");
    }
    numbers.push_back(number);
    at = next;
  }
  return numbers;
}

// Slots of five: tick a, tick b, xid and id read last, fingerprint of b.
worker::Positions positions_of(std::string_view text) {
  const auto slots = numbers_of<std::int64_t>(text);
  worker::Positions positions;
  if (slots.size() != 5 * positions.size()) {
    throw core::IntegrationError(core::ErrorKind::kRejected, "read lane",
                                 "pos has not 15 numbers; was relevo.lane altered by hand?");
  }
  for (std::size_t c = 0; c < positions.size(); ++c) {
    const auto* slot = &slots[5 * c];
    positions[c] = {slot[0], slot[1], {static_cast<feed::Xid>(slot[2]), slot[3]}, slot[4]};
  }
  return positions;
}

std::string text_of(const worker::Positions& positions) {
  std::vector<std::int64_t> slots;
  for (const auto& p : positions) {
    slots.insert(slots.end(),
                 {p.a, p.b, static_cast<std::int64_t>(p.last_id.xid), p.last_id.id, p.fingerprint});
  }
  std::string text = "{";
  for (const auto slot : slots) text += (text.size() > 1 ? "," : "") + std::to_string(slot);
  return text + "}";
}

worker::Skipped skipped_of(std::string_view text) {
  worker::Skipped skipped;
  const auto revisits = nlohmann::json::parse(text, nullptr, false);
  if (!revisits.is_array()) return skipped;
  for (const auto& one : revisits) {
    const auto job_class = one.value("class", std::size_t{kPageRows});
    if (job_class >= skipped.size()) continue;
    skipped[job_class] = Cursor{one.value("xid", feed::Xid{0}), one.value("id", JobId{-1})};
  }
  return skipped;
}

std::string text_of(const worker::Skipped& skipped) {
  auto revisits = nlohmann::json::array();
  for (std::size_t c = 0; c < skipped.size(); ++c) {
    if (!skipped[c]) continue;
    revisits.push_back({{"class", c}, {"xid", skipped[c]->xid}, {"id", skipped[c]->id}});
  }
  return revisits.dump();
}

std::vector<worker::LaneRow> lanes_of(const Result& result) {
  std::vector<worker::LaneRow> lanes;
  for (int i = 0; i < result.rows(); ++i) {
    worker::LaneRow lane;
    lane.lane = static_cast<feed::Slice>(result.int2(i, 0));
    lane.epoch = result.int8(i, 1);
    lane.version = result.int8(i, 2);
    lane.positions = positions_of(result.text(i, 3));
    const auto ids = numbers_of<JobId>(result.text(i, 4));
    const auto tokens = numbers_of<worker::Token>(result.text(i, 5));
    for (std::size_t k = 0; k < ids.size() && k < tokens.size(); ++k) {
      lane.open.push_back({ids[k], tokens[k]});
    }
    lane.skipped = skipped_of(result.text(i, 6));
    if (!result.is_null(i, 7)) lane.previous_holder = result.string(i, 7);
    lanes.push_back(std::move(lane));
  }
  return lanes;
}

std::vector<JobId> ids_of(const Result& result) {
  std::vector<JobId> ids;
  ids.reserve(static_cast<std::size_t>(result.rows()));
  for (int i = 0; i < result.rows(); ++i) ids.push_back(result.int8(i, 0));
  return ids;
}

struct Columns {
  std::vector<std::int64_t> ids, tokens;

  void add(const JobKey& key) {
    ids.push_back(key.id);
    tokens.push_back(key.token);
  }
  Params params() const { return std::move(Params().add_array(ids).add_array(tokens)); }
};

struct LeaseColumns {
  std::vector<feed::Slice> lanes;
  std::vector<std::int64_t> epochs;

  explicit LeaseColumns(std::span<const feed::Lease> leases) {
    for (const auto& lease : leases) {
      lanes.push_back(lease.slice);
      epochs.push_back(lease.epoch);
    }
  }
  Params params() const { return std::move(Params().add_array(lanes).add_array(epochs)); }
};

Params finish_params(std::span<const worker::Finish> jobs, const std::string& worker) {
  Columns keys;
  std::vector<std::optional<std::string>> outcomes, results, errors;
  std::vector<std::int64_t> waited;
  std::vector<std::optional<std::int64_t>> ran, holds;
  const auto count = [](const std::optional<std::chrono::milliseconds>& time) {
    return time ? std::optional(time->count()) : std::nullopt;
  };
  for (const auto& job : jobs) {
    keys.add(job.key);
    outcomes.push_back(job.outcome);
    results.push_back(job.result);
    errors.push_back(job.error);
    waited.push_back(job.waited.count());
    ran.push_back(count(job.ran));
    holds.push_back(count(job.hold));
  }
  auto params = keys.params();
  params.add_array(outcomes)
      .add_array(results)
      .add_array(errors)
      .add(worker)
      .add_array(waited)
      .add_array(ran)
      .add_array(holds);
  return params;
}

Params failure_params(std::span<const worker::Failure> jobs, const std::string& worker) {
  Columns keys;
  std::vector<std::int64_t> attempts, delays, states, ran;
  std::vector<std::optional<std::string>> errors;
  for (const auto& job : jobs) {
    keys.add(job.key);
    attempts.push_back(job.attempts);
    delays.push_back(job.delay.count());
    states.push_back(static_cast<std::int64_t>(job.then));
    errors.push_back(job.error);
    ran.push_back(job.ran.count());
  }
  auto params = keys.params();
  params.add_array(attempts)
      .add_array(delays)
      .add_array(states)
      .add_array(errors)
      .add(worker)
      .add_array(ran);
  return params;
}

worker::SignalKind signal_kind(std::string_view what) {
  if (what == "cancel") return worker::SignalKind::kCancel;
  return what == "edit" ? worker::SignalKind::kEdit : worker::SignalKind::kRetryNow;
}

std::string_view scope_name(worker::Scope scope) {
  switch (scope) {
    case worker::Scope::kQueue: return "queue";
    case worker::Scope::kKind: return "kind";
    case worker::Scope::kRate: return "rate";
    case worker::Scope::kTenant: return "tenant";
    case worker::Scope::kKey:
    case worker::Scope::kAll: break;
  }
  return "all";
}

struct DueColumns {
  std::vector<std::string> times;
  std::vector<std::int64_t> ids;

  explicit DueColumns(std::span<const worker::DueCursor, worker::kClasses> cursors) {
    for (const auto& cursor : cursors) {
      times.push_back(cursor.run_at ? timestamp(*cursor.run_at) : "-infinity");
      ids.push_back(cursor.id);
    }
  }
};

class RunUnit final : public worker::RunUnit {
 public:
  RunUnit(Connection& connection, const std::string& worker)
      : transaction_(connection), worker_(worker) {}

  using UnitOfWork::query;
  std::vector<worker::Row> query(const worker::Statement& statement,
                                 std::span<const worker::Value> values) override {
    return transaction_.query(statement, values);
  }
  void publish(const worker::NewEvent& event) override { transaction_.publish(event); }
  JobId enqueue(const worker::NewJob& job) override { return transaction_.enqueue(job); }
  void audit(const worker::AuditEntry& entry) override { transaction_.audit(entry); }

  bool used() const override { return true; }

  std::vector<JobId> finish(std::span<const worker::Finish> ended,
                            std::span<const worker::Failure> snoozed) override {
    std::vector<JobId> changed;
    const auto run = [&](const Statement& statement, const Params& params) {
      const auto ids = ids_of(transaction_.execute(statement, params));
      changed.insert(changed.end(), ids.begin(), ids.end());
    };
    if (!ended.empty()) run(statements::kJobFinishFull, finish_params(ended, worker_));
    if (!snoozed.empty()) run(statements::kJobFail, failure_params(snoozed, worker_));
    return changed;
  }
  void commit() override { transaction_.commit(); }
  void rollback() override { transaction_.rollback(); }

 private:
  Transaction transaction_;
  const std::string& worker_;
};

// Rows from here on were in no window before: late ones come first.
Cursor fresh_from(const feed::Tick& a) {
  return {a.snapshot.xmax() - 1, std::numeric_limits<JobId>::max()};
}

void append(worker::JobRows from, worker::JobRows& to) {
  to.rows.insert(to.rows.end(), from.rows.begin(), from.rows.end());
  std::move(from.memory.begin(), from.memory.end(), std::back_inserter(to.memory));
}

}  // namespace

JobWindows::Scan JobWindows::scan_of(const Result& result) {
  Scan scan;
  const auto end = append(result, scan.rows);
  if (end && is_full(result, *end)) scan.cut_at = cursor_of(result, *end);
  return scan;
}

// Rows of transactions that were under way at a and have committed by b.
JobWindows::Scan JobWindows::late(const feed::Tick& a, const feed::Tick& b, Cursor after,
                                  std::span<const feed::Slice> lanes) {
  auto xids = feed::late_xids(a.snapshot, b.snapshot);
  std::erase_if(xids, [&](feed::Xid xid) { return xid < after.xid; });
  if (xids.empty()) return {};
  return scan_of(
      connection_->run(statements::kJobLate, Params()
                                                 .add(std::int64_t{class_})
                                                 .add_array(std::span<const feed::Xid>(xids))
                                                 .add(static_cast<std::int64_t>(after.xid))
                                                 .add(after.id)
                                                 .add(mask_)
                                                 .add_array(lanes)));
}

JobWindows::Scan JobWindows::fresh(const feed::Tick& b, Cursor after,
                                   std::span<const feed::Slice> lanes) {
  return scan_of(
      connection_->run(statements::kJobPage, Params()
                                                 .add(std::int64_t{class_})
                                                 .add(static_cast<std::int64_t>(after.xid))
                                                 .add(after.id)
                                                 .add(static_cast<std::int64_t>(b.snapshot.xmax()))
                                                 .add(b.snapshot.text())
                                                 .add(mask_)
                                                 .add_array(lanes)));
}

std::optional<worker::JobRows> JobWindows::small_window(const feed::Tick& a, const feed::Tick& b,
                                                        Cursor after,
                                                        std::span<const feed::Slice> lanes) {
  Scan late_rows;
  if (after < fresh_from(a)) {
    late_rows = late(a, b, after, lanes);
    if (late_rows.cut_at) return std::nullopt;
    after = fresh_from(a);
  }
  auto fresh_rows = fresh(b, after, lanes);
  if (fresh_rows.cut_at) return std::nullopt;
  append(std::move(fresh_rows.rows), late_rows.rows);
  return std::move(late_rows.rows);
}

Cursor JobWindows::lower_bound(const feed::Tick&, const feed::Tick&) {
  return feed::kStart<Cursor>;  // the index leads straight to the window
}

void JobWindows::request_page(const feed::Tick& a, const feed::Tick& b, Cursor after,
                              std::span<const feed::Slice> lanes) {
  asked_.emplace(Asked{a, b, after, {lanes.begin(), lanes.end()}});
}

feed::Page<worker::JobRows, Cursor> JobWindows::receive_page() {
  RELEVO_INVARIANT(asked_, "a page was asked for");
  const auto asked = *std::exchange(asked_, std::nullopt);
  feed::Page<worker::JobRows, Cursor> page;
  if (asked.after < fresh_from(asked.a)) {
    auto found = late(asked.a, asked.b, asked.after, asked.lanes);
    page.rows = std::move(found.rows);
    page.scanned_to = found.cut_at.value_or(fresh_from(asked.a));
    return page;
  }
  auto found = fresh(asked.b, asked.after, asked.lanes);
  page.rows = std::move(found.rows);
  page.scanned_to = found.cut_at;
  return page;
}

std::vector<worker::LaneRow> LaneStore::take(const std::string& holder, milliseconds ttl,
                                             int most) {
  return lanes_of(connection_->run(
      statements::kLaneTake,
      Params().add(holder).add(ttl).add(std::int64_t{most}).add(std::int64_t{lanes_})));
}

std::vector<worker::LaneRow> LaneStore::retake(const std::string& holder, milliseconds ttl,
                                               std::span<const feed::Lease> leases) {
  const LeaseColumns columns(leases);
  return lanes_of(connection_->run(
      statements::kLaneRetake,
      Params().add(holder).add(ttl).add_array(columns.lanes).add_array(columns.epochs)));
}

std::optional<worker::Settled> LaneStore::settle(feed::Slice lane, std::int64_t epoch,
                                                 std::int64_t version, bool crash,
                                                 int quarantine_after, milliseconds backoff,
                                                 const std::string& worker) {
  Params params;
  params.add(std::int64_t{lane})
      .add(epoch)
      .add(version)
      .add(crash ? "true" : "false")
      .add(std::int64_t{quarantine_after})
      .add(backoff);
  if (worker.empty()) {
    params.add(std::nullopt);
  } else {
    params.add(worker);
  }
  const auto result = connection_->run(statements::kLaneSettle, params);
  if (result.rows() == 0 || result.is_null(0, 0)) return std::nullopt;
  return worker::Settled{result.int8(0, 0), result.int4(0, 1)};
}

std::vector<worker::Journalled> LaneStore::journal(std::span<const worker::LaneRow* const> lanes,
                                                   std::span<const worker::UniqueStart> unique) {
  std::vector<feed::Slice> slices, unique_lanes;
  std::vector<std::int64_t> epochs, versions;
  std::vector<std::string> positions, ids, tokens, revisits;
  for (const auto* lane : lanes) {
    slices.push_back(lane->lane);
    epochs.push_back(lane->epoch);
    versions.push_back(lane->version);
    positions.push_back(text_of(lane->positions));
    revisits.push_back(text_of(lane->skipped));
    auto& id_text = ids.emplace_back("{");
    auto& token_text = tokens.emplace_back("{");
    for (const auto& key : lane->open) {
      if (id_text.size() > 1) id_text += ',';
      if (token_text.size() > 1) token_text += ',';
      id_text += std::to_string(key.id);
      token_text += std::to_string(key.token);
    }
    id_text += '}';
    token_text += '}';
  }
  Columns keys;
  for (const auto& one : unique) {
    unique_lanes.push_back(one.lane);
    keys.add(one.key);
  }
  const auto result = connection_->run(statements::kLaneJournal, Params()
                                                                     .add_array(slices)
                                                                     .add_array(epochs)
                                                                     .add_array(versions)
                                                                     .add_array(positions)
                                                                     .add_array(ids)
                                                                     .add_array(tokens)
                                                                     .add_array(revisits)
                                                                     .add_array(unique_lanes)
                                                                     .add_array(keys.ids)
                                                                     .add_array(keys.tokens));
  std::vector<worker::Journalled> journalled;
  for (int i = 0; i < result.rows(); ++i) {
    journalled.push_back(
        {static_cast<feed::Slice>(result.int2(i, 0)), numbers_of<JobId>(result.text(i, 1))});
  }
  return journalled;
}

void LaneStore::release(std::span<const worker::LaneRow* const> lanes) {
  std::vector<feed::Slice> slices;
  std::vector<std::int64_t> epochs, versions;
  for (const auto* lane : lanes) {
    slices.push_back(lane->lane);
    epochs.push_back(lane->epoch);
    versions.push_back(lane->version);
  }
  connection_->run(statements::kLaneRelease,
                   Params().add_array(slices).add_array(epochs).add_array(versions));
}

worker::JobRows JobReader::peek(const feed::Tick& since, std::span<const feed::Slice> lanes) {
  worker::JobRows rows;
  append(connection_->run(statements::kJobPeek,
                          Params()
                              .add(static_cast<std::int64_t>(since.snapshot.xmax()))
                              .add_array(since.snapshot.in_progress())
                              .add(mask_)
                              .add_array(lanes)),
         rows);
  return rows;
}

worker::DuePage JobReader::due(int job_class, const worker::DueCursor& after,
                               std::span<const feed::Slice> lanes) {
  const auto result =
      connection_->run(statements::kJobDue,
                       Params()
                           .add(std::int64_t{job_class})
                           .add(after.run_at ? timestamp(*after.run_at) : std::string("-infinity"))
                           .add(after.id)
                           .add(mask_)
                           .add_array(lanes));
  worker::DuePage page;
  if (const auto end = append(result, page.rows)) {
    page.scanned_to = worker::DueCursor{result.time(*end, JobColumns::kRunAt),
                                        result.int8(*end, JobColumns::kId)};
    page.complete = !is_full(result, *end);
  }
  return page;
}

std::optional<milliseconds> JobReader::next_due(
    std::span<const worker::DueCursor, worker::kClasses> after) {
  const DueColumns columns(after);
  const auto result = connection_->run(statements::kJobNextDue,
                                       Params().add_array(columns.times).add_array(columns.ids));
  if (result.is_null(0, 0)) return std::nullopt;
  return milliseconds(result.int8(0, 0));
}

worker::ScanPage JobReader::scan(int job_class, Cursor after, worker::Scope scope,
                                 const std::string& value, std::span<const feed::Slice> lanes) {
  const auto result =
      connection_->run(statements::kJobScan, Params()
                                                 .add(std::int64_t{job_class})
                                                 .add(static_cast<std::int64_t>(after.xid))
                                                 .add(after.id)
                                                 .add(scope_name(scope))
                                                 .add(value)
                                                 .add(mask_)
                                                 .add_array(lanes));
  worker::ScanPage page;
  const auto end = append(result, page.rows);
  if (end && is_full(result, *end)) page.scanned_to = cursor_of(result, *end);
  return page;
}

worker::JobRows JobReader::of_key(const std::string& key, JobId after,
                                  std::span<const feed::Slice> lanes) {
  worker::JobRows rows;
  append(connection_->run(statements::kJobOfKey,
                          Params().add(key).add(after).add(mask_).add_array(lanes)),
         rows);
  return rows;
}

std::vector<JobReader::LargePayload> JobReader::payloads(std::span<const JobId> ids) {
  const auto result = connection_->run(statements::kJobPayloads, Params().add_array(ids));
  std::vector<LargePayload> payloads;
  for (int i = 0; i < result.rows(); ++i) {
    payloads.push_back({result.int8(i, 0), result.string(i, 1)});
  }
  return payloads;
}

std::vector<JobId> JobReader::still(std::span<const JobKey> jobs) {
  Columns keys;
  for (const auto& job : jobs) keys.add(job);
  return ids_of(connection_->run(statements::kJobStill, keys.params()));
}

worker::Controls JobReader::controls() {
  worker::Controls controls;
  controls.now = connection_->run(statements::kDatabaseTime).time(0, 0);
  const auto states = connection_->run(statements::kQueueStates);
  for (int i = 0; i < states.rows(); ++i) {
    worker::QueueState state{states.string(i, 0), states.string(i, 1), states.boolean(i, 2), {}};
    if (!states.is_null(i, 3)) state.concurrency = states.int4(i, 3);
    controls.queues.push_back(std::move(state));
  }
  const auto weights = connection_->run(statements::kTenantWeights);
  for (int i = 0; i < weights.rows(); ++i) {
    controls.tenant_weights.emplace_back(weights.string(i, 0), weights.int4(i, 1));
  }
  return controls;
}

bool JobReader::anything_due(std::span<const std::string> queues) {
  return connection_->run(statements::kJobAnythingDue, Params().add_array(queues)).boolean(0, 0);
}

std::vector<worker::Signal> JobReader::signals(std::span<const feed::Slice> lanes) {
  const auto result = connection_->run(statements::kJobSignals, Params().add_array(lanes));
  std::vector<worker::Signal> signals;
  for (int i = 0; i < result.rows(); ++i) {
    worker::Signal signal{result.int8(i, 0), static_cast<feed::Slice>(result.int2(i, 1)),
                          worker::SignalKind::kOperation, 0};
    if (result.is_null(i, 3)) {
      signal.subject = result.int8(i, 4);
    } else {
      signal.kind = signal_kind(result.text(i, 2));
      signal.subject = result.int8(i, 3);
    }
    signals.push_back(signal);
  }
  return signals;
}

void JobReader::signals_done(std::span<const std::int64_t> ids) {
  connection_->run(statements::kJobSignalsDone, Params().add_array(ids));
}

bool JobReader::cancel_waiting(std::span<const feed::Lease> lanes, JobId job,
                               const std::string& reason) {
  auto params = LeaseColumns(lanes).params();
  params.add_array(std::span<const JobId>(&job, 1)).add("{NULL}").add(reason);
  return connection_->run(statements::kJobCancelWaiting, params).rows() > 0;
}

bool JobReader::lives(JobId job) {
  return connection_->run(statements::kJobLives, Params().add(job)).boolean(0, 0);
}

void JobReader::retry_now(std::span<const feed::Lease> lanes, std::span<const JobId> jobs) {
  auto params = LeaseColumns(lanes).params();
  connection_->run(statements::kJobRetryNow, params.add_array(jobs));
}

bool JobReader::edit_waiting(std::span<const feed::Lease> lanes, std::int64_t signal) {
  auto params = LeaseColumns(lanes).params();
  return !connection_->run(statements::kJobEditWaiting, params.add(signal)).is_null(0, 0);
}

worker::OperationPage JobReader::apply_operation(std::int64_t operation,
                                                 std::span<const feed::Lease> lanes, JobId after,
                                                 std::span<const JobId> held) {
  const LeaseColumns columns(lanes);
  const auto result =
      connection_->run(statements::kJobApplyOperation, Params()
                                                           .add(operation)
                                                           .add_array(columns.lanes)
                                                           .add_array(columns.epochs)
                                                           .add(after)
                                                           .add(std::int64_t{kOperationRows})
                                                           .add_array(held));
  worker::OperationPage page;
  if (!result.is_null(0, 0)) page.last_id = result.int8(0, 0);
  if (!result.is_null(0, 1)) page.changed = numbers_of<JobId>(result.text(0, 1));
  if (!result.is_null(0, 2)) page.running = numbers_of<JobId>(result.text(0, 2));
  page.missed = !result.is_null(0, 3) && result.int4(0, 3) > 0;
  return page;
}

void JobReader::operation_lane_done(std::int64_t operation, std::int64_t signal,
                                    std::size_t stopping) {
  connection_->run(statements::kJobOperationLaneDone,
                   Params().add(operation).add(signal).add(static_cast<std::int64_t>(stopping)));
}

std::vector<worker::Tokens> JobReader::take_tokens(std::span<const std::string> keys,
                                                   std::span<const int> wanted) {
  const std::vector<std::int64_t> counts(wanted.begin(), wanted.end());
  const auto result =
      connection_->run(statements::kTakeTokens, Params().add_array(keys).add_array(counts));
  std::vector<worker::Tokens> tokens(keys.size());
  for (int i = 0; i < result.rows(); ++i) {
    const auto place = std::find(keys.begin(), keys.end(), result.text(i, 0)) - keys.begin();
    if (place == std::ssize(keys) || result.is_null(i, 1)) continue;
    tokens[static_cast<std::size_t>(place)] = {
        result.int4(i, 1), milliseconds(result.is_null(i, 2) ? 0 : result.int8(i, 2))};
  }
  return tokens;
}

JobReader::SweepPage JobReader::sweep(JobId after, const SweepBounds& bounds,
                                      std::span<const feed::Slice> lanes) {
  std::vector<std::string> snapshots(bounds.snapshots.begin(), bounds.snapshots.end());
  const DueColumns cursors(bounds.due);
  const auto result = connection_->run(statements::kJobSweep, Params()
                                                                  .add(after)
                                                                  .add_array(snapshots)
                                                                  .add_array(cursors.times)
                                                                  .add_array(cursors.ids)
                                                                  .add(mask_)
                                                                  .add_array(lanes));
  SweepPage page;
  for (int i = 0; i < result.rows(); ++i) {
    if (!result.is_null(i, 1)) {
      page.stuck.push_back({result.int8(i, 0), result.int4(i, 1)});
    } else if (!result.is_null(i, 0)) {
      page.scanned_to = result.int8(i, 0);
    }
  }
  return page;
}

int JobReader::sweep_fix(std::span<const feed::Lease> lanes, std::span<const JobKey> jobs) {
  auto params = LeaseColumns(lanes).params();
  Columns keys;
  for (const auto& job : jobs) keys.add(job);
  params.add_array(keys.ids).add_array(keys.tokens);
  return connection_->run(statements::kJobSweepFix, params).rows();
}

void ResultWriter::send_plain(std::span<const JobKey> jobs) {
  Columns keys;
  for (const auto& job : jobs) keys.add(job);
  connection_.send(statements::kJobFinish, keys.params());
}

void ResultWriter::send_finish(std::span<const worker::Finish> jobs) {
  connection_.send(statements::kJobFinishFull, finish_params(jobs, worker_));
}

void ResultWriter::send_failures(std::span<const worker::Failure> jobs) {
  connection_.send(statements::kJobFail, failure_params(jobs, worker_));
}

void ResultWriter::send_crashes(std::span<const worker::Failure> jobs, int quarantine_after) {
  Columns keys;
  std::vector<std::int64_t> delays, ran;
  std::vector<std::optional<std::string>> errors;
  for (const auto& job : jobs) {
    keys.add(job.key);
    delays.push_back(job.delay.count());
    errors.push_back(job.error);
    ran.push_back(job.ran.count());
  }
  auto params = keys.params();
  params.add(std::int64_t{quarantine_after})
      .add_array(delays)
      .add_array(errors)
      .add(worker_)
      .add_array(ran);
  connection_.send(statements::kJobCrashed, params);
}

std::vector<JobId> ResultWriter::receive() { return ids_of(connection_.receive()); }

std::unique_ptr<worker::RunUnit> UnitSource::begin() {
  if (!connection_ || !connection_->usable()) {
    connection_.reset();
    connection_ = std::make_unique<Connection>(options_);
  }
  return std::make_unique<RunUnit>(*connection_, worker_);
}

worker::JobSession connect_jobs(const ConnectOptions& options, int lanes) {
  auto connection = std::make_shared<Connection>(options);
  return {std::make_unique<TickSource>(connection),
          {std::make_unique<JobWindows>(connection, 0, lanes),
           std::make_unique<JobWindows>(connection, 1, lanes),
           std::make_unique<JobWindows>(connection, 2, lanes)},
          std::make_unique<LaneStore>(connection, lanes),
          std::make_unique<JobReader>(connection, lanes)};
}

}  // namespace relevo::postgres
