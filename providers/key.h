// Reads API keys. A key never comes from an argument, where every user of the machine could read
// it.
#ifndef EMBEDFLOW_PROVIDERS_KEY_H_
#define EMBEDFLOW_PROVIDERS_KEY_H_

#include <string>
#include <string_view>
#include <utility>

#include "embedflow/status.h"

namespace embedflow {

// Overwrites the text and empties it, so that memory used again does not hold it. What a string
// left behind when it grew is out of reach.
void Wipe(std::string* text);

// A key in memory: its bytes are overwritten when they are freed, and no stream, log or message
// takes it. Only what writes a header reveals it.
// Threads: a value.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string_view bytes) : bytes_(bytes) {}
  ~Secret() { Wipe(&bytes_); }
  Secret(const Secret& other) = default;
  // A short string is copied when it is moved.
  Secret(Secret&& other) noexcept : bytes_(std::move(other.bytes_)) { Wipe(&other.bytes_); }
  Secret& operator=(const Secret& other) {
    if (this != &other) {
      Wipe(&bytes_);
      bytes_ = other.bytes_;
    }
    return *this;
  }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      Wipe(&bytes_);
      bytes_ = std::move(other.bytes_);
      Wipe(&other.bytes_);
    }
    return *this;
  }

  bool empty() const { return bytes_.empty(); }
  // The key itself. It must not be kept where it is not wiped.
  std::string_view Reveal() const { return bytes_; }

 private:
  std::string bytes_;
};

// One trailing newline is dropped; what is left must be 1 to 4096 bytes in 0x21 to 0x7E, so that no
// newline can add a header. The key is registered with the redactor before it is returned.
// Errors: kRefused ("key_missing") when there is none, kInvalidArgument ("key_malformed"). Messages
// hold no byte of the key.
Result<Secret> ReadKeyFromEnvironment(const std::string& variable);
// The same from a file, which nobody but its owner may be able to read: kInvalidArgument
// ("key_file_readable_by_others").
Result<Secret> ReadKeyFromFile(const std::string& path);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_KEY_H_
