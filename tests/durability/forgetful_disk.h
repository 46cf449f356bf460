// A disk that keeps what was synced and forgets, by dice, some of the rest: what a power cut leaves
// of a recorded run.
#ifndef EMBEDFLOW_TESTS_DURABILITY_FORGETFUL_DISK_H_
#define EMBEDFLOW_TESTS_DURABILITY_FORGETFUL_DISK_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/fakes/disk_trace.h"

namespace embedflow {

// The model, as weak as POSIX lets a disk be:
// - fsync and fdatasync keep a file's content and length, an O_DSYNC write its own blocks;
// - of a block that was written since, any state since the last sync may be found, for a whole
//   block or for each sector by itself; the length may be any since then;
// - fsync of a directory keeps its names; of names made, moved or taken since, any part may be
//   found, a rename being one step;
// - what is mapped (lock files) may hold anything.
// Threads: not thread-safe.
class ForgetfulDisk {
 public:
  // Without `honours_sync` every sync is taken for a lie: for the proof that tests can fail.
  explicit ForgetfulDisk(bool honours_sync = true) : honours_sync_(honours_sync) {}

  // Takes the next call of a trace that began before the directory was made. Failed calls changed
  // nothing and sync nothing.
  void Apply(const DiskOperation& operation);
  // Makes `directory`, which must not be there, as a power cut now might leave it; nothing if even
  // its own name is lost.
  void Cut(Rng& rng, const std::string& directory) const;
  // What was written to the file beside the directory (DiskShimOptions::also_file).
  const std::string& also() const { return also_; }

 private:
  // Each with the number of the call that made it. The first is durable.
  struct Version {
    std::uint64_t at = 0;
    std::string bytes;  // Of a whole block.
  };
  struct Length {
    std::uint64_t at = 0;
    std::uint64_t bytes = 0;
  };
  struct File {
    std::map<std::uint64_t, std::vector<Version>> blocks;
    std::vector<Length> lengths = {Length()};
  };
  struct NameChange {
    std::string gone;           // Empty: none.
    std::string name;           // Empty: none.
    std::optional<int> target;  // What `name` is from now on: a file, or nullopt for a directory.
  };
  using Names = std::map<std::string, std::optional<int>>;
  struct Directory {
    Names durable;
    Names now;
    std::vector<NameChange> changes;
  };

  void Write(File& file, std::uint64_t offset, const std::string& data);
  void SetLength(File& file, std::uint64_t bytes);
  static void SyncBlocks(File& file, std::uint64_t first, std::uint64_t last);
  static void SyncLength(File& file);
  void Change(const std::string& path, NameChange change);
  void Sync(const DiskOperation& operation);
  static Names Remember(const Directory& directory, Rng& rng);
  static std::string Remember(const File& file, Rng& rng);
  void Place(const std::string& path, const std::string& below, Rng& rng) const;
  File& FileAt(const DiskOperation& operation);

  const bool honours_sync_;
  std::uint64_t calls_ = 0;
  std::vector<File> files_;
  std::map<std::uint64_t, int> by_inode_;
  // By the path below the corpus; "/" is the directory above it, whose only name is "".
  std::map<std::string, Directory> directories_;
  std::string also_;
};

// What must hold of a file that is mapped is that it need not be believed after a power cut.
bool IsMapped(const std::string& name);

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_DURABILITY_FORGETFUL_DISK_H_
