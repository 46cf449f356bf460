#include "base/hash.h"

#include <openssl/evp.h>
#include <xxhash.h>

#include "base/check.h"

namespace embedflow {
namespace {

// One context a thread: making one costs more than hashing a short text.
class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new()), algorithm_(EVP_MD_fetch(nullptr, "SHA256", nullptr)) {
    EF_CHECK(context_ != nullptr && algorithm_ != nullptr);
  }
  ~Sha256() {
    EVP_MD_CTX_free(context_);
    EVP_MD_free(algorithm_);
  }
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Begin() { EF_CHECK(EVP_DigestInit_ex2(context_, algorithm_, nullptr) == 1); }
  void Add(std::string_view data) {
    EF_CHECK(EVP_DigestUpdate(context_, data.data(), data.size()) == 1);
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> Digest() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned int size = 0;
    EF_CHECK(EVP_DigestFinal_ex(context_, digest.data(), &size) == 1 && size == 32);
    return digest;
  }
  ContentHash End() {
    const std::array<unsigned char, EVP_MAX_MD_SIZE> digest = Digest();
    ContentHash hash;
    std::memcpy(hash.bytes.data(), digest.data(), hash.bytes.size());
    return hash;
  }

 private:
  EVP_MD_CTX* context_;
  EVP_MD* algorithm_;
};

std::string Hex(std::span<const unsigned char> bytes) {
  static const char* kDigits = "0123456789abcdef";
  std::string out;
  for (const unsigned char b : bytes) {
    out += kDigits[b >> 4];
    out += kDigits[b & 15];
  }
  return out;
}

}  // namespace

ContentHash ContentHash::FromBytes(std::string_view raw) {
  EF_CHECK(raw.size() == 16);
  ContentHash hash;
  std::memcpy(hash.bytes.data(), raw.data(), raw.size());
  return hash;
}

std::uint64_t ContentHash::high64() const {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = (value << 8) | bytes[static_cast<std::size_t>(i)];
  return value;
}

std::string ContentHash::hex() const { return Hex(bytes); }

ContentHash HashContent(std::span<const std::string_view> parts) {
  thread_local Sha256 sha;
  sha.Begin();
  for (const std::string_view part : parts) {
    // Little endian on every machine, because ids must agree between machines.
    std::array<char, 8> length;
    for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(part.size() >> (8 * i));
    sha.Add({length.data(), length.size()});
    sha.Add(part);
  }
  return sha.End();
}

ContentHash HashContent(std::string_view text) { return HashContent(std::span(&text, 1)); }

std::string Sha256Hex(std::string_view data) {
  thread_local Sha256 sha;
  sha.Begin();
  sha.Add(data);
  const std::array<unsigned char, EVP_MAX_MD_SIZE> digest = sha.Digest();
  return Hex(std::span(digest).first(32));
}

std::uint64_t Checksum(std::string_view data, std::uint64_t seed) {
  return XXH3_64bits_withSeed(data.data(), data.size(), seed);
}

}  // namespace embedflow
