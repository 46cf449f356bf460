#include "sources/inputs.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "sources/bytes.h"
#include "sources/directory.h"

namespace embedflow {

using Format = FileSourceOptions::Format;

std::string DisplayName(const std::string& path) {
  if (path == "-") return "standard input";
  return path.empty() ? "''" : path;
}

Status InputFault(std::string message, const char* word, std::string next) {
  return Status(Code::kInvalidArgument, std::move(message))
      .WithWord(word)
      .WithNext(std::move(next));
}

Status InputExaminer::Examine(const std::string& path) {
  if (path == "-" || path == "/dev/stdin") return ExamineStandardInput(path);
  if (path.find('\0') != std::string::npos)
    return InputFault("an input's path holds a NUL", "input_missing", "check the path");
  struct stat examined {};
  if (::stat(path.c_str(), &examined) != 0) {
    const int error = errno;
    struct stat link {};
    if (error == ENOENT && ::lstat(path.c_str(), &link) == 0)
      return InputError(error, DisplayName(path) + ": the target of this symbolic link");
    return InputError(error, DisplayName(path));
  }
  if (S_ISDIR(examined.st_mode)) return ExamineDirectory(path);
  return ExamineFile(path, examined);
}

Status InputExaminer::ExamineStandardInput(const std::string& path) {
  if (has_standard_input_)
    return InputFault("standard input is given twice", "input_format", "give it once");
  has_standard_input_ = has_unsized_ = true;
  struct stat examined {};
  if (::fstat(STDIN_FILENO, &examined) != 0) return InputError(errno, "standard input");
  if (S_ISDIR(examined.st_mode)) {
    return InputFault("standard input is a directory", "input_unreadable",
                      "give the directory as an input instead");
  }
  const Format format = options_.format == Format::kAuto ? Format::kJsonLines : options_.format;
  inputs_.push_back({Input::Kind::kStandardInput, path, {format, Compression::kNone}});
  return {};
}

Status InputExaminer::ExamineFile(const std::string& path, const struct stat& examined) {
  if (S_ISSOCK(examined.st_mode)) {
    return InputFault(path + ": is a socket", "input_unreadable",
                      "pipe what it sends into standard input, and give -");
  }
  if (::faccessat(AT_FDCWD, path.c_str(), R_OK, AT_EACCESS) != 0) return InputError(errno, path);
  Input input = {Input::Kind::kFile, path, FormatOfName(path, options_.format)};
  if (S_ISREG(examined.st_mode)) {
    bytes_ += static_cast<std::uint64_t>(examined.st_size);
    if (input.format.format == Format::kAuto) {
      return InputFault(path + ": its name does not tell its format; known are " +
                            KnownExtensions() + ", and these under .gz or .zst",
                        "input_format",
                        "--format jsonl if it holds one object a line; --format text if it is "
                        "one document");
    }
  } else {
    has_unsized_ = true;
    // A FIFO is read like standard input: <(program) has no telling name.
    if (input.format.format == Format::kAuto) input.format.format = Format::kJsonLines;
  }
  inputs_.push_back(std::move(input));
  return {};
}

Status InputExaminer::ExamineDirectory(const std::string& path) {
  std::uint64_t usable = 0, passed_over = 0;
  DirectoryWalk walk(path, DirectoryWalk::Says::kNothing);
  std::string relative;
  for (;;) {
    EF_ASSIGN_OR_RETURN(const bool found, walk.Next(&relative));
    if (!found) break;
    if (FormatOfName(relative, options_.format).format == Format::kAuto) {
      ++passed_over;
      continue;
    }
    const std::string member = JoinPath(path, relative);
    struct stat examined {};
    if (::stat(member.c_str(), &examined) != 0) continue;  // Gone again: so it will be later.
    if (::faccessat(AT_FDCWD, member.c_str(), R_OK, AT_EACCESS) != 0)
      return InputError(errno, member);
    bytes_ += static_cast<std::uint64_t>(examined.st_size);
    ++usable;
  }
  if (usable == 0) {
    std::string message = path + ": the directory holds no record";
    if (passed_over == 0) {
      return InputFault(message + ": there is no file in it", "input_empty",
                        "see that it is the right one");
    }
    return InputFault(message + ": none of its " + std::to_string(passed_over) +
                          " files has one of the extensions " + KnownExtensions(),
                      "input_empty", "--format text takes every file as a document");
  }
  inputs_.push_back({Input::Kind::kDirectory, path, {}});
  return {};
}

}  // namespace embedflow
