#include "providers/key.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "base/log.h"
#include "base/utf8.h"

namespace embedflow {
namespace {

constexpr std::size_t kKeyBytesMax = 4096;

Status Missing(std::string message, std::string next) {
  return Status(Code::kRefused, std::move(message))
      .WithWord("key_missing")
      .WithNext(std::move(next));
}

Result<Secret> Check(std::string_view raw, const std::string& source) {
  if (!raw.empty() && raw.back() == '\n') raw.remove_suffix(1);
  if (!raw.empty() && raw.back() == '\r') raw.remove_suffix(1);
  if (raw.empty()) return Missing(source + " holds no key", "put the key there");
  if (raw.size() > kKeyBytesMax) {
    return Status(Code::kInvalidArgument, "the key in " + source + " has more than " +
                                              std::to_string(kKeyBytesMax) + " bytes")
        .WithWord("key_malformed");
  }
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] >= 0x21 && raw[i] <= 0x7E) continue;
    return Status(Code::kInvalidArgument, "the key in " + source +
                                              " holds a byte outside 0x21 to 0x7E at offset " +
                                              std::to_string(i))
        .WithWord("key_malformed")
        .WithNext("keep nothing but the key there, on one line");
  }
  RegisterSecret(raw);
  return Secret(raw);
}

Status CannotRead(const std::string& source) {
  return Missing("cannot read the key file " + source + ": " + std::strerror(errno),
                 "check --api-key-file");
}

}  // namespace

void Wipe(std::string* text) {
  // Short strings live inside the object, so all of the room they have is overwritten.
  text->resize(text->capacity());
  explicit_bzero(text->data(), text->size());
  text->clear();
}

Result<Secret> ReadKeyFromEnvironment(const std::string& variable) {
  const char* value = std::getenv(variable.c_str());
  const std::string source = EscapeControl(variable, 100);
  if (value == nullptr || *value == '\0') {
    return Missing("no API key: the environment variable " + source + " is not set",
                   "set it with: read -rs " + source + " && export " + source +
                       ", or name a file with --api-key-file");
  }
  return Check(value, source);
}

Result<Secret> ReadKeyFromFile(const std::string& path) {
  const std::string source = EscapeControl(path, 400);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return CannotRead(source);
  struct stat facts {};
  std::string raw;
  Status status;
  if (::fstat(fd, &facts) != 0 || S_ISDIR(facts.st_mode)) {
    if (S_ISDIR(facts.st_mode)) errno = EISDIR;
    status = CannotRead(source);
  } else if (S_ISREG(facts.st_mode) && (facts.st_mode & 077) != 0) {
    status = Status(Code::kInvalidArgument, "the key file " + source + " is open to other users")
                 .WithWord("key_file_readable_by_others")
                 .WithNext("run: chmod 600 " + source);
  } else {
    // Two bytes more than a key may have: its newline, and one to see that it is too long.
    raw.resize(kKeyBytesMax + 3);
    std::size_t size = 0;
    while (size < raw.size()) {
      const ssize_t n = ::read(fd, raw.data() + size, raw.size() - size);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) status = CannotRead(source);
      if (n <= 0) break;
      size += static_cast<std::size_t>(n);
    }
    raw.resize(size);
  }
  ::close(fd);
  Result<Secret> key = status.ok() ? Check(raw, source) : Result<Secret>(status);
  Wipe(&raw);
  return key;
}

}  // namespace embedflow
