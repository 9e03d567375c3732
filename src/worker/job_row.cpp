#include "relevo/worker/job_row.hpp"

#include <initializer_list>
#include <utility>

namespace relevo::worker {

JobRecord::JobRecord(const JobRow& row) : row_(row) {
  std::string_view* const always[] = {&row_.queue, &row_.kind, &row_.headers};
  std::optional<std::string_view>* const maybe[] = {&row_.unique_key, &row_.concurrency_key,
                                                    &row_.rate_key, &row_.tenant, &row_.payload};
  std::size_t bytes = 0;
  for (const auto* view : always) bytes += view->size();
  for (const auto* view : maybe) bytes += *view ? (*view)->size() : 0;
  text_.reserve(bytes);
  const auto keep = [this](std::string_view view) {
    const auto start = text_.size();
    text_.append(view);
    return std::string_view(text_).substr(start, view.size());
  };
  for (auto* view : always) *view = keep(*view);
  for (auto* view : maybe) {
    if (*view) *view = keep(**view);
  }
}

void JobRecord::set_payload(std::string payload) {
  payload_ = std::move(payload);
  row_.payload = payload_;
}

Job JobRecord::job() const {
  return {row_.at.id,        row_.kind,      row_.queue,      row_.payload.value_or("{}"),
          row_.headers,      row_.tenant,    row_.unique_key, row_.concurrency_key,
          row_.attempts + 1, row_.created_at};
}

}  // namespace relevo::worker
