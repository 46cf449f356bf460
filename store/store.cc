#include "store/store.h"

#include <algorithm>
#include <atomic>

#include "base/log.h"
#include "base/utf8.h"
#include "store/commit.h"
#include "store/database.h"
#include "store/directory.h"
#include "store/in_flight.h"
#include "store/letters.h"
#include "store/match_vectors.h"
#include "store/reader.h"
#include "store/runs.h"
#include "store/seal.h"
#include "store/sources.h"
#include "store/vectors.h"

namespace embedflow {
namespace {

constexpr int kDimensionsMax = 65536;
// Vectors dropped in one LMDB transaction.
constexpr std::size_t kDropVectors = 4096;

class StoreImpl : public Store {
 public:
  StoreImpl(std::string directory, std::unique_ptr<DirectoryLock> lock,
            std::shared_ptr<VectorStore> vectors, std::unique_ptr<Writer> writer,
            FilesInPlace files)
      : directory_(std::move(directory)),
        lock_(std::move(lock)),
        files_(std::move(files)),
        vectors_(std::move(vectors)),
        writer_(std::move(writer)) {
    for (auto& space : vector_spaces_) space = nullptr;
  }

  Status Start(const Clock& clock);
  Result<SpaceRecord> AddSpace(const SpaceRecord& wanted) override;
  Status HasVectors(SpaceId space, std::span<const ContentHash> hashes,
                    std::span<char> found) override;
  Result<std::uint64_t> PutVectors(SpaceId space, std::span<const VectorPut> vectors) override;
  Result<CommitResult> Commit(const CommitGroup& group) override;
  Result<RunBegin> BeginRun(SpaceId space, std::uint64_t in_flight_max) override;
  Status AddRunSample(std::int64_t run, const Progress& progress) override;
  Status EndRun(std::int64_t run, const RunSummary& summary) override;
  Result<std::vector<std::int64_t>> AddSources(std::span<const std::string> names) override;
  Result<Removed> RemoveDocuments(std::span<const std::int64_t> numbers) override;
  Status ForgetDeadRecords(std::int64_t run, const std::vector<std::string>& files) override;
  Result<std::uint64_t> DropOrphanVectors() override;
  Result<std::unique_ptr<StoreReader>> NewReader() override {
    return Reader::Open(directory_, vectors_);
  }

 private:
  Result<const VectorSpace*> FindVectors(SpaceId space) const;
  SpaceRecord* FindSpace(SpaceId space);
  Status WriteSpaces(const SpaceChanges& changes);
  Result<RunBegin> TakeOver(SpaceId space, std::uint64_t in_flight_max,
                            const InFlight::Leftover& left);
  Status RefuseIfFailed();
  Status Remember(Status status);

  const std::string directory_;
  const std::unique_ptr<DirectoryLock> lock_;  // Let go last.
  const FilesInPlace files_;
  const std::shared_ptr<VectorStore> vectors_;
  const std::unique_ptr<Writer> writer_;
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<Letters> letters_;
  std::unique_ptr<Runs> runs_;
  std::vector<SpaceRecord> spaces_;
  // Own synchronisation: by space id, set once.
  std::array<std::atomic<const VectorSpace*>, kSpacesMax + 1> vector_spaces_;
  // The first failed write of either file.
  Mutex mu_;
  Status failed_ EF_GUARDED_BY(mu_);
};

Status StoreImpl::Start(const Clock& clock) {
  EF_ASSIGN_OR_RETURN(committer_, Committer::Open(writer_.get()));
  EF_ASSIGN_OR_RETURN(letters_, Letters::Open(writer_.get()));
  EF_ASSIGN_OR_RETURN(runs_, Runs::Open(writer_.get(), clock));
  Database& database = writer_->database();
  EF_ASSIGN_OR_RETURN(Statement rows, database.Prepare(kAllSpaces));
  for (;;) {
    EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return {};
    SpaceRecord& space = spaces_.emplace_back();
    EF_RETURN_IF_ERROR(ReadSpace(database, rows, &space));
    EF_ASSIGN_OR_RETURN(const VectorSpace* vectors, vectors_->FindSpace(space.space, false));
    vector_spaces_[static_cast<std::size_t>(space.id)] = vectors;
  }
}

Status StoreImpl::RefuseIfFailed() {
  MutexLock lock(mu_);
  return failed_;
}

// Keeps the first failure: nothing is written after it, in either file.
Status StoreImpl::Remember(Status status) {
  if (!status.ok() && status.code() != Code::kInvalidArgument) {
    MutexLock lock(mu_);
    if (failed_.ok()) failed_ = status;
  }
  return status;
}

SpaceRecord* StoreImpl::FindSpace(SpaceId space) {
  const auto found = std::find_if(spaces_.begin(), spaces_.end(),
                                  [&](const SpaceRecord& s) { return s.id == space; });
  return found == spaces_.end() ? nullptr : &*found;
}

Result<const VectorSpace*> StoreImpl::FindVectors(SpaceId space) const {
  const VectorSpace* found = space >= 1 && space <= kSpacesMax
                                 ? vector_spaces_[static_cast<std::size_t>(space)].load()
                                 : nullptr;
  if (found != nullptr) return found;
  return Status(Code::kInvalidArgument, "there is no space " + std::to_string(space));
}

Result<SpaceRecord> StoreImpl::AddSpace(const SpaceRecord& wanted) {
  if (wanted.space.dimensions < 1 || wanted.space.dimensions > kDimensionsMax) {
    return Status(Code::kInvalidArgument, "dimensions must be in [1, 65536], got " +
                                              std::to_string(wanted.space.dimensions));
  }
  const auto found = std::find_if(spaces_.begin(), spaces_.end(),
                                  [&](const SpaceRecord& s) { return s.space == wanted.space; });
  SpaceRecord record;
  if (found != spaces_.end()) {
    record = *found;
  } else {
    if (spaces_.size() == static_cast<std::size_t>(kSpacesMax)) {
      return Status(Code::kUnsupported, "a corpus holds at most 60 spaces")
          .WithNext("use another directory for " + wanted.space.name());
    }
    record.id = spaces_.empty() ? 1 : spaces_.back().id + 1;
    record.space = wanted.space;
    record.index_kind = "flat";
    record.metric = "cosine";
  }
  const auto set = [](std::string* field, const std::string& value) {
    if (!value.empty()) *field = value;
  };
  set(&record.base_url, wanted.base_url);
  set(&record.api_key_env, wanted.api_key_env);
  set(&record.index_kind, wanted.index_kind);
  set(&record.metric, wanted.metric);
  set(&record.options, wanted.options);
  EF_RETURN_IF_ERROR(RefuseIfFailed());
  Result<const VectorSpace*> vectors = vectors_->FindSpace(record.space, true);
  if (!vectors.ok()) return Remember(vectors.status());
  if (found == spaces_.end() || SpaceSum(*found) != SpaceSum(record)) {
    EF_RETURN_IF_ERROR(Remember(writer_->Begin()));
    EF_RETURN_IF_ERROR(Remember(writer_->End(WriteSpace(&writer_->database(), record))));
  }
  vector_spaces_[static_cast<std::size_t>(record.id)] = *vectors;
  if (found != spaces_.end()) {
    *found = record;
  } else {
    spaces_.push_back(record);
  }
  return record;
}

Status StoreImpl::HasVectors(SpaceId space, std::span<const ContentHash> hashes,
                             std::span<char> found) {
  EF_ASSIGN_OR_RETURN(const VectorSpace* vectors, FindVectors(space));
  return vectors_->Has(*vectors, hashes, found);
}

Result<std::uint64_t> StoreImpl::PutVectors(SpaceId space, std::span<const VectorPut> vectors) {
  EF_ASSIGN_OR_RETURN(const VectorSpace* target, FindVectors(space));
  EF_RETURN_IF_ERROR(RefuseIfFailed());
  Result<std::uint64_t> already = vectors_->Put(*target, vectors);
  if (!already.ok()) return Remember(already.status());
  return already;
}

Status StoreImpl::WriteSpaces(const SpaceChanges& changes) {
  for (SpaceRecord& space : spaces_) {
    if ((changes.spaces & SpaceBit(space.id)) == 0) continue;
    // Not undone if the transaction fails: nothing is written after that.
    ++space.generation;
    space.documents +=
        static_cast<std::uint64_t>(changes.documents[static_cast<std::size_t>(space.id)]);
    EF_RETURN_IF_ERROR(WriteSpace(&writer_->database(), space));
  }
  return {};
}

Result<CommitResult> StoreImpl::Commit(const CommitGroup& group) {
  EF_RETURN_IF_ERROR(RefuseIfFailed());
  SpaceRecord* space = FindSpace(group.space);
  if (space == nullptr) {
    return Status(Code::kInvalidArgument, "there is no space " + std::to_string(group.space));
  }
  EF_RETURN_IF_ERROR(committer_->Validate(group));
  EF_RETURN_IF_ERROR(Remember(writer_->Begin()));
  SpaceChanges changes;
  Result<CommitResult> result = committer_->Run(group, &changes);
  Status status = result.status();
  if (status.ok()) status = WriteSpaces(changes);
  EF_RETURN_IF_ERROR(Remember(writer_->End(status)));
  EF_RETURN_IF_ERROR(Remember(files_.Check()));
  result->generation = space->generation;
  return result;
}

Result<Store::Removed> StoreImpl::RemoveDocuments(std::span<const std::int64_t> numbers) {
  if (numbers.size() > kRemoveMax) {
    return Status(Code::kInvalidArgument, "at most 1000 documents are removed at once, got " +
                                              std::to_string(numbers.size()));
  }
  EF_RETURN_IF_ERROR(RefuseIfFailed());
  EF_RETURN_IF_ERROR(Remember(writer_->Begin()));
  SpaceChanges changes;
  Result<Removed> removed = committer_->Remove(numbers, &changes);
  Status status = removed.status();
  if (status.ok()) status = WriteSpaces(changes);
  EF_RETURN_IF_ERROR(Remember(writer_->End(status)));
  EF_RETURN_IF_ERROR(Remember(files_.Check()));
  return removed;
}

Result<std::vector<std::int64_t>> StoreImpl::AddSources(std::span<const std::string> names) {
  EF_RETURN_IF_ERROR(RefuseIfFailed());
  EF_RETURN_IF_ERROR(Remember(writer_->Begin()));
  std::vector<std::int64_t> numbers;
  const Status status = [&]() -> Status {
    Database& database = writer_->database();
    EF_ASSIGN_OR_RETURN(numbers, ReadSources(&database, names));
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (numbers[i] != 0) continue;
      // Named twice in `names`, it has been made by now.
      const auto same = std::find(names.begin(), names.end(), names[i]) - names.begin();
      numbers[i] = numbers[static_cast<std::size_t>(same)];
      if (numbers[i] != 0) continue;
      EF_ASSIGN_OR_RETURN(const std::int64_t last,
                          database.QueryInt("SELECT max(source) FROM sources"));
      EF_ASSIGN_OR_RETURN(
          Statement insert,
          database.Prepare("INSERT INTO sources(source, name, checksum) VALUES(?, ?, ?)"));
      numbers[i] = last + 1;
      EF_RETURN_IF_ERROR(insert.Bind(numbers[i])
                             .BindText(names[i])
                             .BindUnsigned(SourceSum(numbers[i], names[i]))
                             .Run());
    }
    return {};
  }();
  EF_RETURN_IF_ERROR(Remember(writer_->End(status)));
  return numbers;
}

Result<Store::RunBegin> StoreImpl::BeginRun(SpaceId space, std::uint64_t in_flight_max) {
  EF_RETURN_IF_ERROR(RefuseIfFailed());
  EF_ASSIGN_OR_RETURN(const InFlight::Leftover left, InFlight::Read(directory_));
  EF_RETURN_IF_ERROR(Remember(writer_->Begin()));
  Result<RunBegin> begin = TakeOver(space, in_flight_max, left);
  EF_RETURN_IF_ERROR(Remember(writer_->End(begin.status())));
  return begin;
}

Result<Store::RunBegin> StoreImpl::TakeOver(SpaceId space, std::uint64_t in_flight_max,
                                            const InFlight::Leftover& left) {
  for (const SpaceRecord& record : spaces_) {
    if (left.texts.empty() || SpaceKey(record.space) != left.space) continue;
    EF_RETURN_IF_ERROR(runs_->RememberMaybePaid(record.id, left.texts));
  }
  EF_ASSIGN_OR_RETURN(RunBegin begin, runs_->Begin(space, in_flight_max));
  begin.maybe_paid_unnamed = left.unnamed;
  if (!left.is_of_this_boot) begin.maybe_paid_unnamed += begin.killed_in_flight_max;
  // What the last run stored and did not live to clear, or bought again and did not commit.
  std::vector<char> found(begin.maybe_paid.size(), 0);
  EF_RETURN_IF_ERROR(HasVectors(space, begin.maybe_paid, found));
  std::vector<ContentHash> durable, missing;
  for (std::size_t i = 0; i < found.size(); ++i) {
    (found[i] ? durable : missing).push_back(begin.maybe_paid[i]);
  }
  EF_RETURN_IF_ERROR(runs_->ForgetMaybePaid(space, durable));
  begin.maybe_paid = std::move(missing);
  return begin;
}

Status StoreImpl::AddRunSample(std::int64_t run, const Progress& progress) {
  EF_RETURN_IF_ERROR(RefuseIfFailed());
  if (!runs_->wants_sample(run)) {
    runs_->SkipSample();
    return {};
  }
  EF_RETURN_IF_ERROR(Remember(writer_->Begin()));
  return Remember(writer_->End(runs_->AddSample(run, progress)));
}

Status StoreImpl::EndRun(std::int64_t run, const RunSummary& summary) {
  EF_RETURN_IF_ERROR(RefuseIfFailed());
  EF_RETURN_IF_ERROR(Remember(writer_->Begin()));
  EF_RETURN_IF_ERROR(Remember(writer_->End(runs_->End(run, summary))));
  return Remember(files_.Check());
}

Status StoreImpl::ForgetDeadRecords(std::int64_t run, const std::vector<std::string>& files) {
  if (files.empty() || writer_->totals().dead_letters == 0) return {};
  EF_RETURN_IF_ERROR(RefuseIfFailed());
  EF_RETURN_IF_ERROR(Remember(writer_->Begin()));
  Status status;
  for (const std::string& file : files) {
    if (status.ok()) status = letters_->DropOfFile(file, run);
  }
  return Remember(writer_->End(status));
}

Result<std::uint64_t> StoreImpl::DropOrphanVectors() {
  EF_RETURN_IF_ERROR(RefuseIfFailed());
  std::uint64_t dropped = 0;
  for (const SpaceRecord& space : spaces_) {
    const VectorSpace* vectors = vector_spaces_[static_cast<std::size_t>(space.id)];
    if (vectors == nullptr) continue;
    std::vector<ContentHash> orphans;
    // A damaged vector that a chunk needs stays: it is for verify to name, and for a new one to
    // replace.
    VectorMatch match;
    match.missing = [](std::string_view, std::uint64_t, std::int64_t) {};
    match.orphan = [&](const ContentHash& hash) { orphans.push_back(hash); };
    match.damaged = [](const ContentHash&) {};
    EF_RETURN_IF_ERROR(
        MatchVectors(&writer_->database(), space.id, vectors_.get(), vectors, match).status());
    for (std::size_t i = 0; i < orphans.size(); i += kDropVectors) {
      const std::size_t count = std::min(kDropVectors, orphans.size() - i);
      Result<std::uint64_t> erased =
          vectors_->Erase(*vectors, std::span(orphans).subspan(i, count));
      if (!erased.ok()) return Remember(erased.status());
      dropped += *erased;
    }
  }
  return dropped;
}

}  // namespace

Result<std::unique_ptr<Store>> OpenStore(const std::string& directory, const StoreOptions& options,
                                         Clock& clock) {
  if (options.create) EF_RETURN_IF_ERROR(MakeDirectory(directory));
  EF_RETURN_IF_ERROR(ExamineDirectory(directory));
  EF_ASSIGN_OR_RETURN(const long long bytes, FileBytes(directory + "/" + kDatabaseFile));
  if (bytes < 0 && !options.create) return NoDatabase(directory);
  EF_ASSIGN_OR_RETURN(std::unique_ptr<DirectoryLock> lock, DirectoryLock::Take(directory));
  EF_ASSIGN_OR_RETURN(OpenedDatabase opened, OpenForWriting(directory));
  if (opened.empty) {
    // The database is born last: where it has a schema, all the other files were durable.
    EF_RETURN_IF_ERROR(VectorStore::Make(directory));
    EF_RETURN_IF_ERROR(Seal::Make(directory));
    // So that a first run that is killed before it sends anything is known to have sent nothing.
    EF_RETURN_IF_ERROR(InFlight::Create(directory, {}, 0, 0).status());
    EF_RETURN_IF_ERROR(LayFormat(opened.database.get()));
  }
  if (opened.is_older) EF_RETURN_IF_ERROR(Migrate(opened.database.get()));
  EF_ASSIGN_OR_RETURN(std::shared_ptr<VectorStore> vectors,
                      VectorStore::Open(directory, VectorStore::Access::kWrite, options.map_bytes));
  EF_ASSIGN_OR_RETURN(std::unique_ptr<Writer> writer,
                      Writer::Open(directory, std::move(opened.database)));
  // By now the WAL has its name. SQLite makes it durable too, but does not look at what comes of
  // it.
  EF_RETURN_IF_ERROR(SyncDirectory(directory));
  EF_ASSIGN_OR_RETURN(FilesInPlace files, FilesInPlace::Note(directory));
  auto store = std::make_unique<StoreImpl>(directory, std::move(lock), std::move(vectors),
                                           std::move(writer), std::move(files));
  EF_RETURN_IF_ERROR(store->Start(clock));
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace embedflow
