#include "store/in_flight.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/utf8.h"
#include "store/directory.h"

namespace embedflow {
namespace {

constexpr std::array<char, 8> kMagic = {'E', 'F', 'S', 'E', 'N', 'T', '0', '1'};

// Little endian, as everything a corpus holds.
struct Header {
  std::array<char, 8> magic = kMagic;
  ContentHash boot;
  ContentHash space;
  std::uint64_t slots = 0;
  std::uint64_t checksum = 0;  // Of all before.
  std::uint64_t unnamed = 0;   // Changes while a run goes on.
  std::array<std::uint64_t, 8> reserved{};
};
static_assert(sizeof(Header) == 128);
constexpr std::size_t kSlotBytes = sizeof(ContentHash);
static_assert(kSlotBytes == 16);

std::uint64_t ChecksumOf(const Header& header) {
  return Checksum({reinterpret_cast<const char*>(&header), offsetof(Header, checksum)});
}

std::string InFlightPath(const std::string& directory) { return directory + "/" + kInFlightFile; }

// Zero where the system does not say: of no boot then.
ContentHash ThisBoot() {
  const FileDescriptor file(open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  std::array<char, 64> text;
  const ssize_t size = file.ok() ? read(file.get(), text.data(), text.size()) : -1;
  if (size <= 0) return {};
  return HashContent(std::string_view(text.data(), static_cast<std::size_t>(size)));
}

Status ReadAt(int fd, const std::string& path, std::size_t at, char* into, std::size_t bytes,
              std::size_t* got) {
  for (*got = 0; *got < bytes;) {
    const ssize_t n = pread(fd, into + *got, bytes - *got, static_cast<off_t>(at + *got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return IoError(path, "read", errno);
    if (n == 0) break;
    *got += static_cast<std::size_t>(n);
  }
  return {};
}

// An allocation in memory (tmpfs) may be interrupted by a signal.
int Allocate(int fd, std::size_t bytes) {
  int error = EINTR;
  while (error == EINTR) error = posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  return error;
}

}  // namespace

InFlight::InFlight(std::string path, void* map, std::size_t bytes, std::size_t slots,
                   std::uint64_t unnamed)
    : path_(std::move(path)),
      map_(static_cast<char*>(map)),
      bytes_(bytes),
      slots_(slots),
      unnamed_before_(unnamed) {}

InFlight::~InFlight() { munmap(map_, bytes_); }

Result<std::unique_ptr<InFlight>> InFlight::Create(const std::string& directory,
                                                   const ContentHash& space, std::size_t texts_max,
                                                   std::uint64_t unnamed) {
  const std::string path = InFlightPath(directory);
  const std::string making = path + ".tmp";
  if (unlink(making.c_str()) != 0 && errno != ENOENT) return IoError(making, "remove", errno);
  const FileDescriptor file(
      open(making.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.ok()) return IoError(making, "make", errno);
  const auto failed = [&making](const char* doing, int error) {
    unlink(making.c_str());
    return IoError(making, doing, error);
  };
  if (fchmod(file.get(), 0600) != 0) return failed("set the mode of", errno);
  Header header;
  header.boot = ThisBoot();
  header.space = space;
  header.slots = std::min(texts_max, kTextsMax);
  header.checksum = ChecksumOf(header);
  header.unnamed = unnamed;
  const std::size_t slots = header.slots;
  const std::size_t bytes = sizeof header + slots * kSlotBytes;
  if (const int error = Allocate(file.get(), bytes); error != 0) {
    return failed("make room for", error);
  }
  void* map = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (map == MAP_FAILED) return failed("map", errno);
  std::memcpy(map, &header, sizeof header);
  std::unique_ptr<InFlight> made(new InFlight(path, map, bytes, slots, unnamed));
  // Not synced: whoever finds the old file, or none, after a power cut knows of the power cut.
  if (rename(making.c_str(), path.c_str()) != 0) return failed("rename", errno);
  return made;
}

char* InFlight::SlotAt(Slot slot) const { return map_ + sizeof(Header) + (slot - 1) * kSlotBytes; }

void InFlight::StoreUnnamed() {
  auto* const counter = reinterpret_cast<std::uint64_t*>(map_ + offsetof(Header, unnamed));
  std::atomic_ref(*counter).store(unnamed_ + unnamed_before_, std::memory_order_release);
}

InFlight::Slot InFlight::Put(const ContentHash& text) {
  Slot slot = kNoSlot;
  {
    MutexLock lock(mu_);
    if (!free_.empty()) {
      slot = free_.back();
      free_.pop_back();
    } else if (used_ < slots_) {
      slot = ++used_;
    } else {
      ++unnamed_;
      StoreUnnamed();
      return kUnnamed;
    }
  }
  std::memcpy(SlotAt(slot), text.bytes.data(), kSlotBytes);
  return slot;
}

void InFlight::Clear(Slot* slot) {
  const Slot cleared = *slot;
  *slot = kNoSlot;
  if (cleared == kNoSlot) return;
  if (cleared != kUnnamed) std::memset(SlotAt(cleared), 0, kSlotBytes);
  MutexLock lock(mu_);
  if (cleared == kUnnamed) {
    --unnamed_;
    StoreUnnamed();
  } else {
    free_.push_back(cleared);
  }
}

std::uint64_t InFlight::TakeOver(std::uint64_t count) {
  MutexLock lock(mu_);
  const std::uint64_t taken = std::min(count, unnamed_before_);
  if (taken == 0) return 0;
  unnamed_before_ -= taken;
  StoreUnnamed();
  return taken;
}

std::uint64_t InFlight::size() const {
  MutexLock lock(mu_);
  return used_ - free_.size() + unnamed_;
}

Status InFlight::Sync() {
  if (msync(map_, bytes_, MS_SYNC) != 0) return IoError(path_, "sync", errno);
  return {};
}

Result<InFlight::Leftover> InFlight::Read(const std::string& directory) {
  const std::string path = InFlightPath(directory);
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file.ok()) {
    if (errno == ENOENT) return Leftover();
    return IoError(path, "open", errno);
  }
  Header header;
  std::size_t got = 0;
  EF_RETURN_IF_ERROR(
      ReadAt(file.get(), path, 0, reinterpret_cast<char*>(&header), sizeof header, &got));
  if (got != sizeof header || header.magic != kMagic || header.checksum != ChecksumOf(header) ||
      header.slots > kTextsMax) {
    return Leftover();
  }
  // One byte more than there should be.
  std::vector<char> slots(header.slots * kSlotBytes + 1);
  EF_RETURN_IF_ERROR(ReadAt(file.get(), path, sizeof header, slots.data(), slots.size(), &got));
  if (got != slots.size() - 1) return Leftover();
  Leftover left;
  left.is_usable = true;
  left.is_of_this_boot = header.boot != ContentHash() && header.boot == ThisBoot();
  left.space = header.space;
  left.unnamed = header.unnamed;
  for (std::size_t i = 0; i < header.slots; ++i) {
    const ContentHash text = ContentHash::FromBytes({slots.data() + i * kSlotBytes, kSlotBytes});
    if (text != ContentHash()) left.texts.push_back(text);
  }
  return left;
}

}  // namespace embedflow
