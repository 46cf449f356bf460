#include "tests/durability/forgetful_disk.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/check.h"

namespace embedflow {
namespace {

constexpr std::uint64_t kBlockBytes = 4096;
constexpr std::uint64_t kSectorBytes = 512;
constexpr char kAbove[] = "/";

// How much of what was not synced is found again.
enum class Memory { kNothing, kEverything, kBlocks, kSectors };

Memory Draw(Rng& rng) {
  const std::uint64_t dice = rng.Below(6);
  if (dice == 0) return Memory::kNothing;
  if (dice == 1) return Memory::kEverything;
  return dice < 4 ? Memory::kBlocks : Memory::kSectors;
}

std::size_t Pick(Memory memory, std::size_t count, Rng& rng) {
  if (memory == Memory::kNothing) return 0;
  return memory == Memory::kEverything ? count - 1 : static_cast<std::size_t>(rng.Below(count));
}

std::string FolderOf(const std::string& path) {
  if (path.empty()) return kAbove;
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string NameOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

bool IsMapped(const std::string& name) {
  return EndsWith(name, "-shm") || EndsWith(name, "-lock") || EndsWith(name, "in_flight");
}

ForgetfulDisk::File& ForgetfulDisk::FileAt(const DiskOperation& operation) {
  const auto found = by_inode_.find(operation.header.file);
  EF_CHECK(found != by_inode_.end());
  return files_[static_cast<std::size_t>(found->second)];
}

void ForgetfulDisk::Write(File& file, std::uint64_t offset, const std::string& data) {
  for (std::uint64_t at = 0; at < data.size();) {
    const std::uint64_t block = (offset + at) / kBlockBytes;
    const std::uint64_t inside = (offset + at) % kBlockBytes;
    const std::uint64_t bytes = std::min<std::uint64_t>(kBlockBytes - inside, data.size() - at);
    std::vector<Version>& versions = file.blocks[block];
    if (versions.empty()) versions.push_back({0, std::string(kBlockBytes, '\0')});
    std::string next = versions.back().bytes;
    next.replace(inside, bytes, data, at, bytes);
    versions.push_back({calls_, std::move(next)});
    at += bytes;
  }
  const std::uint64_t end = offset + data.size();
  if (end > file.lengths.back().bytes) file.lengths.push_back({calls_, end});
}

void ForgetfulDisk::SetLength(File& file, std::uint64_t bytes) {
  for (auto& [block, versions] : file.blocks) {
    if ((block + 1) * kBlockBytes <= bytes) continue;
    const std::uint64_t begin = bytes > block * kBlockBytes ? bytes - block * kBlockBytes : 0;
    std::string cut = versions.back().bytes.substr(0, begin);
    cut.resize(kBlockBytes, '\0');
    versions.push_back({calls_, std::move(cut)});
  }
  file.lengths.push_back({calls_, bytes});
}

void ForgetfulDisk::SyncBlocks(File& file, std::uint64_t first, std::uint64_t last) {
  for (auto at = file.blocks.lower_bound(first); at != file.blocks.end() && at->first <= last;
       ++at) {
    at->second.erase(at->second.begin(), at->second.end() - 1);
  }
}

void ForgetfulDisk::SyncLength(File& file) {
  file.lengths.erase(file.lengths.begin(), file.lengths.end() - 1);
}

void ForgetfulDisk::Change(const std::string& path, NameChange change) {
  Directory& directory = directories_[path];
  if (!change.gone.empty()) directory.now.erase(change.gone);
  if (change.target || change.gone.empty()) directory.now[change.name] = change.target;
  directory.changes.push_back(std::move(change));
}

void ForgetfulDisk::Sync(const DiskOperation& operation) {
  if (!honours_sync_) return;
  if (operation.header.is_directory != 0) {
    const bool is_above = operation.header.place == DiskPlace::kParent;
    Directory& directory = directories_[is_above ? kAbove : operation.name];
    directory.durable = directory.now;
    directory.changes.clear();
    return;
  }
  File& file = FileAt(operation);
  SyncBlocks(file, 0, ~std::uint64_t{0});
  SyncLength(file);
}

void ForgetfulDisk::Apply(const DiskOperation& operation) {
  const DiskTraceHeader& header = operation.header;
  if (operation.failed()) return;
  if (header.place == DiskPlace::kAlso) {
    if (header.call == DiskCall::kWrite) also_ += operation.data;
    return;
  }
  if (header.place == DiskPlace::kParent && !operation.is_sync()) return;
  ++calls_;
  const std::string folder = FolderOf(operation.name);
  const std::string name = NameOf(operation.name);
  switch (header.call) {
    case DiskCall::kCreate:
      by_inode_[header.file] = static_cast<int>(files_.size());
      Change(folder, {"", name, static_cast<int>(files_.size())});
      files_.emplace_back();
      return;
    case DiskCall::kWrite: {
      File& file = FileAt(operation);
      Write(file, header.offset, operation.data);
      if (header.is_synced_write == 0 || !honours_sync_ || operation.data.empty()) return;
      SyncBlocks(file, header.offset / kBlockBytes,
                 (header.offset + operation.data.size() - 1) / kBlockBytes);
      return SyncLength(file);
    }
    case DiskCall::kSync:
    case DiskCall::kDataSync:
      return Sync(operation);
    case DiskCall::kTruncate:
      return SetLength(FileAt(operation), header.offset);
    case DiskCall::kAllocate: {
      File& file = FileAt(operation);
      if (header.offset > file.lengths.back().bytes) SetLength(file, header.offset);
      return;
    }
    case DiskCall::kRename: {
      // No part of the program moves a file from one directory to another.
      EF_CHECK(FolderOf(operation.second) == folder);
      const std::optional<int> target = directories_[folder].now[name];
      return Change(folder, {name, NameOf(operation.second), target});
    }
    case DiskCall::kLink: {
      const std::optional<int> target = directories_[folder].now[name];
      return Change(FolderOf(operation.second), {"", NameOf(operation.second), target});
    }
    case DiskCall::kUnlink:
    case DiskCall::kRemoveDirectory:
      directories_[folder].now.erase(name);
      directories_[folder].changes.push_back({name, "", std::nullopt});
      return;
    case DiskCall::kMakeDirectory:
      return Change(folder, {"", name, std::nullopt});
    case DiskCall::kRangeSync:
    case DiskCall::kMode:
      return;
  }
}

ForgetfulDisk::Names ForgetfulDisk::Remember(const Directory& directory, Rng& rng) {
  const Memory memory = Draw(rng);
  Names names = directory.durable;
  // A journal remembers all up to some change; what POSIX allows is any of them.
  const std::size_t until = Pick(memory, directory.changes.size() + 1, rng);
  for (std::size_t i = 0; i < directory.changes.size(); ++i) {
    const bool is_kept = memory == Memory::kSectors ? rng.Below(2) == 0 : i < until;
    if (!is_kept) continue;
    const NameChange& change = directory.changes[i];
    names.erase(change.gone);
    const bool is_removal = change.name.empty() && !change.gone.empty();
    if (!is_removal) names[change.name] = change.target;
  }
  return names;
}

std::string ForgetfulDisk::Remember(const File& file, Rng& rng) {
  const Memory memory = Draw(rng);
  const std::size_t length = Pick(memory, file.lengths.size(), rng);
  std::string content(file.lengths[length].bytes, '\0');
  for (const auto& [block, versions] : file.blocks) {
    const std::uint64_t begin = block * kBlockBytes;
    if (begin >= content.size()) break;
    std::size_t version = Pick(memory, versions.size(), rng);
    for (std::uint64_t sector = 0; sector < kBlockBytes; sector += kSectorBytes) {
      if (begin + sector >= content.size()) break;
      if (memory == Memory::kSectors) version = Pick(memory, versions.size(), rng);
      const std::uint64_t bytes =
          std::min<std::uint64_t>(kSectorBytes, content.size() - begin - sector);
      content.replace(begin + sector, bytes, versions[version].bytes, sector, bytes);
      // A truncation that is remembered took the blocks behind it along.
      for (std::size_t i = 1; i <= length; ++i) {
        if (file.lengths[i].at <= versions[version].at) continue;
        const std::uint64_t kept = std::max(file.lengths[i].bytes, begin + sector);
        if (kept >= begin + sector + bytes) continue;
        std::fill(content.begin() + static_cast<std::ptrdiff_t>(kept),
                  content.begin() + static_cast<std::ptrdiff_t>(begin + sector + bytes), '\0');
      }
    }
  }
  return content;
}

void ForgetfulDisk::Place(const std::string& path, const std::string& below, Rng& rng) const {
  std::filesystem::create_directory(path);
  const auto directory = directories_.find(below);
  if (directory == directories_.end()) return;
  for (const auto& [name, target] : Remember(directory->second, rng)) {
    const std::string inside = below.empty() ? name : below + "/" + name;
    if (!target) {
      Place(path + "/" + name, inside, rng);
      continue;
    }
    std::string content = Remember(files_[static_cast<std::size_t>(*target)], rng);
    if (IsMapped(name) && rng.Below(2) == 0) {
      for (char& byte : content) byte = static_cast<char>(rng.Next());
    }
    std::ofstream(path + "/" + name, std::ios::binary) << content;
  }
}

void ForgetfulDisk::Cut(Rng& rng, const std::string& directory) const {
  const auto above = directories_.find(kAbove);
  if (above == directories_.end() || Remember(above->second, rng).empty()) return;
  Place(directory, "", rng);
}

}  // namespace embedflow
