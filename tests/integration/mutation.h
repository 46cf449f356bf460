// One change to one file of a directory, chosen by a seed.
#ifndef EMBEDFLOW_TESTS_INTEGRATION_MUTATION_H_
#define EMBEDFLOW_TESTS_INTEGRATION_MUTATION_H_

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/random.h"

namespace embedflow {

using FileBytesByName = std::map<std::string, std::string>;

inline FileBytesByName LoadDirectory(const std::string& directory) {
  FileBytesByName files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::ifstream file(entry.path(), std::ios::binary);
    std::ostringstream bytes;
    bytes << file.rdbuf();
    files[entry.path().filename()] = bytes.str();
  }
  return files;
}

inline void StoreDirectory(const std::string& directory, const FileBytesByName& files) {
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  for (const auto& [name, bytes] : files) {
    std::ofstream(directory + "/" + name, std::ios::binary) << bytes;
  }
}

// Changes `files` in one place and says how. `older` holds the same directory as it once was.
class Mutation {
 public:
  Mutation(std::uint64_t seed, const FileBytesByName& older) : rng_(seed), older_(older) {}

  std::string Apply(FileBytesByName* files) {
    const std::string name = PickFile(*files);
    std::string& bytes = (*files)[name];
    const std::uint64_t kind = rng_.Below(100);
    if (kind < 4) {
      files->erase(name);
      return name + " deleted";
    }
    if (kind < 9) return Older(name, files);
    if (bytes.empty() || kind < 13) return name + Extend(&bytes);
    if (kind < 20) return name + Truncate(&bytes);
    if (kind < 45) return name + ChangePage(&bytes);
    if (kind < 55) return name + Noise(&bytes);
    const std::size_t at = rng_.Below(bytes.size());
    const std::uint64_t bit = rng_.Below(8);
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
    return name + ": bit " + std::to_string(bit) + " of byte " + std::to_string(at) + " flipped";
  }

 private:
  static constexpr std::size_t kPage = 4096;

  std::string PickFile(const FileBytesByName& files) {
    // The two that hold everything get more than their share.
    const std::uint64_t favour = rng_.Below(10);
    for (const auto& [name, bytes] : files) {
      if (favour < 3 && name == "corpus.sqlite") return name;
      if (favour >= 3 && favour < 6 && name == "vectors.lmdb") return name;
    }
    auto file = files.begin();
    std::advance(file, rng_.Below(files.size()));
    return file->first;
  }

  std::string Older(const std::string& name, FileBytesByName* files) {
    const auto found = older_.find(name);
    if (found == older_.end()) {
      files->erase(name);
      return name + " deleted";
    }
    (*files)[name] = found->second;
    return name + " replaced by an older copy";
  }

  std::string Extend(std::string* bytes) {
    const std::size_t more = rng_.Below(2) == 0 ? kPage : 1 + rng_.Below(100);
    const bool zero = rng_.Below(2) == 0;
    for (std::size_t i = 0; i < more; ++i) *bytes += zero ? '\0' : static_cast<char>(rng_.Next());
    return " extended by " + std::to_string(more);
  }

  std::string Truncate(std::string* bytes) {
    std::size_t at = rng_.Below(bytes->size());
    if (rng_.Below(2) == 0) at = at / kPage * kPage;
    bytes->resize(at);
    return " cut to " + std::to_string(at);
  }

  std::string ChangePage(std::string* bytes) {
    const std::size_t pages = (bytes->size() + kPage - 1) / kPage;
    const std::size_t from = rng_.Below(pages) * kPage;
    const std::size_t to = rng_.Below(pages) * kPage;
    const std::size_t size = std::min({kPage, bytes->size() - from, bytes->size() - to});
    switch (rng_.Below(3)) {
      case 0:
        std::fill_n(bytes->begin() + static_cast<std::ptrdiff_t>(to),
                    std::min(kPage, bytes->size() - to), '\0');
        return ": page at " + std::to_string(to) + " zeroed";
      case 1:
        std::copy_n(std::string(*bytes, from, size).begin(), size,
                    bytes->begin() + static_cast<std::ptrdiff_t>(to));
        return ": page at " + std::to_string(from) + " copied over " + std::to_string(to);
      default:
        std::swap_ranges(bytes->begin() + static_cast<std::ptrdiff_t>(std::min(from, to)),
                         bytes->begin() + static_cast<std::ptrdiff_t>(std::min(from, to) +
                                                                      (from == to ? 0 : size)),
                         bytes->begin() + static_cast<std::ptrdiff_t>(std::max(from, to)));
        return ": pages at " + std::to_string(from) + " and " + std::to_string(to) + " swapped";
    }
  }

  std::string Noise(std::string* bytes) {
    const std::size_t at = rng_.Below(bytes->size());
    for (std::size_t i = at; i < std::min(bytes->size(), at + 32); ++i) {
      (*bytes)[i] = static_cast<char>(rng_.Next());
    }
    return ": 32 bytes of noise at " + std::to_string(at);
  }

  Rng rng_;
  const FileBytesByName& older_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_INTEGRATION_MUTATION_H_
