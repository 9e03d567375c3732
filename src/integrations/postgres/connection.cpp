#include "relevo/postgres/connection.hpp"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>
#include <regex>
#include <system_error>
#include <utility>

#include "relevo/core/error.hpp"
#include "relevo/core/invariant.hpp"

namespace relevo::postgres {
namespace {

using core::ErrorKind;
using core::IntegrationError;
using std::chrono::milliseconds;

constexpr Statement kBegin{"begin", "BEGIN ISOLATION LEVEL READ COMMITTED"};
// As SET LOCAL would, in one message. Why each: docs/adr/0003-pinned-plans.md.
constexpr Statement kPin{"pin",
                         "SELECT set_config('enable_seqscan', 'off', true), "
                         "set_config('enable_bitmapscan', 'off', true), "
                         "set_config('max_parallel_workers_per_gather', '0', true), "
                         "set_config('jit', 'off', true), "
                         "set_config('plan_cache_mode', 'force_generic_plan', true)"};
constexpr Statement kCommit{"commit", "COMMIT"};
constexpr std::string_view kLockTimeout = "lock_timeout";
constexpr Statement kRollback{"rollback", "ROLLBACK"};

template <class Integer>
Integer from_network(const char* data) {
  std::make_unsigned_t<Integer> value = 0;
  for (std::size_t i = 0; i < sizeof(Integer); ++i) {
    value = static_cast<std::make_unsigned_t<Integer>>((std::uint64_t{value} << 8) |
                                                       static_cast<unsigned char>(data[i]));
  }
  return static_cast<Integer>(value);
}

template <class Number>
std::string number_array(std::span<const Number> numbers) {
  std::string text = "{";
  for (const auto number : numbers) {
    if (text.size() > 1) text += ',';
    text += std::to_string(number);
  }
  return text += '}';
}

void append_quoted(std::string& array, std::string_view text) {
  if (array.size() > 1) array += ',';
  array += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') array += '\\';
    array += c;
  }
  array += '"';
}

std::string one_line(const char* message) {
  std::string text = message ? message : "";
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// SQLSTATE classes: PostgreSQL manual, appendix A.
ErrorKind kind_of(std::string_view state) {
  const auto in = [&](std::initializer_list<std::string_view> states) {
    return std::find(states.begin(), states.end(), state) != states.end();
  };
  const auto category = state.substr(0, 2);
  if (in({"28P01", "28000", "3D000", "42501"})) return ErrorKind::kMisconfigured;
  if (category == "08" || category == "57" || in({"25006", ""})) return ErrorKind::kDisconnected;
  if (category == "53") return ErrorKind::kOverloaded;
  if (category == "40" || category == "55") return ErrorKind::kConflict;
  return ErrorKind::kRejected;
}

// The connection was asked for verbose errors, so a refusal of the server carries its SQLSTATE in
// whatever language; libpq's own complaints are told by their text. Anything unknown is worth
// another try.
ErrorKind refusal_of(const std::string& message) {
  static const std::regex kState(": +([0-9][0-9A-Z]{4}): ");
  auto kind = ErrorKind::kDisconnected;
  for (std::sregex_iterator match(message.begin(), message.end(), kState), end; match != end;
       ++match) {
    kind = kind_of((*match)[1].str());
  }
  // libpq's own: a setting that it does not take, a service that is not defined.
  static const std::regex kSetting(
      "invalid [a-z_]+ value|invalid port number|definition of service|no password supplied");
  if (std::regex_search(message, kSetting) || kind == ErrorKind::kRejected) {
    return ErrorKind::kMisconfigured;
  }
  return kind;
}

// libpq appends where in the server's source the error was raised.
std::string without_location(std::string message) {
  if (const auto at = message.find(" LOCATION:"); at != std::string::npos) message.erase(at);
  return message;
}

// A password with an @, : or / that is not percent-encoded ends up in host or port, and from there
// in libpq's error texts.
void refuse_unescaped_password(const PQconninfoOption* option) {
  for (; option->keyword; ++option) {
    if (!option->val) continue;
    const std::string_view keyword = option->keyword;
    const std::string_view value = option->val;
    const bool odd_host = keyword == "host" && value.find('@') != std::string_view::npos;
    const bool odd_port =
        keyword == "port" && value.find_first_not_of("0123456789,") != std::string_view::npos;
    if (odd_host || odd_port) {
      throw IntegrationError(
          ErrorKind::kMisconfigured, "database.url",
          "host or port is not one; percent-encode the characters @ : / ? # in user and password");
    }
  }
}

struct OptionsFree {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

}  // namespace

Params& Params::add(std::nullopt_t) {
  values_.emplace_back(std::nullopt);
  return *this;
}

Params& Params::add(std::string_view text) {
  values_.emplace_back(std::string(text));
  return *this;
}

Params& Params::add(milliseconds interval) {
  return add(std::to_string(interval.count()) + " milliseconds");
}

Params& Params::add_bytes(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex = "\\x";
  hex.reserve(2 + 2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  values_.emplace_back(std::move(hex));
  return *this;
}

Params& Params::add_array(std::span<const std::int64_t> numbers) {
  return add(number_array(numbers));
}
Params& Params::add_array(std::span<const std::uint64_t> numbers) {
  return add(number_array(numbers));
}
Params& Params::add_array(std::span<const feed::Slice> numbers) {
  return add(number_array(numbers));
}

Params& Params::add_array(std::span<const std::optional<std::int64_t>> numbers) {
  std::string array = "{";
  for (const auto& number : numbers) {
    if (array.size() > 1) array += ',';
    array += number ? std::to_string(*number) : "NULL";
  }
  return add(array += '}');
}

Params& Params::add_array(std::span<const std::string> texts) {
  std::string array = "{";
  for (const auto& text : texts) append_quoted(array, text);
  return add(array += '}');
}

Params& Params::add_array(std::span<const std::optional<std::string>> texts) {
  std::string array = "{";
  for (const auto& text : texts) {
    if (text) {
      append_quoted(array, *text);
    } else {
      array += array.size() > 1 ? ",NULL" : "NULL";
    }
  }
  return add(array += '}');
}

std::vector<const char*> Params::pointers() const {
  std::vector<const char*> pointers;
  pointers.reserve(values_.size());
  for (const auto& value : values_) pointers.push_back(value ? value->c_str() : nullptr);
  return pointers;
}

Result::Result(std::shared_ptr<pg_result> result)
    : result_(std::move(result)), rows_(PQntuples(result_.get())) {}

int Result::columns() const { return PQnfields(result_.get()); }

bool Result::is_null(int row, int column) const {
  return PQgetisnull(result_.get(), row, column) != 0;
}

std::string_view Result::text(int row, int column) const {
  return {PQgetvalue(result_.get(), row, column),
          static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}

std::string_view Result::bytes(int row, int column, int size) const {
  const auto value = text(row, column);
  if (value.size() == static_cast<std::size_t>(size)) return value;
  throw IntegrationError(ErrorKind::kRejected, "read result",
                         "column " + std::string(PQfname(result_.get(), column)) +
                             " has not the type it should have; was a table altered by hand?");
}

std::int64_t Result::int8(int row, int column) const {
  return from_network<std::int64_t>(bytes(row, column, 8).data());
}
std::int32_t Result::int4(int row, int column) const {
  return from_network<std::int32_t>(bytes(row, column, 4).data());
}
std::int16_t Result::int2(int row, int column) const {
  return from_network<std::int16_t>(bytes(row, column, 2).data());
}
bool Result::boolean(int row, int column) const { return bytes(row, column, 1)[0] != 0; }
double Result::float8(int row, int column) const {
  return std::bit_cast<double>(int8(row, column));
}

core::WallTime Result::time(int row, int column) const {
  using namespace std::chrono;
  // timestamptz: microseconds since 2000-01-01 UTC; the extremes stand for infinity, and the last
  // of its years are beyond what counts from 1970.
  static constexpr core::WallTime kEpoch{sys_days{year{2000} / 1 / 1}};
  const auto count = int8(row, column);
  if (count > INT64_MAX - kEpoch.time_since_epoch().count())
    return core::WallTime{sys_days{year{9999} / 12 / 31}};
  if (count == INT64_MIN) return core::WallTime{sys_days{year{1} / 1 / 1}};
  return kEpoch + microseconds(count);
}

void Connection::Closer::operator()(pg_conn* connection) const { PQfinish(connection); }

Connection::Connection(const ConnectOptions& options)
    : prepared_(options.prepared_statements),
      timeout_(options.statement_timeout),
      lock_timeout_(options.lock_timeout.count() > 0
                        ? "SELECT set_config('lock_timeout', '" +
                              std::to_string(options.lock_timeout.count()) + "', true)"
                        : ""),
      observe_(options.observe),
      operation_("connect") {
  char* complaint = nullptr;
  const std::unique_ptr<PQconninfoOption, OptionsFree> given(
      PQconninfoParse(options.url.c_str(), &complaint));
  if (!given) {
    // libpq's text may quote the URL with its password.
    PQfreemem(complaint);
    throw IntegrationError(
        ErrorKind::kMisconfigured, "database.url",
        "neither a postgresql:// URI nor a key=value string that libpq understands");
  }
  refuse_unescaped_password(given.get());
  // Defaults of ours come first; what the URL says overrides them.
  std::vector<std::pair<std::string, std::string>> settings{
      {"keepalives_idle", "30"},
      {"keepalives_interval", "10"},
      {"keepalives_count", "3"},
      {"tcp_user_timeout", std::to_string(options.statement_timeout.count())},
      {"application_name", options.application_name}};
  for (const auto* option = given.get(); option->keyword; ++option) {
    if (!option->val) continue;
    const auto same = std::find_if(settings.begin(), settings.end(),
                                   [&](const auto& s) { return s.first == option->keyword; });
    if (same != settings.end()) {
      same->second = option->val;
    } else {
      settings.emplace_back(option->keyword, option->val);
    }
  }
  settings.emplace_back("client_encoding", "UTF8");
  if (!options.password.empty()) {
    std::erase_if(settings, [](const auto& s) { return s.first == "password"; });
    settings.emplace_back("password", options.password);
  }
  std::vector<const char*> keywords;
  std::vector<const char*> values;
  for (const auto& [keyword, value] : settings) {
    keywords.push_back(keyword.c_str());
    values.push_back(value.c_str());
  }
  keywords.push_back(nullptr);
  values.push_back(nullptr);
  errno = 0;
  connection_.reset(PQconnectStartParams(keywords.data(), values.data(), 0));
  int error = errno;
  if (!connection_) throw std::bad_alloc();
  PQsetErrorVerbosity(connection_.get(), PQERRORS_VERBOSE);
  deadline_ = core::BootClock::now() + options.connect_timeout;
  for (auto state = PGRES_POLLING_WRITING; PQstatus(connection_.get()) != CONNECTION_BAD;) {
    if (state == PGRES_POLLING_OK || state == PGRES_POLLING_FAILED) break;
    wait(state == PGRES_POLLING_WRITING);
    state = PQconnectPoll(connection_.get());
    error = errno;
  }
  if (PQstatus(connection_.get()) != CONNECTION_OK) {
    auto message = without_location(one_line(PQerrorMessage(connection_.get())));
    // libpq 17 says nothing when the last of the addresses got no socket.
    if (message.empty()) message = std::generic_category().message(error);
    throw IntegrationError(refusal_of(message), "connect to PostgreSQL", message);
  }
  PQsetErrorVerbosity(connection_.get(), PQERRORS_DEFAULT);
  PQsetNoticeProcessor(
      connection_.get(), [](void*, const char*) {}, nullptr);
}

Connection::~Connection() = default;

int Connection::server_version() const { return PQserverVersion(connection_.get()); }
int Connection::backend_pid() const { return PQbackendPID(connection_.get()); }

Result Connection::run(const Statement& statement, const Params& params) {
  send(statement, params);
  return receive();
}

void Connection::enter_pipeline() {
  if (PQpipelineStatus(connection_.get()) == PQ_PIPELINE_OFF &&
      PQenterPipelineMode(connection_.get()) == 0) {
    fail(nullptr);
  }
}

void Connection::send(const Statement& statement, const Params& params) {
  const bool idle = !busy_ && !open_;
  RELEVO_INVARIANT(idle, "one statement at a time");
  operation_ = statement.name;
  started_ = core::BootClock::now();
  deadline_ = started_ + timeout_;
  enter_pipeline();
  busy_ = true;
  answers_.clear();
  taken_ = 0;
  between_ = synced_ = false;
  enqueue(kBegin.text, kBegin.name, {}, Format::kBinary);
  if (statement.pinned) enqueue(kPin.text, kPin.name, {}, Format::kBinary);
  if (!lock_timeout_.empty()) enqueue(lock_timeout_.c_str(), kLockTimeout, {}, Format::kBinary);
  enqueue(statement.text, statement.name, params, Format::kBinary);
  own_answer_ = answers_.size();
  enqueue(kCommit.text, kCommit.name, {}, Format::kBinary);
  if (PQpipelineSync(connection_.get()) == 0) fail(nullptr);
  flush();
}

void Connection::enqueue(const char* sql, std::string_view name, const Params& params,
                         Format format) {
  const auto values = params.pointers();
  const auto count = static_cast<int>(values.size());
  const int binary = format == Format::kBinary ? 1 : 0;
  auto* connection = connection_.get();
  if (!prepared_) {
    if (PQsendQueryParams(connection, sql, count, nullptr, values.data(), nullptr, nullptr,
                          binary) == 0) {
      fail(nullptr);
    }
    answers_.push_back({std::string(name), false});
    return;
  }
  const std::string prepared_name = "relevo_" + std::string(name);
  const auto [known, added] = known_.try_emplace(std::string(name), sql);
  if (added) {
    if (PQsendPrepare(connection, prepared_name.c_str(), sql, 0, nullptr) == 0) fail(nullptr);
    answers_.push_back({std::string(name), true});
  } else if (known->second != sql && std::strcmp(known->second, sql) != 0) {
    operation_ = name;
    fail(ErrorKind::kRejected, "two statements have this name; rename one");
  }
  if (PQsendQueryPrepared(connection, prepared_name.c_str(), count, values.data(), nullptr, nullptr,
                          binary) == 0) {
    fail(nullptr);
  }
  answers_.push_back({std::string(name), false});
}

bool Connection::answered() {
  RELEVO_INVARIANT(busy_, "a statement was sent");
  if (PQconsumeInput(connection_.get()) == 0) fail(nullptr);
  return take_answers(false);
}

// Answers in order: each query's result and a NULL, then the sync. False: not all of them are here.
bool Connection::take_answers(bool wait_for_them) {
  while (!synced_) {
    if (!wait_for_them && PQisBusy(connection_.get()) != 0) return false;
    auto result = next_result();
    if (taken_ == answers_.size()) {
      if (!result || PQresultStatus(result.get()) != PGRES_PIPELINE_SYNC) fail(result.get());
      synced_ = true;
    } else if (!std::exchange(between_, !between_)) {
      if (!result) fail(nullptr);
      const auto status = PQresultStatus(result.get());
      if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) fail(result.get());
      if (taken_ + 1 == own_answer_) rows_ = std::move(result);
    } else {
      if (result) fail(nullptr);
      ++taken_;
    }
  }
  return true;
}

Result Connection::receive() {
  RELEVO_INVARIANT(busy_, "a statement was sent");
  (void)take_answers(true);
  // COMMIT of a failed transaction succeeds as ROLLBACK; it cannot get here, since the failure came
  // first.
  busy_ = false;
  if (observe_) observe_(operation_, core::BootClock::now() - started_);
  return Result(std::move(rows_));
}

int Connection::socket() const { return PQsocket(connection_.get()); }

void Connection::begin() {
  RELEVO_INVARIANT(usable(), "a transaction begins on an idle connection");
  open_ = true;
  begun_ = pinned_ = unfit_ = false;
  failure_.reset();
  answers_.clear();
}

void Connection::put(const Statement& statement, const Params& params, Format format) {
  RELEVO_INVARIANT(open_, "a transaction was begun");
  if (failure_) throw IntegrationError(*failure_);
  operation_ = statement.name;
  enter_pipeline();
  // Whatever libpq takes badly here leaves its queue in an unknown state.
  broken_ = true;
  if (!std::exchange(begun_, true)) enqueue(kBegin.text, kBegin.name, {}, Format::kBinary);
  if (statement.pinned && !std::exchange(pinned_, true)) {
    enqueue(kPin.text, kPin.name, {}, Format::kBinary);
  }
  enqueue(statement.text, statement.name, params, format);
  own_answer_ = answers_.size();
  broken_ = false;
}

void Connection::defer(const Statement& statement, const Params& params) {
  put(statement, params, Format::kBinary);
}

Result Connection::execute(const Statement& statement, const Params& params, Format format) {
  put(statement, params, format);
  return exchange(statement.name);
}

// Sends what was put and waits for all of its answers; the last one is the caller's.
Result Connection::exchange(std::string_view operation) {
  started_ = core::BootClock::now();
  deadline_ = started_ + timeout_;
  broken_ = true;  // until the sync is back
  if (PQpipelineSync(connection_.get()) == 0) fail(nullptr);
  flush();
  std::shared_ptr<pg_result> rows;
  for (std::size_t answer = 1; answer <= answers_.size(); ++answer) {
    operation_ = answers_[answer - 1].statement;
    auto result = next_result();
    if (!result) fail(nullptr);
    const auto status = PQresultStatus(result.get());
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
      // From the statement that failed on, the server passes over everything up to the sync, also
      // over preparations.
      for (auto skipped = answer - 1; skipped < answers_.size(); ++skipped) {
        if (answers_[skipped].prepares) known_.erase(answers_[skipped].statement);
      }
      if (status == PGRES_FATAL_ERROR && PQstatus(connection_.get()) == CONNECTION_OK) {
        skip_to_sync();
      }
      fail(result.get());
    }
    if (next_result()) fail(nullptr);
    if (answer == own_answer_) rows = std::move(result);
  }
  const auto sync = next_result();
  if (!sync || PQresultStatus(sync.get()) != PGRES_PIPELINE_SYNC) fail(sync.get());
  answers_.clear();
  broken_ = false;
  if (observe_) observe_(operation, core::BootClock::now() - started_);
  return Result(std::move(rows));
}

void Connection::skip_to_sync() {
  for (std::size_t nulls = 0; nulls <= 2 * answers_.size();) {
    const auto result = next_result();
    if (!result) {
      ++nulls;
      continue;
    }
    const auto status = PQresultStatus(result.get());
    if (status == PGRES_PIPELINE_SYNC) {
      answers_.clear();
      broken_ = false;
      return;
    }
    if (status != PGRES_PIPELINE_ABORTED) return;  // the connection was lost meanwhile
  }
}

void Connection::commit() {
  RELEVO_INVARIANT(open_, "a transaction was begun");
  if (failure_) throw IntegrationError(*failure_);
  if (begun_) {
    enqueue(kCommit.text, kCommit.name, {}, Format::kBinary);
    own_answer_ = answers_.size();
    exchange(kCommit.name);
  }
  open_ = false;
}

void Connection::rollback() noexcept {
  if (!open_) return;
  const auto try_exchange = [this](std::string_view operation) noexcept {
    try {
      if (operation == kRollback.name) {
        enqueue(kRollback.text, kRollback.name, {}, Format::kBinary);
      }
      if (!answers_.empty()) exchange(operation);
    } catch (const IntegrationError&) {
      // Nothing is lost: the server rolls back what has no COMMIT. The caller sees usable().
    }
  };
  if (begun_ && !broken_) {
    try_exchange("deferred");  // apart: an error in it would make the server pass over ROLLBACK
    if (!broken_) {
      failure_.reset();
      try_exchange(kRollback.name);
      broken_ = broken_ || failure_.has_value();
    }
  }
  open_ = false;
}

std::vector<std::string> Connection::script(std::string_view operation, const std::string& sql) {
  const bool idle = !busy_ && !open_;
  RELEVO_INVARIANT(idle, "one statement at a time");
  operation_ = operation;
  deadline_ = core::BootTime::max();
  if (PQpipelineStatus(connection_.get()) != PQ_PIPELINE_OFF &&
      PQexitPipelineMode(connection_.get()) == 0) {
    fail(nullptr);
  }
  if (PQsendQuery(connection_.get(), sql.c_str()) == 0) fail(nullptr);
  flush();
  std::vector<std::string> column;
  while (auto result = next_result()) {
    const auto status = PQresultStatus(result.get());
    if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) fail(result.get());
    column.clear();
    for (int i = 0; i < PQntuples(result.get()); ++i)
      column.emplace_back(PQgetvalue(result.get(), i, 0));
  }
  return column;
}

std::string Connection::quote(std::string_view text) const {
  const std::unique_ptr<char, void (*)(void*)> literal(
      PQescapeLiteral(connection_.get(), text.data(), text.size()), PQfreemem);
  if (!literal) throw IntegrationError(ErrorKind::kRejected, "quote", "text is not valid UTF-8");
  return literal.get();
}

void Connection::flush() {
  for (;;) {
    const int left = PQflush(connection_.get());
    if (left == 0) return;
    if (left < 0) fail(nullptr);
    wait(true);
  }
}

std::shared_ptr<pg_result> Connection::next_result() {
  while (PQisBusy(connection_.get()) != 0) {
    wait(false);
    if (PQconsumeInput(connection_.get()) == 0) fail(nullptr);
  }
  return {PQgetResult(connection_.get()), [](pg_result* r) { PQclear(r); }};
}

void Connection::wait(bool for_writing) {
  const bool connected = PQstatus(connection_.get()) == CONNECTION_OK;
  // A connecting socket is readable before it is connected; only what was asked for counts then.
  const int events = for_writing ? (connected ? POLLIN | POLLOUT : POLLOUT) : POLLIN;
  pollfd socket{PQsocket(connection_.get()), static_cast<short>(events), 0};
  for (;;) {
    int wait_ms = -1;
    if (deadline_ != core::BootTime::max()) {
      const auto left = std::chrono::ceil<milliseconds>(deadline_ - core::BootClock::now()).count();
      if (left <= 0) {
        fail(ErrorKind::kDisconnected, connected ? "no answer within database.statement_timeout"
                                                 : "no answer within database.connect_timeout");
      }
      wait_ms = static_cast<int>(std::min<milliseconds::rep>(left, 60'000));
    }
    const int ready = ::poll(&socket, 1, wait_ms);
    if (ready > 0) return;
    if (ready < 0 && errno != EINTR) fail(nullptr);
  }
}

void Connection::fail(pg_result* result) {
  const char* state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : nullptr;
  auto message = one_line(result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)
                                 : PQerrorMessage(connection_.get()));
  if (const char* hint = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_HINT) : nullptr) {
    message += " (hint: " + one_line(hint) + ")";
  }
  if (message.empty()) message = "connection lost";
  const std::string_view code = state ? state : "";
  if (code == "42P05" || code == "26000") {
    message += " (hint: a pooler in transaction mode? set database.prepared_statements to off)";
  }
  const bool lost = PQstatus(connection_.get()) == CONNECTION_BAD;
  const auto kind = lost ? ErrorKind::kDisconnected : kind_of(state ? state : "");
  if (state) message = std::string(state) + " " + message;
  fail(kind, message, code);
}

void Connection::fail(ErrorKind kind, const std::string& detail, std::string_view state) {
  IntegrationError error(kind, operation_, detail);
  if (open_) {
    failure_ = error;
    // 57014 is the statement's own: it took too long, or somebody cancelled it.
    unfit_ =
        kind == ErrorKind::kOverloaded || (kind == ErrorKind::kDisconnected && state != "57014");
  }
  throw error;
}

}  // namespace relevo::postgres
