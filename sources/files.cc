// OpenFiles: the inputs of the command line as one stream of records.

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/mutex.h"
#include "embedflow/source.h"
#include "sources/bytes.h"
#include "sources/decompress.h"
#include "sources/delimited.h"
#include "sources/directory.h"
#include "sources/documents.h"
#include "sources/formats.h"
#include "sources/inputs.h"
#include "sources/json_lines.h"
#include "sources/whole_file.h"

namespace embedflow {
namespace {

using Format = FileSourceOptions::Format;

// A record is held whole, so this bounds memory.
constexpr std::uint64_t kDocumentBytesMaxMax = 1ull << 30;

class FileSource : public Source {
 public:
  FileSource(std::vector<Input> inputs, std::optional<std::uint64_t> bytes_total,
             const FileSourceOptions& options, std::unique_ptr<StopSignal> stop)
      : inputs_(std::move(inputs)),
        bytes_total_(bytes_total),
        options_(options),
        stop_(std::move(stop)) {}

  Result<bool> Next(Record* record) override;
  SourceProgress progress() const override {
    return {bytes_read_.load(std::memory_order_relaxed), bytes_total_};
  }
  std::vector<std::string> inputs() const override;
  std::vector<std::string> completed_inputs() const override;
  bool is_complete() const override { return is_complete_; }
  void Stop() override { stop_->Set(); }

 private:
  // Next() without the bookkeeping of ends and errors.
  Result<bool> Advance(Record* record);
  // Opens the next file of the inputs; returns false when there is none.
  Result<bool> OpenNext();
  // Opens the next usable file of a directory; returns false at its end.
  Result<bool> OpenMember(const Input& input);
  // Opens one file of either kind: sets reader_ and file_. `member_id` is the id of a member of a
  // directory, null for an input given by itself.
  Status OpenFile(const Input& file, const std::string* member_id);
  void FinishFile();
  // The input as a whole is read: it must have held something.
  Status FinishInput();
  // The status with the file's name, and what was kept of it.
  Status Explain(const Status& failed) const;

  // Constant after construction.
  const std::vector<Input> inputs_;
  const std::optional<std::uint64_t> bytes_total_;
  const FileSourceOptions options_;
  // Own synchronisation.
  const std::unique_ptr<StopSignal> stop_;
  std::atomic<std::uint64_t> bytes_read_{0};
  // Guarded by mu_. The paths of files that were read, each followed by a NUL: one string, because
  // there may be a million.
  mutable Mutex mu_;
  std::string completed_ EF_GUARDED_BY(mu_);
  // The reading thread only.
  Status failed_;
  bool is_done_ = false;
  std::atomic<bool> is_complete_{true};  // Read by others once Next() has returned false.
  std::size_t input_ = 0;                // In inputs_.
  bool is_input_opened_ = false;
  std::uint64_t input_records_ = 0;
  std::unique_ptr<DirectoryWalk> walk_;     // Of the directory in hand.
  std::unique_ptr<DocumentReader> reader_;  // Of the file in hand; owns *file_.
  FileBytes* file_ = nullptr;
  std::string file_path_;
  std::uint64_t file_records_ = 0;
  std::uint64_t token_ = 0;
};

Result<bool> FileSource::Next(Record* record) {
  *record = {};
  if (is_done_ || stop_->is_set()) return false;
  if (!failed_.ok()) return failed_;
  const Result<bool> found = Advance(record);
  if (found.ok() && *found) return true;
  reader_.reset();
  walk_.reset();
  *record = {};
  is_done_ = found.ok() || found.status().code() == Code::kCancelled;
  if (is_done_) return false;
  failed_ = found.status();
  return failed_;
}

Result<bool> FileSource::Advance(Record* record) {
  for (;;) {
    if (reader_ == nullptr) {
      EF_ASSIGN_OR_RETURN(const bool opened, OpenNext());
      if (!opened) return false;
    }
    const Result<bool> found = reader_->Next(record);
    if (!found.ok()) return Explain(found.status());
    if (!*found) {
      FinishFile();
      continue;
    }
    ++file_records_;
    ++input_records_;
    record->origin.file = file_path_;
    record->origin.input = static_cast<std::uint32_t>(input_);
    record->token = ++token_;
    return true;
  }
}

Result<bool> FileSource::OpenNext() {
  while (input_ < inputs_.size()) {
    const Input& input = inputs_[input_];
    if (input.kind == Input::Kind::kDirectory) {
      EF_ASSIGN_OR_RETURN(const bool opened, OpenMember(input));
      if (opened) return true;
    } else if (!is_input_opened_) {
      is_input_opened_ = true;
      EF_RETURN_IF_ERROR(OpenFile(input, nullptr));
      return true;
    }
    EF_RETURN_IF_ERROR(FinishInput());
    ++input_;
    is_input_opened_ = false;
    input_records_ = 0;
  }
  return false;
}

Result<bool> FileSource::OpenMember(const Input& input) {
  if (walk_ == nullptr)
    walk_ = std::make_unique<DirectoryWalk>(input.path, DirectoryWalk::Says::kPassedOver);
  std::string relative;
  for (;;) {
    if (stop_->is_set()) return Status(Code::kCancelled, "stopped while listing");
    EF_ASSIGN_OR_RETURN(const bool found, walk_->Next(&relative));
    if (!found) {
      is_complete_ = is_complete_ && walk_->is_complete();
      walk_.reset();
      return false;
    }
    const Input member = {Input::Kind::kFile, JoinPath(input.path, relative),
                          FormatOfName(relative, options_.format)};
    if (member.format.format == Format::kAuto) {
      Log(LogLevel::kDebug, member.path + ": passed over, its extension is none of those known");
      continue;
    }
    const Status opened = OpenFile(member, &relative);
    if (opened.code() == Code::kNotFound) {
      Log(LogLevel::kWarning, member.path + ": gone since the directory was listed; passed over");
      is_complete_ = false;
      continue;
    }
    EF_RETURN_IF_ERROR(opened);
    return true;
  }
}

Status FileSource::OpenFile(const Input& input, const std::string* member_id) {
  file_path_ = input.path;
  file_records_ = 0;
  auto opened = input.kind == Input::Kind::kStandardInput
                    ? FileBytes::OpenStandardInput(stop_.get(), &bytes_read_)
                    : FileBytes::Open(input.path,
                                      member_id != nullptr ? FileBytes::Links::kRefuse
                                                           : FileBytes::Links::kFollow,
                                      stop_.get(), &bytes_read_);
  if (!opened.ok()) return Explain(opened.status());
  file_ = opened->get();
  WholeFileOptions whole = {member_id != nullptr ? *member_id : input.path, file_->size(),
                            /*unreadable_is_bad_record=*/member_id != nullptr};
  std::unique_ptr<ByteStream> stream = std::move(opened).value();
  if (input.format.compression == Compression::kGzip) {
    EF_ASSIGN_OR_RETURN(stream, OpenGzip(std::move(stream)));
  } else if (input.format.compression == Compression::kZstd) {
    EF_ASSIGN_OR_RETURN(stream, OpenZstd(std::move(stream)));
  }
  switch (input.format.format) {
    case Format::kAuto:
    case Format::kJsonLines:
      reader_ = NewJsonLinesReader(std::move(stream), options_);
      break;
    case Format::kCsv:
      reader_ = NewDelimitedReader(std::move(stream), ',', options_);
      break;
    case Format::kTsv:
      reader_ = NewDelimitedReader(std::move(stream), '\t', options_);
      break;
    case Format::kText:
    case Format::kMarkdown:
      reader_ = NewWholeFileReader(std::move(stream), std::move(whole), options_);
      break;
  }
  return {};
}

void FileSource::FinishFile() {
  file_->SkipRest();
  if (const std::string change = file_->DescribeChange(file_path_); !change.empty()) {
    Log(LogLevel::kWarning, DisplayName(file_path_) + ": changed while it was read: " + change +
                                "; the same command again takes in the change");
    is_complete_ = false;
  }
  reader_.reset();
  file_ = nullptr;
  MutexLock lock(mu_);
  completed_ += file_path_;
  completed_ += '\0';
}

Status FileSource::FinishInput() {
  if (input_records_ > 0) return {};
  const Input& input = inputs_[input_];
  std::string next = "see that it is the right one; an empty input is taken for a mistake";
  if (input.kind == Input::Kind::kStandardInput)
    next = "see that the program before the pipe writes something";
  return InputFault(DisplayName(input.path) + ": it holds no record", "input_empty",
                    std::move(next));
}

Status FileSource::Explain(const Status& failed) const {
  if (failed.code() == Code::kCancelled) return failed;
  Status named = failed.WithContext(DisplayName(file_path_));
  if (file_records_ == 0) return named;
  return named.WithKept(file_records_ == 1 ? "the 1 record of it before that"
                                           : "the " + std::to_string(file_records_) +
                                                 " records of it before that");
}

std::vector<std::string> FileSource::inputs() const {
  std::vector<std::string> names;
  for (const Input& input : inputs_) {
    if (input.kind == Input::Kind::kStandardInput) {
      names.push_back(input.path);
      continue;
    }
    std::error_code error;
    const std::filesystem::path whole = std::filesystem::weakly_canonical(input.path, error);
    std::string name = error ? input.path : whole.string();
    // A directory is the same with and without the last slash.
    while (name.size() > 1 && name.back() == '/') name.pop_back();
    names.push_back(std::move(name));
  }
  return names;
}

std::vector<std::string> FileSource::completed_inputs() const {
  MutexLock lock(mu_);
  std::vector<std::string> paths;
  for (std::size_t at = 0; at < completed_.size(); at += paths.back().size() + 1)
    paths.emplace_back(completed_.data() + at);
  return paths;
}

}  // namespace

Status FileSourceOptions::Validate() const {
  const auto invalid = [](std::string message) {
    return Status(Code::kInvalidArgument, std::move(message));
  };
  if (format < Format::kAuto || format > Format::kMarkdown) return invalid("format is unknown");
  if (id_field.empty()) return invalid("id_field must not be empty");
  if (text_field.empty()) return invalid("text_field must not be empty");
  if (id_field == text_field)
    return invalid("id_field and text_field must differ, both are '" + id_field + "'");
  if (document_bytes_max < 1 || document_bytes_max > kDocumentBytesMaxMax) {
    return invalid("document_bytes_max must be in [1, " + std::to_string(kDocumentBytesMaxMax) +
                   "], got " + std::to_string(document_bytes_max));
  }
  return {};
}

Result<std::unique_ptr<Source>> OpenFiles(const std::vector<std::string>& inputs,
                                          const FileSourceOptions& options) {
  EF_RETURN_IF_ERROR(options.Validate());
  if (inputs.empty()) {
    return InputFault("no input is given", "input_missing",
                      "name files or directories, or - for standard input");
  }
  InputExaminer examiner(options);
  for (const std::string& input : inputs) EF_RETURN_IF_ERROR(examiner.Examine(input));
  EF_ASSIGN_OR_RETURN(auto stop, StopSignal::Create());
  const auto bytes_total = examiner.bytes_total();
  return std::unique_ptr<Source>(
      std::make_unique<FileSource>(examiner.TakeInputs(), bytes_total, options, std::move(stop)));
}

}  // namespace embedflow
