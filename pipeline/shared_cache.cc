#include "pipeline/shared_cache.h"

#include <array>
#include <string>
#include <string_view>

#include "base/log.h"

namespace embedflow {
namespace {

// Where requests go. One is written for it, because only the dialect knows what it makes of the
// options; keys stand in its headers alone.
std::string AddressOf(const Provider& provider) {
  if (provider.dialect() == nullptr) return {};
  const std::array<std::string_view, 1> texts = {"text"};
  return provider.dialect()->Write(texts).url;
}

}  // namespace

void OpenSharedCache(RunState& run) {
  const std::string& directory = run.options.cache_directory;
  if (directory.empty()) return;
  const Space& space = run.provider->space();
  if (space.provider == "builtin") {
    Log(LogLevel::kWarning,
        "the cache is not used: the built-in provider makes a vector faster than one is found");
    return;
  }
  VectorCacheOptions options;
  options.bytes_max = run.options.cache_bytes_max;
  Result<std::shared_ptr<VectorCache>> opened = VectorCache::Open(directory, options);
  if (!opened.ok()) {
    Log(LogLevel::kWarning,
        "the run goes on without the cache: " + opened.status().WithContext(directory).ToString());
    return;
  }
  run.cache = *std::move(opened);
  run.cache_space = CacheSpace::Of(space, AddressOf(*run.provider));
}

}  // namespace embedflow
