#include "providers/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>
#include <string>
#include <string_view>
#include <utility>

namespace embedflow {
namespace {

constexpr const char* kHeader = "Content-Encoding";
// The fastest: 6, zlib's own choice, takes four times as long to save another 7 % of the body
// (bench/README.md, gzip_bench).
constexpr int kLevel = 1;
// Of zlib: the largest window, and 16 for a gzip header in place of zlib's own.
constexpr int kGzipWindow = 15 + 16;
constexpr int kMemoryLevel = 8;
constexpr std::size_t kBodyBytesMax = std::numeric_limits<uInt>::max();

bool IsEncodingHeader(const std::pair<std::string, std::string>& header) {
  constexpr std::string_view kName = "content-encoding";
  return std::equal(
      header.first.begin(), header.first.end(), kName.begin(), kName.end(),
      [](char a, char b) { return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b; });
}

Status NoMemory() { return {Code::kInternal, "no memory to compress a request"}; }

Bytef* Input(const std::string& text) {
  // zlib's interface is older than const; it does not write there.
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
}

}  // namespace

Result<bool> GzipRequest(HttpRequest* request) {
  std::string& body = request->body;
  if (request->is_compressed || body.empty() || body.size() > kBodyBytesMax ||
      std::any_of(request->headers.begin(), request->headers.end(), IsEncodingHeader))
    return false;
  z_stream stream{};
  if (deflateInit2(&stream, kLevel, Z_DEFLATED, kGzipWindow, kMemoryLevel, Z_DEFAULT_STRATEGY) !=
      Z_OK)
    return NoMemory();
  bool is_smaller = false;
  Status status;
  try {
    // No room for what would not be smaller.
    std::string out(body.size(), '\0');
    stream.next_in = Input(body);
    stream.avail_in = static_cast<uInt>(body.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    if (deflate(&stream, Z_FINISH) == Z_STREAM_END && stream.total_out < body.size()) {
      out.resize(stream.total_out);
      request->headers.emplace_back(kHeader, "gzip");
      body = std::move(out);
      request->is_compressed = true;
      is_smaller = true;
    }
  } catch (const std::bad_alloc&) {
    status = NoMemory();
  }
  deflateEnd(&stream);
  EF_RETURN_IF_ERROR(status);
  return is_smaller;
}

}  // namespace embedflow
