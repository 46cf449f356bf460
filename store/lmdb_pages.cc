#include "store/lmdb_pages.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "store/directory.h"
#include "store/lmdb_layout.h"

namespace embedflow {
namespace {

using namespace lmdb_layout;

// Deeper trees overflow LMDB's cursor stack.
constexpr int kDepthMax = 32;
constexpr std::uint64_t kUnwrittenPagesMax = 1u << 20;

LmdbMeta::Tree LoadTree(const char* at) {
  LmdbMeta::Tree tree;
  tree.flags = Load<std::uint16_t>(at + 4);
  tree.depth = Load<std::uint16_t>(at + 6);
  tree.entries = Load<std::uint64_t>(at + 32);
  tree.root = Load<std::uint64_t>(at + 40);
  return tree;
}

// What the meta page at `offset` says; 0 if it says nothing.
std::uint32_t LmdbVersionAt(int fd, std::size_t offset) {
  std::array<char, kPageHeader + kMetaBytes> page;
  const ssize_t size = pread(fd, page.data(), page.size(), static_cast<off_t>(offset));
  if (size != static_cast<ssize_t>(page.size())) return 0;
  const char* meta = page.data() + kPageHeader;
  return Load<std::uint32_t>(meta) == kMagic ? Load<std::uint32_t>(meta + 4) : 0;
}

// The largest node that is kept inside a leaf page; two must fit.
std::size_t LmdbInlineMax(std::size_t page_bytes) {
  return (((page_bytes - kPageHeader) / 2) & ~std::size_t{1}) - sizeof(std::uint16_t);
}

std::uint64_t OverflowPages(std::size_t data_bytes, std::size_t page_bytes) {
  return (kPageHeader - 1 + data_bytes) / page_bytes + 1;
}

class Walker {
 public:
  Walker(int fd, const std::string& path, const LmdbMeta& meta, const LmdbWalk& walk)
      : fd_(fd), path_(path), meta_(meta), walk_(walk) {}

  Status Run() {
    struct stat status;
    if (fstat(fd_, &status) != 0) return IoError(path_, "examine", errno);
    file_bytes_ = static_cast<std::uint64_t>(status.st_size);
    next_page_ = meta_.last_page + 1;
    owned_.assign(next_page_, false);
    EF_RETURN_IF_ERROR(Tree(meta_.main, Kind::kMain));
    if (!walk_.free_list) return {};
    EF_RETURN_IF_ERROR(Tree(meta_.free_list, Kind::kFree));
    return FreePages();
  }

 private:
  // Three kinds of trees: names of spaces, vectors of one space, free pages by transaction.
  enum class Kind { kMain, kVectors, kFree };
  struct Named {
    std::string name;
    LmdbMeta::Tree tree;
  };

  Status Fault(std::uint64_t page, const std::string& what) {
    return Damage(path_, "page " + std::to_string(page) + ": " + what);
  }

  Status Tree(const LmdbMeta::Tree& tree, Kind kind) {
    const std::uint16_t flags = kind == Kind::kFree ? kIntegerKeys | kSingleFile : 0;
    if (tree.flags != flags) return Damage(path_, "a tree has unknown flags");
    if (tree.root == kNoRoot) {
      return tree.entries == 0 ? Status() : Damage(path_, "a tree has lost its root");
    }
    if (tree.depth < 1 || tree.depth > kDepthMax) return Damage(path_, "a tree has no depth");
    has_last_ = false;
    entries_ = 0;
    std::vector<Named> below;
    EF_RETURN_IF_ERROR(Page(tree.root, tree.depth, kind, &below));
    if (entries_ != tree.entries) return Damage(path_, "a tree holds another number of entries");
    for (const Named& vectors : below) {
      name_ = vectors.name;
      if (walk_.database) walk_.database(name_);
      EF_RETURN_IF_ERROR(Tree(vectors.tree, Kind::kVectors));
    }
    return {};
  }

  Status Own(std::uint64_t page, std::uint64_t count) {
    for (std::uint64_t i = page; i < page + count; ++i) {
      if (owned_[i]) return Fault(i, "has two owners");
      owned_[i] = true;
    }
    return {};
  }

  // `level` counts down to 1, the leaves. One buffer a level lives while its children are walked.
  Status Page(std::uint64_t number, int level, Kind kind, std::vector<Named>* below) {
    if (number < 2 || number >= next_page_) return Fault(number, "is outside the file");
    EF_RETURN_IF_ERROR(Own(number, 1));
    std::vector<char> page(meta_.page_bytes);
    EF_ASSIGN_OR_RETURN(const std::size_t size, ReadLmdbBytes(fd_, path_, number * meta_.page_bytes,
                                                              page.data(), page.size()));
    if (size < page.size()) return Fault(number, "lies behind the end of the file (truncated)");
    const char* base = page.data();
    const auto flags = Load<std::uint16_t>(base + 10);
    const auto lower = Load<std::uint16_t>(base + 12);
    const auto upper = Load<std::uint16_t>(base + 14);
    if (Load<std::uint64_t>(base) != number) return Fault(number, "has another number");
    if (flags != (level > 1 ? kBranchPage : kLeafPage)) return Fault(number, "is of another kind");
    if (lower < kPageHeader || lower > upper || upper > page.size() || lower % 2 != 0) {
      return Fault(number, "has bounds that cannot be");
    }
    const std::size_t nodes = (lower - kPageHeader) / 2u;
    // LMDB asserts two children of a branch, except in its own free list.
    const std::size_t nodes_min = level > 1 && kind != Kind::kFree ? 2 : 1;
    if (nodes < nodes_min) return Fault(number, "is empty");
    for (std::size_t i = 0; i < nodes; ++i) {
      const auto at = Load<std::uint16_t>(base + kPageHeader + 2 * i);
      if (at < upper || at + kNodeHeader > page.size() || at % 2 != 0 ||
          at + kNodeHeader + Load<std::uint16_t>(base + at + 6) > page.size()) {
        return Fault(number, "has a node outside itself");
      }
      const std::string_view bytes(base + at, page.size() - at);
      EF_RETURN_IF_ERROR(level > 1 ? Branch(number, bytes, i == 0, level, kind, below)
                                   : Leaf(number, bytes, kind, below));
    }
    return {};
  }

  Status Branch(std::uint64_t number, std::string_view node, bool first, int level, Kind kind,
                std::vector<Named>* below) {
    const std::size_t key_bytes = Load<std::uint16_t>(node.data() + 6);
    // The first key of a branch stands for "everything smaller" and may hold anything.
    if (!first) {
      EF_RETURN_IF_ERROR(Ascend(number, node.substr(kNodeHeader, key_bytes), true, kind));
    }
    const std::uint64_t child = Load<std::uint16_t>(node.data()) |
                                std::uint64_t{Load<std::uint16_t>(node.data() + 2)} << 16 |
                                std::uint64_t{Load<std::uint16_t>(node.data() + 4)} << 32;
    return Page(child, level - 1, kind, below);
  }

  Status Leaf(std::uint64_t number, std::string_view node, Kind kind, std::vector<Named>* below) {
    const std::size_t data_bytes =
        Load<std::uint16_t>(node.data()) | std::size_t{Load<std::uint16_t>(node.data() + 2)} << 16;
    const auto flags = Load<std::uint16_t>(node.data() + 4);
    const std::size_t key_bytes = Load<std::uint16_t>(node.data() + 6);
    EF_RETURN_IF_ERROR(Ascend(number, node.substr(kNodeHeader, key_bytes), false, kind));
    ++entries_;
    const std::string_view data = node.substr(kNodeHeader + key_bytes);
    const std::size_t inside = flags == kBigNode ? sizeof(std::uint64_t) : data_bytes;
    if (data.size() < inside) return Fault(number, "has a value outside itself");
    if (kind == Kind::kMain) {
      if (flags != kTreeNode || data_bytes != kTreeRecord) {
        return Fault(number, "names something that is no space");
      }
      below->push_back({std::string(node.substr(kNodeHeader, key_bytes)), LoadTree(data.data())});
      return {};
    }
    const bool big = kNodeHeader + key_bytes + data_bytes > LmdbInlineMax(meta_.page_bytes);
    if (flags != (big ? kBigNode : 0)) return Fault(number, "has a node of another kind");
    if (kind == Kind::kVectors && walk_.entry) {
      walk_.entry(name_, node.substr(kNodeHeader, key_bytes),
                  big ? std::string_view() : data.substr(0, data_bytes));
    }
    if (flags == 0) {
      if (kind == Kind::kFree) return FreeRecord(number, data.substr(0, data_bytes));
      return {};
    }
    const auto overflow = Load<std::uint64_t>(data.data());
    EF_RETURN_IF_ERROR(Overflow(overflow, data_bytes));
    if (kind != Kind::kFree) return {};
    std::string record(data_bytes, '\0');
    EF_ASSIGN_OR_RETURN(const std::size_t size,
                        ReadLmdbBytes(fd_, path_, overflow * meta_.page_bytes + kPageHeader,
                                      record.data(), record.size()));
    if (size < record.size()) return Fault(overflow, "lies behind the end of the file (truncated)");
    return FreeRecord(overflow, record);
  }

  Status Overflow(std::uint64_t page, std::size_t data_bytes) {
    const std::uint64_t count = OverflowPages(data_bytes, meta_.page_bytes);
    if (page < 2 || page >= next_page_ || count > next_page_ - page) {
      return Fault(page, "is outside the file");
    }
    if (page * meta_.page_bytes + kPageHeader + data_bytes > file_bytes_) {
      return Fault(page, "lies behind the end of the file (truncated)");
    }
    EF_RETURN_IF_ERROR(Own(page, count));
    if (!walk_.overflow_headers) return {};
    std::array<char, kPageHeader> header;
    EF_ASSIGN_OR_RETURN(const std::size_t size, ReadLmdbBytes(fd_, path_, page * meta_.page_bytes,
                                                              header.data(), header.size()));
    if (size < header.size() || Load<std::uint64_t>(header.data()) != page ||
        Load<std::uint16_t>(header.data() + 10) != kOverflowPage ||
        Load<std::uint32_t>(header.data() + 12) != count) {
      return Fault(page, "is no overflow page of the length it should have");
    }
    return {};
  }

  // Keys ascend through a whole tree, and a branch's key separates what is before it from what is
  // behind it: the first key behind may be equal to it.
  Status Ascend(std::uint64_t number, std::string_view key, bool is_branch, Kind kind) {
    if (key.size() > 511 || (kind == Kind::kFree && key.size() != 8) ||
        (!is_branch && kind == Kind::kVectors && key.size() != 16)) {
      return Fault(number, "has a key of another size");
    }
    std::string comparable(key);
    if (kind == Kind::kFree) std::reverse(comparable.begin(), comparable.end());
    if (has_last_) {
      const int order = last_.compare(comparable);
      if (order > 0 || (order == 0 && (is_branch || !last_is_branch_))) {
        return Fault(number, "has keys out of order");
      }
    }
    last_ = std::move(comparable);
    has_last_ = true;
    last_is_branch_ = is_branch;
    return {};
  }

  // A count and that many page numbers, descending. Kept until all trees are walked.
  Status FreeRecord(std::uint64_t number, std::string_view record) {
    const std::size_t room = record.size() / 8;
    const std::uint64_t count = room > 0 ? Load<std::uint64_t>(record.data()) : 0;
    if (room == 0 || count > room - 1) return Fault(number, "has a list longer than itself");
    std::uint64_t above = next_page_;
    for (std::size_t i = 1; i <= count; ++i) {
      const auto page = Load<std::uint64_t>(record.data() + 8 * i);
      if (page < 2 || page >= above) return Fault(number, "frees a page that cannot be");
      free_.push_back(page);
      above = page;
    }
    return {};
  }

  Status FreePages() {
    for (const std::uint64_t page : free_) EF_RETURN_IF_ERROR(Own(page, 1));
    return {};
  }

  const int fd_;
  const std::string& path_;
  const LmdbMeta& meta_;
  const LmdbWalk& walk_;
  std::uint64_t file_bytes_ = 0;
  std::uint64_t next_page_ = 0;
  std::vector<bool> owned_;
  std::vector<std::uint64_t> free_;
  std::string name_;  // Of the named database in hand.
  std::string last_;
  bool has_last_ = false;
  bool last_is_branch_ = false;
  std::uint64_t entries_ = 0;
};

}  // namespace

Result<std::size_t> ReadLmdbBytes(int fd, const std::string& path, std::uint64_t offset, char* out,
                                  std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = pread(fd, out + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return IoError(path, "read", errno);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

std::size_t LmdbPageBytes(int fd) {
  std::array<char, kPageHeader + kMetaBytes> page;
  if (pread(fd, page.data(), page.size(), 0) == static_cast<ssize_t>(page.size())) {
    const auto told = Load<std::uint32_t>(page.data() + kPageHeader + 24);
    const bool can_be = told >= kPageBytesMin && told <= kPageBytesMax && std::has_single_bit(told);
    if (can_be && Load<std::uint32_t>(page.data() + kPageHeader) == kMagic) return told;
  }
  return static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

Result<LmdbMeta> ReadLmdbMeta(int fd, const std::string& path,
                              std::optional<std::uint64_t> transaction) {
  // The second page's place depends on the page size, which only the first page tells.
  std::array<char, kPageHeader + kMetaBytes> page;
  LmdbMeta newest;
  std::size_t page_bytes = 0;
  bool found = false;
  for (const bool second : {false, true}) {
    EF_ASSIGN_OR_RETURN(const std::size_t size,
                        ReadLmdbBytes(fd, path, second ? page_bytes : 0, page.data(), page.size()));
    if (size < page.size()) return Damage(path, "is too short to hold vectors (truncated)");
    const char* meta = page.data() + kPageHeader;
    // LMDB takes both pages for granted once the file opens, so both must be right.
    if (Load<std::uint16_t>(page.data() + 10) != kMetaPage || Load<std::uint32_t>(meta) != kMagic) {
      return Damage(path, "does not begin as a file of vectors does");
    }
    const auto version = Load<std::uint32_t>(meta + 4);
    if (version != kDataVersion) {
      // Another format has it in both pages.
      const std::size_t other = second ? 0 : LmdbPageBytes(fd);
      if (LmdbVersionAt(fd, other) != version) return Damage(path, "has a damaged meta page");
      return Status(Code::kUnsupported, EscapeControl(path) + " is of LMDB's data format " +
                                            std::to_string(version) + ", this build knows 1");
    }
    LmdbMeta one;
    one.page_bytes = Load<std::uint32_t>(meta + 24);
    one.free_list = LoadTree(meta + 24);
    one.main = LoadTree(meta + 24 + kTreeRecord);
    one.last_page = Load<std::uint64_t>(meta + 24 + 2 * kTreeRecord);
    one.transaction = Load<std::uint64_t>(meta + 32 + 2 * kTreeRecord);
    if (one.page_bytes < kPageBytesMin || one.page_bytes > kPageBytesMax ||
        !std::has_single_bit(one.page_bytes) || (second && one.page_bytes != page_bytes)) {
      return Damage(path, "has pages of a size that cannot be");
    }
    page_bytes = one.page_bytes;
    struct stat status;
    if (fstat(fd, &status) != 0) return IoError(path, "examine", errno);
    // Pages that one transaction took and freed again at the end are counted but never written.
    const auto pages = static_cast<std::uint64_t>(status.st_size) / page_bytes;
    if (one.last_page >= 2 * pages + kUnwrittenPagesMax) {
      return Damage(path, "the meta page counts more pages than the file can hold");
    }
    if (transaction && one.transaction == *transaction) return one;
    if (!found || one.transaction > newest.transaction) newest = one;
    found = true;
  }
  return newest;
}

Status WalkLmdbPages(int fd, const std::string& path, const LmdbMeta& meta, const LmdbWalk& walk) {
  return Walker(fd, path, meta, walk).Run();
}

Status CheckBeforeDeletion(int fd, const std::string& path, std::size_t page_bytes,
                           std::size_t key_bytes, std::string_view value, const char* map_begin) {
  if (kNodeHeader + key_bytes + value.size() <= LmdbInlineMax(page_bytes)) return {};
  const char* page = value.data() - kPageHeader;
  const auto number = Load<std::uint64_t>(page);
  const bool is_in_place =
      map_begin == nullptr || number == static_cast<std::uint64_t>(page - map_begin) / page_bytes;
  if (is_in_place && Load<std::uint16_t>(page + 10) == kOverflowPage &&
      Load<std::uint32_t>(page + 12) == OverflowPages(value.size(), page_bytes) &&
      number < (std::uint64_t{1} << 48)) {
    std::vector<char> in_file(page_bytes);
    EF_ASSIGN_OR_RETURN(const std::size_t size, ReadLmdbBytes(fd, path, number * page_bytes,
                                                              in_file.data(), in_file.size()));
    if (size == page_bytes && std::memcmp(in_file.data(), page, page_bytes) == 0) return {};
  }
  return Damage(path, "the header of a large value's page is damaged");
}

}  // namespace embedflow
