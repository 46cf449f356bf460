// How every call of embedflow reports: a Status, or a Result<T> that holds a value or a Status.
//
// embedflow does not throw. A Status says three things, in the order a user needs them: what
// happened (with the value and the place), what was kept, and what to do next. Its Code says what
// the caller can do; its word is a stable name for scripts ("disk_full", "in_use", ...), listed in
// docs/errors.md.
//
// Threads: values; a Status may be copied between threads.
#ifndef EMBEDFLOW_STATUS_H_
#define EMBEDFLOW_STATUS_H_

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace embedflow {

// What the caller can do about it. The program's exit codes follow from these (docs/errors.md).
enum class Code {
  kOk,
  kInvalidArgument,  // An option or an argument is out of range; mend it.
  kNotFound,         // No such file, document, corpus or space.
  kUnsupported,      // This build, file system or format version cannot do it.
  kBudget,           // Stopped at the budget; resumable with a larger one.
  kRefused,      // The provider refuses: key, access, quota, request form. Waiting does not help.
  kInUse,        // Another process writes the corpus.
  kIo,           // Disk full, read-only, failed sync. Resumable once mended.
  kUnavailable,  // The provider does not answer well; retries are used up. Resumable.
  kCorruption,   // The store is damaged; verify says where.
  kCancelled,    // Stopped on request. Resumable.
  kInternal,     // A broken promise of our own.
};

// The name of a code in lower case with underscores, e.g. "invalid_argument". Never null.
const char* CodeName(Code code);

class [[nodiscard]] Status {
 public:
  // OK.
  Status() = default;
  // A failure. `code` must not be kOk; `message` says what happened, with the value and the place,
  // in lower case and without a full stop. It must hold no key and no document text.
  Status(Code code, std::string message);

  bool ok() const { return rep_ == nullptr; }
  Code code() const { return rep_ ? rep_->code : Code::kOk; }
  // Empty when OK.
  const std::string& message() const;
  // The stable word: the one given by WithWord, else CodeName(code()).
  std::string word() const;
  // What was kept and what to do next; empty when nothing was said.
  const std::string& kept() const;
  const std::string& next() const;

  // Copies of this status that say more. On an OK status they return OK.
  Status WithWord(std::string word) const;
  Status WithKept(std::string kept) const;
  Status WithNext(std::string next) const;
  // The same failure with "context: " put before the message.
  Status WithContext(std::string_view context) const;

  // One line: "message; kept: ...; next: ...". Control bytes are escaped. "ok" when OK.
  std::string ToString() const;

 private:
  struct Rep {
    Code code;
    std::string word, message, kept, next;
  };
  template <typename F>
  Status With(F change) const;
  std::shared_ptr<const Rep> rep_;
};

// A value or the Status that explains its absence.
template <typename T>
class [[nodiscard]] Result {
 public:
  // Implicit, so that `return value;` and `return status;` work.
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(T value) : value_(std::move(value)) {}
  // `status` must not be OK.
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {
    if (status_.ok()) std::abort();
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  // The value; ok() must hold.
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return *std::move(value_); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  Status status_;
  std::optional<T> value_;
};

// Control flow for functions that return Status or Result. The only two macros of the project
// besides its thread annotations.
#define EF_CONCAT_INNER_(a, b) a##b
#define EF_CONCAT_(a, b) EF_CONCAT_INNER_(a, b)
#define EF_RETURN_IF_ERROR(expression)                                                      \
  do {                                                                                      \
    if (::embedflow::Status ef_status_ = (expression); !ef_status_.ok()) return ef_status_; \
  } while (false)
#define EF_ASSIGN_OR_RETURN(target, expression) \
  EF_ASSIGN_OR_RETURN_(EF_CONCAT_(ef_result_, __LINE__), target, expression)
#define EF_ASSIGN_OR_RETURN_(result, target, expression) \
  auto result = (expression);                            \
  if (!result.ok()) return result.status();              \
  target = std::move(result).value()

}  // namespace embedflow

#endif  // EMBEDFLOW_STATUS_H_
