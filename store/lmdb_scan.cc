// The search for records in a file whose tree cannot be trusted.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "store/lmdb_layout.h"
#include "store/lmdb_pages.h"

namespace embedflow {
namespace {

using namespace lmdb_layout;

constexpr std::size_t kPagesAtOnce = 256;
// No value of ours is longer: the checksum and 65,536 floats.
constexpr std::size_t kValueBytesMax = 8 + 65536 * sizeof(float);
constexpr std::size_t kHashBytes = 16;
constexpr std::size_t kNameBytes = 32;

class Scanner {
 public:
  Scanner(int fd, const std::string& path, const LmdbScan& scan)
      : fd_(fd), path_(path), scan_(scan), page_bytes_(LmdbPageBytes(fd)) {}

  Status Run() {
    std::vector<char> pages(kPagesAtOnce * page_bytes_);
    for (std::uint64_t offset = 0;; offset += pages.size()) {
      EF_ASSIGN_OR_RETURN(const std::size_t size,
                          ReadLmdbBytes(fd_, path_, offset, pages.data(), pages.size()));
      const std::string_view read(pages.data(), size);
      for (std::size_t at = 0; at < size; at += page_bytes_) {
        EF_RETURN_IF_ERROR(Page(read.substr(at, page_bytes_)));
      }
      if (size < pages.size()) return {};
    }
  }

 private:
  // Whatever stands where a node may begin is taken for one. Nodes lie at even places.
  Status Page(std::string_view page) {
    for (std::size_t at = 0; at + kNodeHeader + kHashBytes <= page.size(); at += 2) {
      const auto key_bytes = Load<std::uint16_t>(page.data() + at + 6);
      if (key_bytes != kHashBytes && key_bytes != kNameBytes) continue;
      EF_RETURN_IF_ERROR(Node(page.substr(at), key_bytes));
    }
    return {};
  }

  Status Node(std::string_view node, std::size_t key_bytes) {
    const std::size_t data_bytes =
        Load<std::uint16_t>(node.data()) | std::size_t{Load<std::uint16_t>(node.data() + 2)} << 16;
    const auto flags = Load<std::uint16_t>(node.data() + 4);
    if (node.size() < kNodeHeader + key_bytes) return {};
    const std::string_view key = node.substr(kNodeHeader, key_bytes);
    const std::string_view data = node.substr(kNodeHeader + key_bytes);
    if (key_bytes == kNameBytes) {
      if (flags == kTreeNode && data_bytes == kTreeRecord && scan_.database) scan_.database(key);
      return {};
    }
    if (!scan_.record || data_bytes > std::min(scan_.value_bytes_max, kValueBytesMax)) return {};
    if (flags == 0) {
      return data.size() < data_bytes ? Status() : scan_.record(key, data.substr(0, data_bytes));
    }
    if (flags != kBigNode || data.size() < sizeof(std::uint64_t)) return {};
    const auto number = Load<std::uint64_t>(data.data());
    if (number >= std::uint64_t{1} << 48) return {};
    value_.resize(data_bytes);
    EF_ASSIGN_OR_RETURN(const std::size_t size,
                        ReadLmdbBytes(fd_, path_, number * page_bytes_ + kPageHeader, value_.data(),
                                      value_.size()));
    return size < value_.size() ? Status() : scan_.record(key, value_);
  }

  const int fd_;
  const std::string& path_;
  const LmdbScan& scan_;
  const std::size_t page_bytes_;
  std::string value_;
};

}  // namespace

Status ScanLmdbPages(int fd, const std::string& path, const LmdbScan& scan) {
  return Scanner(fd, path, scan).Run();
}

}  // namespace embedflow
