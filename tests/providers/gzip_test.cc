#include "providers/gzip.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <string>

#include "base/random.h"
#include "tests/fakes/flaky_server.h"
#include "tests/providers/wire.h"

namespace embedflow {
namespace {

std::string Repeated(int times) {
  std::string body = R"({"input":[)";
  for (int i = 0; i < times; ++i) body += "\"the text of document " + std::to_string(i) + "\",";
  body.back() = ']';
  return body + "}";
}

// Unpacked by zlib's other interface.
std::string Unpacked(const std::string& bytes, std::size_t size) {
  std::string out(size + 1, '\0');
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, 15 + 32), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return out;
}

TEST(Gzip, SaysTheSameInFewerBytes) {
  for (const int times : {10, 1000, 100'000}) {
    const HttpRequest before = PostTo("http://127.0.0.1/", Repeated(times));
    HttpRequest request = before;
    Result<bool> made = GzipRequest(&request);
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    EXPECT_TRUE(*made);
    EXPECT_TRUE(request.is_compressed);
    EXPECT_LT(request.body.size(), before.body.size());
    EXPECT_THAT(request.headers, testing::Contains(testing::Pair("Content-Encoding", "gzip")));
    EXPECT_EQ(Unpacked(request.body, before.body.size()), before.body);
    // A second time it is left alone.
    made = GzipRequest(&request);
    ASSERT_TRUE(made.ok());
    EXPECT_FALSE(*made);
  }
}

TEST(Gzip, LeavesAloneWhatWouldNotShrink) {
  const std::uint64_t seed = 3;
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  std::string noise;
  for (int i = 0; i < 5000; ++i) noise += static_cast<char>(rng.Below(256));
  for (const std::string& body : {std::string(), std::string("x"), noise}) {
    const HttpRequest before = PostTo("http://127.0.0.1/", body);
    HttpRequest request = before;
    const Result<bool> made = GzipRequest(&request);
    ASSERT_TRUE(made.ok());
    EXPECT_FALSE(*made);
    EXPECT_EQ(request.body, before.body);
    EXPECT_EQ(request.headers, before.headers);
  }
  HttpRequest encoded = PostTo("http://127.0.0.1/", Repeated(100));
  encoded.headers.emplace_back("content-encoding", "zstd");
  const Result<bool> made = GzipRequest(&encoded);
  ASSERT_TRUE(made.ok());
  EXPECT_FALSE(*made);
}

// What the server gets says what it is, and its length is that of the compressed bytes.
TEST(Gzip, GoesOverTheWire) {
  FlakyServer server({}, [](const FlakyRequest&) { return FlakyReply{.body = "x"}; });
  HttpRequest request = PostTo(server.base_url() + "/embeddings", Repeated(1000));
  const std::string plain = request.body;
  ASSERT_TRUE(GzipRequest(&request).ok());
  Wire wire;
  const TransportAnswer answer = wire.Send(request);
  EXPECT_EQ(answer.reply.status, 200);
  EXPECT_TRUE(answer.request.is_compressed);
  const std::vector<FlakyRequest> ledger = server.ledger();
  ASSERT_EQ(ledger.size(), 1u);
  EXPECT_EQ(ledger[0].header("content-encoding"), "gzip");
  EXPECT_EQ(ledger[0].body, request.body);
  EXPECT_EQ(Unpacked(ledger[0].body, plain.size()), plain);
}

}  // namespace
}  // namespace embedflow
