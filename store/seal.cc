#include "store/seal.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/utf8.h"

namespace embedflow {
namespace {

// Magic, seven totals, checksum: one write, one sector.
constexpr std::array<char, 8> kMagic = {'E', 'F', 'S', 'E', 'A', 'L', '0', '1'};
using Image = std::array<std::uint64_t, 9>;

std::string SealPath(const std::string& directory) { return directory + "/" + kSealFile; }

}  // namespace

Result<Totals> Seal::Read(const std::string& directory) {
  const std::string path = SealPath(directory);
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file.ok()) {
    if (errno == ENOENT) return Damage(path, "it is missing");
    return IoError(path, "open", errno);
  }
  // One byte more than there should be.
  std::array<char, sizeof(Image) + 1> bytes;
  const ssize_t size = pread(file.get(), bytes.data(), bytes.size(), 0);
  if (size < 0) return IoError(path, "read", errno);
  Image image;
  std::memcpy(image.data(), bytes.data(), sizeof image);
  const Totals totals = {image[1], image[2], image[3], image[4], image[5], image[6], image[7]};
  if (size != sizeof image || std::memcmp(image.data(), kMagic.data(), kMagic.size()) != 0 ||
      image[8] != totals.checksum()) {
    return Damage(path, "it is damaged");
  }
  return totals;
}

// Under another name first: a process that dies, or a power cut, must not leave an empty seal,
// which verify would call damage.
Status Seal::Make(const std::string& directory) {
  const Result<Totals> there = Read(directory);
  if (there.ok()) return {};
  if (there.status().code() != Code::kCorruption) return there.status();
  const std::string path = SealPath(directory);
  const std::string temporary = path + ".tmp";
  if (unlink(temporary.c_str()) != 0 && errno != ENOENT) return IoError(temporary, "remove", errno);
  EF_RETURN_IF_ERROR(MakePrivateFile(temporary));
  FileDescriptor file(open(temporary.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!file.ok()) return IoError(temporary, "open", errno);
  Seal seal(temporary, std::move(file));
  EF_RETURN_IF_ERROR(seal.Write(Totals()));
  if (fsync(seal.file_.get()) != 0) return IoError(temporary, "sync", errno);
  if (rename(temporary.c_str(), path.c_str()) != 0) return IoError(path, "make", errno);
  return SyncDirectory(directory);
}

Result<std::unique_ptr<Seal>> Seal::Open(const std::string& directory) {
  const std::string path = SealPath(directory);
  EF_RETURN_IF_ERROR(Make(directory));
  EF_RETURN_IF_ERROR(MakePrivateFile(path));
  FileDescriptor file(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!file.ok()) return IoError(path, "open", errno);
  return std::unique_ptr<Seal>(new Seal(path, std::move(file)));
}

Status Seal::Write(const Totals& totals) {
  Image image = {0,
                 totals.commits,
                 totals.documents,
                 totals.chunks,
                 totals.dead_letters,
                 totals.documents_sum,
                 totals.chunks_sum,
                 totals.letters_sum,
                 totals.checksum()};
  std::memcpy(image.data(), kMagic.data(), kMagic.size());
  if (pwrite(file_.get(), image.data(), sizeof image, 0) != sizeof image) {
    return IoError(path_, "write", errno);
  }
  if (ftruncate(file_.get(), sizeof image) != 0) return IoError(path_, "write", errno);
  return {};
}

}  // namespace embedflow
