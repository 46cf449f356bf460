// What is known of the inputs before anything is read.
#ifndef EMBEDFLOW_SOURCES_INPUTS_H_
#define EMBEDFLOW_SOURCES_INPUTS_H_

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "embedflow/source.h"
#include "embedflow/status.h"
#include "sources/formats.h"

namespace embedflow {

// One input as it was given.
struct Input {
  enum class Kind { kStandardInput, kFile, kDirectory };
  Kind kind = Kind::kFile;
  std::string path;
  NamedFormat format;  // Of a directory: unused.
};

// How an input is called in messages.
std::string DisplayName(const std::string& path);

// kInvalidArgument with a word and a next step.
Status InputFault(std::string message, const char* word, std::string next);

// Looks at each input without opening it: is it there, may it be read, is its format known, how
// large is it. Directories are walked, so that what cannot be read in them is known before money is
// spent.
class InputExaminer {
 public:
  // `options` must outlive the examiner.
  explicit InputExaminer(const FileSourceOptions& options) : options_(options) {}

  // Adds the input `path`. Errors: kNotFound, kInvalidArgument, kIo, naming it.
  Status Examine(const std::string& path);

  std::vector<Input> TakeInputs() { return std::move(inputs_); }
  // The bytes of all of them; empty when one has no size, as standard input and FIFOs.
  std::optional<std::uint64_t> bytes_total() const {
    return has_unsized_ ? std::nullopt : std::optional<std::uint64_t>(bytes_);
  }

 private:
  Status ExamineStandardInput(const std::string& path);
  Status ExamineFile(const std::string& path, const struct stat& examined);
  Status ExamineDirectory(const std::string& path);

  const FileSourceOptions& options_;
  std::vector<Input> inputs_;
  std::uint64_t bytes_ = 0;
  bool has_unsized_ = false;
  bool has_standard_input_ = false;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_SOURCES_INPUTS_H_
