// The ledger of texts in flight: DIR/in_flight names every text that was sent and whose vector is
// not durable yet, so that after a kill it is known what may have been paid for and is to be bought
// again. A text's hash is put into a slot before its request may leave, and the slot is cleared
// once the vector is durable, or once it is sure that nothing was paid.
//
// The file is mapped and shared: putting a hash is a copy in memory, and what was copied outlives a
// kill -9, because the page cache does. It does not outlive a power cut: pages may then be of any
// age, which the id of the boot in the header tells. A slot that is torn by a kill is harmless: one
// that was being written was not sent yet, one that was being cleared needs no slot any more, and
// half a hash is no text's.
//
// docs/formats.md has the layout.
#ifndef EMBEDFLOW_STORE_IN_FLIGHT_H_
#define EMBEDFLOW_STORE_IN_FLIGHT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/mutex.h"
#include "embedflow/status.h"

namespace embedflow {

inline constexpr const char* kInFlightFile = "in_flight";

// Threads: any. A slot belongs to whoever put it, until it is cleared.
class InFlight {
 public:
  using Slot = std::uint32_t;
  static constexpr Slot kNoSlot = 0;
  // Of a text for which there was no room: it is counted, not named.
  static constexpr Slot kUnnamed = UINT32_MAX;
  // Slots of one file: 64 MiB of them. What does not fit is counted.
  static constexpr std::size_t kTextsMax = std::size_t{1} << 22;

  // Makes the file anew, for a run that has at most `texts_max` texts inside, and with room on disk
  // for all of it, so that a full disk cannot show when a slot is written. `unnamed`: how many
  // texts an earlier run may have paid for and nobody knows by name; see TakeOver. The old file
  // stays until the new one is whole. The writer's lock must be held. Errors: kIo.
  static Result<std::unique_ptr<InFlight>> Create(const std::string& directory,
                                                  const ContentHash& space, std::size_t texts_max,
                                                  std::uint64_t unnamed);
  ~InFlight();
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;

  // No I/O, for threads that must not wait. In memory a kill leaves behind when it returns.
  Slot Put(const ContentHash& text) EF_EXCLUDES(mu_);
  // Sets `*slot` to kNoSlot, which is also what may be passed.
  void Clear(Slot* slot) EF_EXCLUDES(mu_);
  // Of the unnamed texts an earlier run left, takes up to `count` off as bought now, and returns
  // how many.
  std::uint64_t TakeOver(std::uint64_t count) EF_EXCLUDES(mu_);
  // Texts in slots, and those without one.
  std::uint64_t size() const EF_EXCLUDES(mu_);
  // Makes the file as it is durable: blocks. For the end of a run that leaves something in it.
  Status Sync();

  // What an earlier run left behind.
  struct Leftover {
    // False: there is no file, or it is damaged, and nothing else is set.
    bool is_usable = false;
    // False: the machine has been down since, so that texts may be missing or too many.
    bool is_of_this_boot = false;
    ContentHash space;  // SpaceKey of the run's space.
    std::vector<ContentHash> texts;
    std::uint64_t unnamed = 0;
  };
  // Errors: kIo.
  static Result<Leftover> Read(const std::string& directory);

 private:
  InFlight(std::string path, void* map, std::size_t bytes, std::size_t slots,
           std::uint64_t unnamed);
  char* SlotAt(Slot slot) const;
  void StoreUnnamed() EF_REQUIRES(mu_);

  // Constant after construction.
  const std::string path_;
  char* const map_;
  const std::size_t bytes_;
  const std::size_t slots_;

  mutable Mutex mu_;
  // Slots above `used_` were never used; of those below, `free_` are free.
  Slot used_ EF_GUARDED_BY(mu_) = 0;
  std::vector<Slot> free_ EF_GUARDED_BY(mu_);
  std::uint64_t unnamed_ EF_GUARDED_BY(mu_) = 0;         // Of this run.
  std::uint64_t unnamed_before_ EF_GUARDED_BY(mu_) = 0;  // Of earlier ones.
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_IN_FLIGHT_H_
