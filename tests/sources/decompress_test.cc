#include "sources/decompress.h"

#include <gmock/gmock.h>

#include "tests/sources/input_files.h"

namespace embedflow {
namespace {

using testing::HasSubstr;

struct Unpacked {
  std::string bytes;
  Status end;
};

using Open = Result<std::unique_ptr<ByteStream>> (*)(std::unique_ptr<ByteStream>);

Unpacked Unpack(Open open, const std::string& packed, std::size_t piece = 1 << 20,
                std::size_t read_bytes = 1 << 16) {
  auto stream = open(std::make_unique<MemoryBytes>(packed, piece));
  EXPECT_TRUE(stream.ok());
  Unpacked unpacked;
  std::string buffer(read_bytes, '\0');
  for (;;) {
    const auto got = (*stream)->Read(buffer.data(), buffer.size());
    if (!got.ok()) {
      unpacked.end = got.status();
      // An error stays.
      EXPECT_EQ((*stream)->Read(buffer.data(), buffer.size()).status().message(),
                got.status().message());
      return unpacked;
    }
    if (*got == 0) return unpacked;
    unpacked.bytes.append(buffer, 0, *got);
  }
}

std::string SomeText(std::size_t bytes) {
  Rng rng(7);
  std::string text;
  while (text.size() < bytes) text += "word" + std::to_string(rng.Below(1000)) + ' ';
  text.resize(bytes);
  return text;
}

std::string Skippable(const std::string& content) {
  std::string frame = "\x53\x2a\x4d\x18";
  const auto size = static_cast<std::uint32_t>(content.size());
  frame.append(reinterpret_cast<const char*>(&size), 4);
  return frame + content;
}

struct Kind {
  const char* name;
  Open open;
  std::string (*pack)(std::string_view);
};
const Kind kKinds[] = {{"gzip", OpenGzip, Gzip}, {"zstd", OpenZstd, Zstd}};

TEST(Decompress, GivesBackWhatWasPacked) {
  for (const Kind& kind : kKinds) {
    for (const std::size_t size : {0u, 1u, 100u, 70000u, 3000000u}) {
      const std::string text = SomeText(size);
      for (const std::size_t piece : {1u, 100u, 1u << 20}) {
        if (piece == 1 && size > 100000) continue;
        const Unpacked unpacked = Unpack(kind.open, kind.pack(text), piece, size < 1000 ? 1 : 4096);
        EXPECT_TRUE(unpacked.end.ok()) << kind.name << unpacked.end.ToString();
        EXPECT_TRUE(unpacked.bytes == text) << kind.name << size;
      }
    }
  }
}

TEST(Decompress, PartsFollowOneAnother) {
  for (const Kind& kind : kKinds) {
    const std::string packed = kind.pack("one ") + kind.pack("") + kind.pack("two");
    for (const std::size_t piece : {1u, 7u, 1000u}) {
      const Unpacked unpacked = Unpack(kind.open, packed, piece);
      EXPECT_TRUE(unpacked.end.ok()) << kind.name;
      EXPECT_EQ(unpacked.bytes, "one two") << kind.name;
    }
  }
  EXPECT_EQ(Unpack(OpenZstd, Skippable("x") + Zstd("a") + Skippable("") + Zstd("b")).bytes, "ab");
  EXPECT_EQ(Unpack(OpenGzip, Gzip("a") + std::string(70000, '\0')).bytes, "a");
  EXPECT_TRUE(Unpack(OpenGzip, Gzip("a") + std::string(70000, '\0')).end.ok());
}

TEST(Decompress, WhatIsCutOffGivesItsBeginningAndAnError) {
  const std::string text = SomeText(5000);
  for (const Kind& kind : kKinds) {
    const std::string packed = kind.pack(text);
    for (std::size_t cut = 4; cut < packed.size(); cut += 1 + cut / 50) {
      const Unpacked unpacked = Unpack(kind.open, packed.substr(0, cut), 1 + cut % 700, 33);
      EXPECT_EQ(unpacked.end.code(), Code::kInvalidArgument) << kind.name << " at " << cut;
      EXPECT_EQ(unpacked.end.word(), "input_damaged");
      EXPECT_THAT(unpacked.end.message(),
                  HasSubstr("is cut off at byte " + std::to_string(cut) + ","));
      EXPECT_TRUE(text.starts_with(unpacked.bytes)) << kind.name << " at " << cut;
      if (kind.open == OpenGzip && cut + 9 >= packed.size()) {
        EXPECT_EQ(unpacked.bytes.size(), text.size());
      }
    }
  }
}

TEST(Decompress, WhatIsNotPackedIsRefusedAtOnce) {
  for (const Kind& kind : kKinds) {
    for (const char* bytes : {"", "\x1f", "{\"text\":\"x\"}", "\x28\xb5"}) {
      const Unpacked unpacked = Unpack(kind.open, bytes);
      EXPECT_EQ(unpacked.end.word(), "input_format") << kind.name;
      EXPECT_THAT(unpacked.end.message(), HasSubstr(kind.name));
      EXPECT_FALSE(unpacked.end.next().empty());
    }
  }
}

TEST(Decompress, GarbageBehindThePartsIsDamage) {
  for (const Kind& kind : kKinds) {
    for (const char* garbage : {"garbage and more", "\x1f garbage"}) {
      const std::string packed = kind.pack("text");
      const Unpacked unpacked = Unpack(kind.open, packed + garbage);
      EXPECT_EQ(unpacked.bytes, "text");
      EXPECT_EQ(unpacked.end.word(), "input_damaged") << kind.name;
    }
  }
  EXPECT_EQ(Unpack(OpenGzip, Gzip("a") + std::string(9, '\0') + Gzip("b")).end.word(),
            "input_damaged");
}

TEST(Decompress, FlippedBitsNeverCrashOrHang) {
  Rng rng(TestSeed());
  const std::string text = SomeText(20000);
  int noticed = 0;
  for (const Kind& kind : kKinds) {
    const std::string packed = kind.pack(text);
    for (int round = 0; round < 300; ++round) {
      std::string damaged = packed;
      damaged[4 + rng.Below(damaged.size() - 4)] ^= static_cast<char>(1 << rng.Below(8));
      const Unpacked unpacked = Unpack(kind.open, damaged);
      if (!unpacked.end.ok()) ++noticed;
      // gzip's checksum catches every flip but those in its header; zstd's is not written here.
      if (kind.open == OpenGzip && unpacked.end.ok()) {
        EXPECT_EQ(unpacked.bytes, text);
      }
    }
  }
  EXPECT_GT(noticed, 100);
}

TEST(Decompress, AWindowOverTheLimitIsRefusedWithAWayOut) {
  // A frame header alone, asking for a window of 2^28 bytes: descriptor 0, window byte (28-10)<<3.
  const std::string frame = std::string("\x28\xb5\x2f\xfd", 4) + '\0' +
                            static_cast<char>((kZstdWindowLogMax + 1 - 10) << 3) +
                            std::string(20, '\0');
  const Unpacked unpacked = Unpack(OpenZstd, frame);
  EXPECT_EQ(unpacked.end.word(), "input_format");
  EXPECT_THAT(unpacked.end.message(), HasSubstr("needs a zstd window over 128 MiB"));
  EXPECT_THAT(unpacked.end.next(), HasSubstr("--long=31"));
}

TEST(Decompress, ErrorsOfTheInputComeThrough) {
  for (const Kind& kind : kKinds) {
    auto stream = kind.open(std::make_unique<MemoryBytes>(kind.pack(SomeText(9000)).substr(0, 2000),
                                                          500, Status(Code::kCancelled, "stop")));
    std::string buffer(1 << 20, '\0');
    Result<std::size_t> got = std::size_t{1};
    while (got.ok() && *got > 0) got = (*stream)->Read(buffer.data(), buffer.size());
    EXPECT_EQ(got.status().code(), Code::kCancelled) << kind.name;
  }
}

}  // namespace
}  // namespace embedflow
