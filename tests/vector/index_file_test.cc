#include <faiss/IndexFlat.h>
#include <faiss/IndexIDMap.h>
#include <faiss/impl/io.h>
#include <faiss/index_io.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/random.h"
#include "vector/index.h"

namespace embedflow {
namespace {

constexpr int kDimensions = 24;
const IndexStamp kStamp = {"builtin/hash-v1/24", 77};
// Where things lie in the file; docs/formats.md.
constexpr std::size_t kGenerationAt = 16, kVectorsAt = 24, kDimensionsAt = 40, kMetricAt = 44,
                      kSpaceAt = 56;

class IndexFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "index_file_XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    path_ = folder_ + "/index.faiss";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static std::unique_ptr<Index> Filled(std::size_t count, std::uint64_t seed = 3,
                                       int dimensions = kDimensions,
                                       Metric metric = Metric::kCosine) {
    auto made = MakeIndex({"flat", metric}, dimensions);
    EXPECT_TRUE(made.ok());
    std::unique_ptr<Index> index = std::move(made).value();
    Rng rng(seed);
    std::vector<ChunkId> ids;
    std::vector<float> vectors(count * static_cast<std::size_t>(dimensions));
    for (std::size_t i = 0; i < count; ++i) ids.push_back(static_cast<ChunkId>(rng.Next() >> 1));
    for (float& value : vectors) value = static_cast<float>(rng.Uniform() - 0.5);
    EXPECT_TRUE(index->Add(ids, vectors).ok());
    return index;
  }
  Result<LoadedIndex> Load(int dimensions = kDimensions, Metric metric = Metric::kCosine) {
    return LoadIndex(path_, {"flat", metric}, dimensions);
  }
  std::string Read() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void Write(const std::string& bytes) const {
    std::ofstream out(path_, std::ios::binary | std::ios::trunc);
    out << bytes;
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  // Puts the right checksums into a file of less than a block.
  static void Seal(std::string* bytes) {
    const std::size_t header = kSpaceAt + kStamp.space.size();
    const auto put = [bytes](std::size_t at, std::uint64_t value) {
      for (std::size_t i = 0; i < 8; ++i) (*bytes)[at + i] = static_cast<char>(value >> (8 * i));
    };
    put(header, Checksum(std::string_view(*bytes).substr(0, header)));
    put(bytes->size() - 8, Checksum(std::string_view(*bytes).substr(0, bytes->size() - 8)));
  }

  std::string folder_, path_;
};

void ExpectEqual(Index* a, Index* b, std::size_t dimensions) {
  ASSERT_EQ(a->ids(), b->ids());
  std::vector<float> left(dimensions), right(dimensions);
  for (const ChunkId id : a->ids()) {
    ASSERT_TRUE(a->Get(id, left) && b->Get(id, right));
    ASSERT_EQ(left, right);
  }
}

TEST_F(IndexFileTest, RoundTrip) {
  for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2}) {
    const std::unique_ptr<Index> index = Filled(500, 3, kDimensions, metric);
    ASSERT_TRUE(index->Save(path_, kStamp).ok());
    Result<LoadedIndex> loaded = Load(kDimensions, metric);
    ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
    EXPECT_EQ(loaded->stamp, kStamp);
    ExpectEqual(index.get(), loaded->index.get(), kDimensions);

    const Result<IndexFileInfo> info = PeekIndex(path_);
    ASSERT_TRUE(info.ok());
    EXPECT_EQ(info->stamp, kStamp);
    EXPECT_EQ(info->kind, "flat");
    EXPECT_EQ(info->vectors, 500u);
    EXPECT_EQ(info->bytes, std::filesystem::file_size(path_));
    EXPECT_EQ(Names(), std::vector<std::string>{"index.faiss"});
  }
}

TEST_F(IndexFileTest, AnEmptyIndexAndAnEmptySpaceName) {
  ASSERT_TRUE(Filled(0)->Save(path_, {"", 0}).ok());
  const Result<LoadedIndex> loaded = Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  EXPECT_EQ(loaded->index->size(), 0u);
  EXPECT_EQ(loaded->stamp, (IndexStamp{"", 0}));
}

// A file over many blocks; the loaded index goes on as the saved one would have.
TEST_F(IndexFileTest, ALoadedIndexCanBeChangedAndSavedAgain) {
  const std::unique_ptr<Index> index = Filled(40000, 5);
  const std::vector<ChunkId> ids = index->ids();
  index->Remove(std::span(ids).first(3000));  // Too few to be compacted before Save.
  ASSERT_TRUE(index->Save(path_, kStamp).ok());
  ASSERT_GT(std::filesystem::file_size(path_), 3u << 20);
  Result<LoadedIndex> loaded = Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  ASSERT_EQ(loaded->index->size(), 37000u);
  ExpectEqual(index.get(), loaded->index.get(), kDimensions);

  std::vector<float> vectors(3000 * kDimensions, 0.5f);
  ASSERT_TRUE(loaded->index->Add(std::span(ids).first(3000), vectors).ok());
  loaded->index->Remove(std::span(ids).subspan(20000, 15000));
  ASSERT_TRUE(loaded->index->Save(path_, {kStamp.space, 78}).ok());
  Result<LoadedIndex> again = Load();
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->stamp.generation, 78u);
  EXPECT_EQ(again->index->size(), 25000u);
  ExpectEqual(loaded->index.get(), again->index.get(), kDimensions);
}

// What lies between the header and the last checksum is FAISS's own format.
TEST_F(IndexFileTest, FaissReadsThePayload) {
  const std::unique_ptr<Index> index = Filled(50);
  ASSERT_TRUE(index->Save(path_, kStamp).ok());
  const std::string bytes = Read();
  faiss::VectorIOReader reader;
  const std::size_t begin = kSpaceAt + kStamp.space.size() + 8;
  reader.data.assign(bytes.begin() + static_cast<std::ptrdiff_t>(begin), bytes.end() - 8);
  const std::unique_ptr<faiss::Index> read(faiss::read_index(&reader));
  const auto* map = dynamic_cast<const faiss::IndexIDMap*>(read.get());
  ASSERT_NE(map, nullptr);
  EXPECT_EQ(map->ntotal, 50);
  std::vector<ChunkId> ids(map->id_map.begin(), map->id_map.end());
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(ids, index->ids());
}

// Every byte of the headers and some hundreds elsewhere: no flip gets past, none crashes.
TEST_F(IndexFileTest, AFlippedByteIsDamage) {
  const std::uint64_t seed = 99;
  std::cout << "seed " << seed << "\n";
  ASSERT_TRUE(Filled(200)->Save(path_, kStamp).ok());
  const std::string good = Read();
  Rng rng(seed);
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < 200; ++i) places.push_back(i);
  for (std::size_t i = good.size() - 20; i < good.size(); ++i) places.push_back(i);
  for (int i = 0; i < 400; ++i) places.push_back(rng.Below(good.size()));
  for (const std::size_t place : places) {
    std::string bad = good;
    bad[place] = static_cast<char>(bad[place] ^ (1u << rng.Below(8)));
    Write(bad);
    const Result<LoadedIndex> loaded = Load();
    ASSERT_FALSE(loaded.ok()) << "byte " << place;
    ASSERT_EQ(loaded.status().code(), Code::kCorruption) << loaded.status().ToString();
    ASSERT_NE(loaded.status().message().find(path_), std::string::npos);
    if (place < kSpaceAt + kStamp.space.size() + 8) {
      ASSERT_EQ(PeekIndex(path_).status().code(), Code::kCorruption) << "byte " << place;
    }
  }
  Write(good);
  EXPECT_TRUE(Load().ok());
}

TEST_F(IndexFileTest, AFileOfAnotherLengthIsDamage) {
  ASSERT_TRUE(Filled(200)->Save(path_, kStamp).ok());
  const std::string good = Read();
  std::vector<std::size_t> lengths = {good.size() - 1, good.size() - 8, good.size() / 2};
  for (std::size_t length = 0; length < 160; ++length) lengths.push_back(length);
  for (const std::size_t length : lengths) {
    Write(good.substr(0, length));
    ASSERT_EQ(Load().status().code(), Code::kCorruption) << length << " bytes";
    ASSERT_EQ(PeekIndex(path_).status().code(), Code::kCorruption) << length << " bytes";
  }
  Write(good + "x");
  EXPECT_EQ(Load().status().code(), Code::kCorruption);
  std::string zeroed = good;
  std::fill(zeroed.begin() + 4096, zeroed.begin() + 8192, '\0');
  Write(zeroed);
  EXPECT_EQ(Load().status().code(), Code::kCorruption);
}

// Right checksums over a header that says something else than the index inside.
TEST_F(IndexFileTest, AHeaderThatLiesIsDamage) {
  ASSERT_TRUE(Filled(20)->Save(path_, kStamp).ok());
  const std::string good = Read();
  const auto load_with = [&](std::size_t place, char value) {
    std::string bad = good;
    bad[place] = value;
    Seal(&bad);
    Write(bad);
  };
  load_with(kGenerationAt, 78);  // Not a lie: shows that Seal seals.
  const Result<LoadedIndex> newer = Load();
  ASSERT_TRUE(newer.ok()) << newer.status().ToString();
  EXPECT_EQ(newer->stamp.generation, 78u);
  load_with(kVectorsAt, 21);
  EXPECT_EQ(Load().status().code(), Code::kCorruption);
  load_with(kDimensionsAt, 23);
  EXPECT_EQ(Load(23).status().code(), Code::kCorruption);
  load_with(kDimensionsAt, 0);
  EXPECT_EQ(Load(0).status().code(), Code::kCorruption);
  load_with(kMetricAt, 2);
  EXPECT_EQ(Load(kDimensions, Metric::kL2).status().code(), Code::kCorruption);
  load_with(kMetricAt, 3);
  EXPECT_EQ(Load().status().code(), Code::kCorruption);
  load_with(8, 2);  // The version.
  EXPECT_EQ(Load().status().code(), Code::kCorruption);
  load_with(48, 9);  // The kind.
  EXPECT_EQ(Load().status().code(), Code::kCorruption);
  load_with(52, 4);  // The length of the space's name.
  EXPECT_EQ(Load().status().code(), Code::kCorruption);
}

// Right checksums over a payload that FAISS cannot make sense of, or whose ids cannot be.
TEST_F(IndexFileTest, APayloadThatLiesIsDamage) {
  ASSERT_TRUE(Filled(20)->Save(path_, kStamp).ok());
  const std::string good = Read();
  const std::size_t payload = kSpaceAt + kStamp.space.size() + 8;
  std::string bad = good;
  for (const std::size_t kind_at : {payload, payload + 37}) {  // Of the map, of the index inside.
    bad = good;
    bad.replace(kind_at, 4, "IHNf");
    Seal(&bad);
    Write(bad);
    EXPECT_EQ(Load().status().code(), Code::kCorruption);
  }
  // The ids are the last thing in the payload.
  bad = good;
  bad.replace(bad.size() - 16, 8, bad, bad.size() - 24, 8);
  Seal(&bad);
  Write(bad);
  EXPECT_EQ(Load().status().code(), Code::kCorruption);
  bad = good;
  bad[bad.size() - 9] = static_cast<char>(0x80);
  Seal(&bad);
  Write(bad);
  EXPECT_EQ(Load().status().code(), Code::kCorruption);
}

TEST_F(IndexFileTest, WhatIsNotThereOrNotAFile) {
  EXPECT_EQ(Load().status().code(), Code::kNotFound);
  EXPECT_EQ(PeekIndex(path_).status().code(), Code::kNotFound);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(Load().status().code(), Code::kCorruption);  // And does not wait for a writer.
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  std::filesystem::create_directory(path_);
  EXPECT_EQ(Load().status().code(), Code::kCorruption);
  EXPECT_EQ(Filled(3)->Save(path_, kStamp).code(), Code::kIo);
  EXPECT_EQ(Names(), std::vector<std::string>{"index.faiss"});
  EXPECT_EQ(Filled(3)->Save(folder_ + "/no/such", kStamp).code(), Code::kIo);
}

TEST_F(IndexFileTest, AnotherMetricOrDimensionIsRefused) {
  ASSERT_TRUE(Filled(20)->Save(path_, kStamp).ok());
  EXPECT_EQ(Load(kDimensions, Metric::kL2).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Load(kDimensions + 1).status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(Load().ok());
}

TEST_F(IndexFileTest, ModeIs0600WhateverTheUmask) {
  for (const mode_t mask : {0u, 077u, 0777u}) {
    const mode_t before = ::umask(mask);
    const Status saved = Filled(3)->Save(path_, kStamp);
    ::umask(before);
    ASSERT_TRUE(saved.ok()) << saved.ToString();
    struct stat info;
    ASSERT_EQ(::stat(path_.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777u, 0600u);
  }
}

// A process that was killed leaves its temporary file; a link of that name is not followed.
TEST_F(IndexFileTest, ALeftOverIsReplacedNotFollowed) {
  const std::string victim = folder_ + "/victim";
  std::ofstream(victim) << "precious";
  ASSERT_EQ(::symlink(victim.c_str(), (path_ + ".tmp").c_str()), 0);
  ASSERT_TRUE(Filled(3)->Save(path_, kStamp).ok());
  EXPECT_EQ(std::filesystem::file_size(victim), 8u);
  EXPECT_EQ(Names(), (std::vector<std::string>{"index.faiss", "victim"}));
  EXPECT_TRUE(Load().ok());
}

// A full disk, at any place in the file: the old file stays, nothing else is left.
TEST_F(IndexFileTest, AFullDiskKeepsTheOldFile) {
  const std::unique_ptr<Index> old = Filled(10, 1);
  ASSERT_TRUE(old->Save(path_, kStamp).ok());
  const std::unique_ptr<Index> larger = Filled(30000, 2);  // Over two blocks.
  struct rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  for (const rlim_t limit : {0u, 1u, 100u, 1u << 20, (1u << 20) + 5, (2u << 20) + 17}) {
    struct rlimit low = before;
    low.rlim_cur = limit;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &low), 0);
    const Status saved = larger->Save(path_, {kStamp.space, 78});
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    ASSERT_EQ(saved.code(), Code::kIo) << saved.ToString();
    EXPECT_EQ(saved.word(), "disk_full");
    EXPECT_NE(saved.message().find(path_), std::string::npos);
    EXPECT_EQ(Names(), std::vector<std::string>{"index.faiss"});
    Result<LoadedIndex> loaded = Load();
    ASSERT_TRUE(loaded.ok());
    EXPECT_EQ(loaded->stamp, kStamp);
    ExpectEqual(old.get(), loaded->index.get(), kDimensions);
  }
  std::signal(SIGXFSZ, handler);
  ASSERT_TRUE(larger->Save(path_, {kStamp.space, 78}).ok());
  EXPECT_EQ(PeekIndex(path_)->vectors, 30000u);
}

std::uint64_t ResidentBytes() {
  std::ifstream in("/proc/self/statm");
  std::uint64_t total = 0, resident = 0;
  in >> total >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}
std::uint64_t PeakResidentBytes() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) << 10;
  }
  return 0;
}

// Filling, saving, loading and growing again hold the vectors once, and loading is quick.
TEST_F(IndexFileTest, HoldsTheVectorsOnce) {
#ifdef EMBEDFLOW_SANITIZED
  GTEST_SKIP() << "sanitizers keep freed memory and slow everything down";
#endif
  constexpr int kWide = 512;
  constexpr std::size_t kBatch = 2000, kBatches = 40;
  constexpr std::uint64_t kBytes = kBatch * kBatches * kWide * sizeof(float);  // 164 MB.
  constexpr std::uint64_t kSlack = kBytes / 4;
  const std::uint64_t before = ResidentBytes();
  // The peak counts from here, so that what ran earlier in this process does not.
  std::ofstream("/proc/self/clear_refs") << 5;
  {
    std::unique_ptr<Index> index = MakeIndex({"flat", Metric::kCosine}, kWide).value();
    std::vector<float> vectors(kBatch * kWide, 0.25f);
    std::vector<ChunkId> ids(kBatch);
    for (std::size_t batch = 0; batch < kBatches; ++batch) {
      for (std::size_t i = 0; i < kBatch; ++i) ids[i] = static_cast<ChunkId>(batch * kBatch + i);
      ASSERT_TRUE(index->Add(ids, vectors).ok());
    }
    ASSERT_TRUE(index->Save(path_, kStamp).ok());
  }
  EXPECT_LT(PeakResidentBytes() - before, kBytes + kSlack);
  std::ofstream("/proc/self/clear_refs") << 5;
  const std::uint64_t between = ResidentBytes();
  const auto start = std::chrono::steady_clock::now();
  Result<LoadedIndex> loaded = Load(kWide);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(loaded.ok());
  std::cout << "loaded " << kBytes / 1'000'000 << " MB in " << took.count() << " s\n";
  EXPECT_GT(static_cast<double>(kBytes) / took.count(),
            50e6);  // Bytes a second, on a busy machine.
  ASSERT_TRUE(loaded->index->Add(std::vector<ChunkId>{1 << 30}, std::vector<float>(kWide, 1)).ok());
  EXPECT_LT(PeakResidentBytes() - between, kBytes + kSlack);
}

}  // namespace
}  // namespace embedflow
