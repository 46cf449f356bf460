#include "providers/ready_jobs.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace embedflow {
namespace {

// The text between "://" and the path. Jobs whose URL is none are refused later; until then they
// share a host.
std::string_view HostOf(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return {};
  const std::string_view rest = url.substr(scheme + 3);
  return rest.substr(0, rest.find_first_of("/?#"));
}

}  // namespace

void ReadyJobs::Push(TransportJob job) {
  const std::string host(HostOf(job.request.url));
  hosts_[host].jobs.push_back(std::move(job));
}

bool ReadyJobs::has_next() const {
  return std::any_of(hosts_.begin(), hosts_.end(), [this](const auto& host) {
    return !host.second.jobs.empty() && host.second.active < host_active_max_;
  });
}

std::optional<TransportJob> ReadyJobs::Pop() {
  auto host = hosts_.upper_bound(last_);
  for (std::size_t i = 0; i < hosts_.size(); ++i, ++host) {
    if (host == hosts_.end()) host = hosts_.begin();
    if (host->second.jobs.empty() || host->second.active >= host_active_max_) continue;
    TransportJob job = std::move(host->second.jobs.front());
    host->second.jobs.pop_front();
    ++host->second.active;
    last_ = host->first;
    return job;
  }
  return std::nullopt;
}

void ReadyJobs::Release(std::string_view url) {
  const auto host = hosts_.find(HostOf(url));
  EF_CHECK(host != hosts_.end() && host->second.active > 0);
  --host->second.active;
  if (host->second.active == 0 && host->second.jobs.empty()) hosts_.erase(host);
}

std::vector<TransportJob> ReadyJobs::TakeAll() {
  std::vector<TransportJob> all;
  for (auto host = hosts_.begin(); host != hosts_.end();) {
    std::move(host->second.jobs.begin(), host->second.jobs.end(), std::back_inserter(all));
    host->second.jobs.clear();
    host = host->second.active == 0 ? hosts_.erase(host) : std::next(host);
  }
  return all;
}

}  // namespace embedflow
