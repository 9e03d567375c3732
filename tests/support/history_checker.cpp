#include "support/history_checker.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "support/sha256.hpp"

namespace relevo::test {
namespace {

std::string place(const Received& record) {
  return record.topic + "/" + std::to_string(record.partition) + "@" +
         std::to_string(record.offset);
}

const std::string* find_header(const Headers& headers, std::string_view name) {
  for (const auto& [header, value] : headers) {
    if (header == name) return &value;
  }
  return nullptr;
}

// Headers that the relay adds by itself.
bool is_envelope(std::string_view header) {
  return header.starts_with("ce_") || header == "content-type";
}

Headers without_envelope(const Headers& headers) {
  Headers own;
  for (const auto& header : headers) {
    if (!is_envelope(header.first)) own.push_back(header);
  }
  std::sort(own.begin(), own.end());
  return own;
}

std::string difference(const Written& event, const Received& record) {
  std::string found;
  if (record.topic != event.topic) found += " topic";
  if (record.key != event.aggregate_id) found += " key";
  if (record.value.has_value() != event.value_digest.has_value()) {
    found += " tombstone";
  } else if (record.value && sha256_hex(*record.value) != *event.value_digest) {
    found += " value";
  }
  auto expected = event.headers;
  std::sort(expected.begin(), expected.end());
  if (without_envelope(record.headers) != expected) found += " headers";
  const auto* type = find_header(record.headers, "ce_type");
  if (type == nullptr || *type != event.event_type) found += " ce_type";
  return found;
}

// One aggregate's records in the order of their offsets, as indices into its events by version.
struct Sequence {
  std::vector<const Written*> events;
  std::set<std::pair<std::string, std::int32_t>> partitions;
  std::vector<std::size_t> seen;
};

void judge_order(const Sequence& sequence, Verdict& verdict) {
  std::unordered_set<std::size_t> first_seen;
  std::optional<std::size_t> highest;
  std::optional<std::size_t> previous;
  bool replaying = false;
  bool broken = false;
  for (const auto index : sequence.seen) {
    if (first_seen.insert(index).second) {
      if (highest && index < *highest)
        verdict.reordered.push_back(sequence.events[index]->event_id);
    } else {
      ++verdict.duplicates;
      if (!replaying || index <= *previous) {  // goes back (again)
        ++verdict.replays;
        replaying = true;
        broken = false;
      }
    }
    if (replaying && previous && index > *previous + 1 && !broken) {
      broken = true;
      ++verdict.broken_replays;
    }
    if (!highest || index > *highest) {
      highest = index;
      replaying = false;
    }
    previous = index;
  }
}

void list(std::ostringstream& out, std::string_view title, const std::vector<std::string>& items) {
  constexpr std::size_t kExamples = 5;
  if (items.empty()) return;
  out << "\n  " << title << ":";
  for (std::size_t i = 0; i < std::min(items.size(), kExamples); ++i) out << "\n    " << items[i];
  if (items.size() > kExamples) out << "\n    … " << items.size() - kExamples << " more";
}

}  // namespace

bool Verdict::sound() const {
  return lost.empty() && invented.empty() && corrupted.empty() && reordered.empty() &&
         split.empty();
}

std::string Verdict::report() const {
  std::ostringstream out;
  out << "events=" << events << " records=" << records << " duplicates=" << duplicates
      << " replays=" << replays << " broken_replays=" << broken_replays << " lost=" << lost.size()
      << " invented=" << invented.size() << " corrupted=" << corrupted.size()
      << " reordered=" << reordered.size() << " split=" << split.size();
  list(out, "lost", lost);
  list(out, "invented", invented);
  list(out, "corrupted", corrupted);
  list(out, "reordered", reordered);
  list(out, "split", split);
  return out.str();
}

Verdict check_history(std::span<const Written> written, std::span<const Received> received) {
  Verdict verdict;
  verdict.events = written.size();
  verdict.records = received.size();

  using Aggregate = std::pair<std::string_view, std::string_view>;
  std::map<Aggregate, Sequence> sequences;
  for (const auto& event : written) {
    sequences[{event.aggregate_type, event.aggregate_id}].events.push_back(&event);
  }
  struct Known {
    const Written* event;
    Sequence* sequence;
    std::size_t index;
    bool arrived;
  };
  std::unordered_map<std::string_view, Known> known;
  for (auto& [aggregate, sequence] : sequences) {
    std::sort(
        sequence.events.begin(), sequence.events.end(),
        [](const Written* left, const Written* right) { return left->version < right->version; });
    for (std::size_t i = 0; i < sequence.events.size(); ++i) {
      known.insert({sequence.events[i]->event_id, {sequence.events[i], &sequence, i, false}});
    }
  }

  std::vector<const Received*> records;
  for (const auto& record : received) records.push_back(&record);
  std::sort(records.begin(), records.end(), [](const Received* left, const Received* right) {
    return std::tie(left->topic, left->partition, left->offset) <
           std::tie(right->topic, right->partition, right->offset);
  });
  for (const auto* record : records) {
    const auto* id = find_header(record->headers, "ce_id");
    const auto found = id ? known.find(*id) : known.end();
    if (found == known.end()) {
      verdict.invented.push_back((id ? *id : std::string("(no ce_id)")) + " " + place(*record));
      continue;
    }
    auto& [event, sequence, index, arrived] = found->second;
    const auto wrong = difference(*event, *record);
    if (!wrong.empty()) verdict.corrupted.push_back(*id + " " + place(*record) + wrong);
    arrived = true;
    sequence->partitions.emplace(record->topic, record->partition);
    sequence->seen.push_back(index);
  }

  for (const auto& event : written) {
    if (!known.at(event.event_id).arrived) verdict.lost.push_back(event.event_id);
  }
  for (const auto& [aggregate, sequence] : sequences) {
    if (sequence.partitions.size() > 1) {
      verdict.split.push_back(std::string(aggregate.first) + " " + std::string(aggregate.second));
    }
    judge_order(sequence, verdict);
  }
  return verdict;
}

}  // namespace relevo::test
