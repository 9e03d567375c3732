// relevo_books DATABASE_URL KAFKA_BOOTSTRAP: watches the demo's events arrive in Kafka. At SIGTERM,
// when the traffic has ended, it waits for the last of them and compares all that arrived with the
// database. Exit code 0: they agree.

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <exception>
#include <map>
#include <string>

#include "books.hpp"
#include "database.hpp"

namespace {

using namespace std::chrono_literals;
using namespace relevo;
using Clock = std::chrono::steady_clock;

constexpr auto kLastEvents = 30s;
constexpr auto kStragglers = 300ms;
// What the handlers of jobs publish: counted, so that "behind" is right, and in no book.
constexpr std::array kJobTopics{"outbox.event.customer", "outbox.event.points"};

volatile std::sig_atomic_t ending = 0;

void on_signal(int /*signal*/) { ending = 1; }

std::string grouped(std::int64_t number) {
  std::string text = std::to_string(number);
  const std::size_t first = number < 0 ? 1 : 0;
  for (std::size_t at = text.size(); at > first + 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

std::string milliseconds(books::Latencies::Duration latency) {
  std::string text(32, '\0');
  const double value = static_cast<double>(latency.count()) / 1000;
  text.resize(static_cast<std::size_t>(
      std::snprintf(text.data(), text.size(), value < 100 ? "%.1f ms" : "%.0f ms", value)));
  return text;
}

// One line that is written over on a terminal, else a line now and then.
class Screen {
 public:
  std::chrono::milliseconds interval() const { return terminal_ ? 250ms : 2000ms; }

  void status(std::string text) {
    if (!terminal_) {
      std::printf("%s\n", text.c_str());
    } else {
      text.resize(std::min(text.size(), width() - 1));
      std::printf("\r%s\033[K", text.c_str());
      open_line_ = true;
    }
    std::fflush(stdout);
  }

  void line(const std::string& text) {
    std::printf("%s%s\n", open_line_ ? "\n" : "", text.c_str());
    open_line_ = false;
    std::fflush(stdout);
  }

 private:
  static std::size_t width() {
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 2) return 80;
    return size.ws_col;
  }

  const bool terminal_ = ::isatty(STDOUT_FILENO) != 0;
  bool open_line_ = false;
};

class Watcher {
 public:
  Watcher(const std::string& url, const std::string& bootstrap)
      : database_(url), reader_(options(bootstrap)) {
    for (const auto& source : books::sources()) books_.try_emplace(source.kind.topic, source.kind);
  }

  void watch() {
    auto shown = Clock::now();
    auto before = arrived() + of_jobs_;
    while (ending == 0) {
      read(2ms);
      const auto now = Clock::now();
      if (now - shown < screen_.interval()) continue;
      const std::chrono::duration<double> passed = now - shown;
      show(static_cast<double>(arrived() + of_jobs_ - before) / passed.count());
      shown = now;
      before = arrived() + of_jobs_;
    }
  }

  // Whether the books agree.
  bool close() {
    std::int64_t expected = 0;
    for (const auto& source : books::sources()) expected += database_.number(source.count);
    for (const auto deadline = Clock::now() + kLastEvents;
         arrived() < expected && Clock::now() < deadline;) {
      read(10ms);
    }
    // An event that came twice may come just now.
    for (const auto deadline = Clock::now() + kStragglers; Clock::now() < deadline;) read(10ms);

    bool agree = expected > 0;
    if (!agree) screen_.line("nothing was published");
    for (const auto& source : books::sources()) agree &= compare(source);
    screen_.line(agree ? "the books agree" : "THE BOOKS DO NOT AGREE");
    return agree;
  }

 private:
  static kafka::ReaderOptions options(const std::string& bootstrap) {
    kafka::ReaderOptions options;
    options.client.bootstrap_servers = bootstrap;
    for (const auto& source : books::sources()) options.topics.push_back(source.kind.topic);
    options.topics.insert(options.topics.end(), kJobTopics.begin(), kJobTopics.end());
    return options;
  }

  void read(std::chrono::milliseconds wait) {
    const auto* record = reader_.poll(wait);
    if (record == nullptr) return;
    const auto book = books_.find(std::string(record->topic));
    if (book == books_.end()) {
      ++of_jobs_;
    } else {
      book->second.enter(*record);
    }
  }

  std::int64_t arrived() const {
    std::int64_t events = 0;
    for (const auto& [topic, book] : books_) events += book.received().events;
    return events;
  }

  void show(double rate) {
    const auto written = database_.written();
    const auto all = arrived() + of_jobs_;
    std::string text = "written " + grouped(written) + "  arrived " + grouped(all) + "  behind " +
                       grouped(std::max(written - all, std::int64_t{0})) + "  " +
                       grouped(static_cast<std::int64_t>(rate + 0.5)) + "/s";
    std::int64_t duplicates = 0;
    for (auto& [topic, book] : books_) {
      text += "  " + book.kind().name + " p50 " + milliseconds(book.recent.percentile(0.5)) +
              " p99 " + milliseconds(book.recent.percentile(0.99));
      book.recent.clear();
      duplicates += book.received().duplicates;
    }
    screen_.status(text + "  duplicates " + grouped(duplicates));
  }

  bool compare(const books::Source& source) {
    books::Ledger ledger;
    std::int64_t events = 0;
    std::int64_t sum = 0;
    database_.each_entry(source, [&](const books::Entry& entry) {
      ledger[entry.aggregate].add(entry);
      ++events;
      sum += entry.value;
    });
    const auto& book = books_.at(source.kind.topic);
    const auto& received = book.received();
    std::size_t different = 0;
    for (const auto& [aggregate, account] : ledger) {
      const auto found = received.ledger.find(aggregate);
      if (found == received.ledger.end() || found->second != account) ++different;
    }
    for (const auto& [aggregate, account] : received.ledger)
      different += ledger.contains(aggregate) ? 0 : 1;

    const auto line = [this](const std::string& text) { screen_.line("  " + text); };
    screen_.line(source.kind.name + " (" + source.kind.topic + ")");
    line("in PostgreSQL     " + grouped(events) + " events of " +
         grouped(static_cast<std::int64_t>(ledger.size())) + ", sum of " + source.kind.value + " " +
         grouped(sum));
    line("arrived in Kafka  " + grouped(received.events) + " events of " +
         grouped(static_cast<std::int64_t>(received.ledger.size())) + ", sum of " +
         source.kind.value + " " + grouped(received.sum));
    line("event by event    " +
         (different == 0 ? std::string("the same, each of them in order")
                         : grouped(static_cast<std::int64_t>(different)) + " of them DIFFER"));
    line("duplicates " + grouped(received.duplicates) + ", out of order " +
         grouped(received.misplaced) + ", unreadable " + grouped(received.unreadable));
    line("written to arrived: p50 " + milliseconds(book.all.percentile(0.5)) + ", p99 " +
         milliseconds(book.all.percentile(0.99)) + ", longest " + milliseconds(book.all.max()));
    if (book.missed() > 0) {
      line(grouped(book.missed()) +
           " records were DROPPED by the broker before they could be read here");
    }
    bool balanced = true;
    if (!source.sum.empty()) {
      const auto total = database_.number(source.sum);
      balanced = total == received.sum;
      if (!balanced) line("the balances add up to " + grouped(total) + " INSTEAD");
    }
    return different == 0 && balanced && received.misplaced == 0 && received.unreadable == 0;
  }

  Screen screen_;
  books::Database database_;
  std::map<std::string, books::Books> books_;
  std::int64_t of_jobs_ = 0;
  kafka::KafkaReader reader_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: relevo_books DATABASE_URL KAFKA_BOOTSTRAP\n", stderr);
    return 2;
  }
  std::signal(SIGTERM, on_signal);
  std::signal(SIGINT, on_signal);
  try {
    Watcher watcher(argv[1], argv[2]);
    watcher.watch();
    return watcher.close() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "relevo_books: %s\n", error.what());
    return 1;
  }
}
