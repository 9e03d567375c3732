#include "relevo/webhook/http_job_handler.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <utility>

#include "relevo/webhook/header_value.hpp"

namespace relevo::webhook {
namespace {

// A unique job may run again under the same id; when it was created tells its runs apart.
std::string id_of(const worker::Job& job) {
  return "job_" + std::to_string(job.id) + "_" +
         std::to_string(job.created_at.time_since_epoch().count());
}

// Of the job's headers only the trace goes on: the others are between relevo and who enqueued it.
void add_trace(std::string_view job_headers, std::vector<std::string>& headers) {
  const auto json = nlohmann::json::parse(job_headers, nullptr, false);
  if (!json.is_object()) return;
  const auto found = json.find("traceparent");
  if (found == json.end() || !found->is_string()) return;
  headers.push_back(header("traceparent", found->get_ref<const std::string&>()));
}

HttpCall call_of(const worker::Job& job, std::chrono::milliseconds timeout) {
  HttpCall call;
  call.id = id_of(job);
  call.headers = {header("relevo-kind", job.kind), header("relevo-queue", job.queue),
                  header("relevo-job-id", std::to_string(job.id)),
                  header("relevo-attempt", std::to_string(job.attempt))};
  if (job.tenant) call.headers.push_back(header("relevo-tenant", *job.tenant));
  add_trace(job.headers, call.headers);
  call.body = job.payload;
  call.timeout = timeout;
  return call;
}

}  // namespace

void HttpJobHandler::start(const worker::Job& job, std::chrono::milliseconds timeout,
                           Finished finished) {
  if (endpoint_.start(call_of(job, timeout), finished)) return;
  endpoint_.post([finished = std::move(finished), pause = endpoint_.pause()] {
    finished(worker::snooze(pause));
  });
}

void HttpJobHandler::abandon(const worker::Job& job) { endpoint_.abandon(id_of(job)); }

}  // namespace relevo::webhook
