// Mending a corpus: its store, and then what is made from it.
#include "store/repair.h"

#include <filesystem>

#include "corpus/index_keeper.h"
#include "corpus/verify.h"
#include "vector/index.h"

namespace embedflow {
namespace {

// An index is made from the store, for nothing, so one that may disagree with it is not kept.
Status RemoveIndexes(const std::string& directory) {
  for (SpaceId space = 1; space <= kSpacesMax; ++space) {
    const std::string path = IndexPath(directory, space);
    std::error_code error;
    std::filesystem::remove(path, error);
    if (error) return IoError(path, "remove", error.value());
  }
  return SyncDirectory(directory);
}

Status MakeIndexes(const std::string& directory, StoreReader& reader) {
  EF_ASSIGN_OR_RETURN(const std::vector<SpaceRecord> spaces, reader.Spaces());
  for (const SpaceRecord& space : spaces) {
    if (space.index_kind == "none") continue;
    EF_ASSIGN_OR_RETURN(const std::unique_ptr<Index> index, BuildIndex(reader, space));
    EF_RETURN_IF_ERROR(index->Save(IndexPath(directory, space.id), StampOf(space)));
  }
  return {};
}

// The command that brings back what is gone.
std::string NextAfter(const std::string& directory, const StoreRepair& repair, std::size_t spaces) {
  if (repair.lost) {
    return "run the ingest command again, with every input; " + std::to_string(repair.vectors) +
           " vectors are kept and are not bought again";
  }
  if (repair.to_buy_again.documents == 0) return {};
  const std::string command = "embedflow backfill " + ShellWord(directory);
  if (spaces == 1 || repair.to_buy_again.spaces.empty()) return command;
  std::string commands;
  for (const ToBuyAgain::InSpace& needs : repair.to_buy_again.spaces) {
    commands += (commands.empty() ? "" : " && ") + command + " --provider " + needs.space.provider +
                " --model " + needs.space.model + " --dimensions " +
                std::to_string(needs.space.dimensions);
  }
  return commands;
}

}  // namespace

Result<VerifyReport> RepairCorpus(const std::string& directory, const VerifyOptions& options) {
  StoreRepairOptions store_options;
  store_options.drop_orphans = options.drop_orphans;
  store_options.forget_indexes = [&] { return RemoveIndexes(directory); };
  EF_ASSIGN_OR_RETURN(StoreRepair repair, RepairStore(directory, store_options));
  EF_ASSIGN_OR_RETURN(const std::unique_ptr<StoreReader> reader, OpenStoreReader(directory));
  EF_RETURN_IF_ERROR(MakeIndexes(directory, *reader));
  EF_ASSIGN_OR_RETURN(VerifyReport report, VerifyCorpus(directory, *reader));
  EF_ASSIGN_OR_RETURN(const std::vector<SpaceRecord> spaces, reader->Spaces());
  if (report.ok) {
    report.next = NextAfter(directory, repair, spaces.size());
  } else {
    report.next = "look at the disk: what was just written is damaged already";
  }
  report.to_buy_again = std::move(repair.to_buy_again);
  report.repairs = std::move(repair.notes);
  report.documents_dropped = repair.documents_dropped;
  report.dropped_ids = std::move(repair.dropped_ids);
  report.orphans_dropped = repair.orphans_dropped;
  return report;
}

}  // namespace embedflow
