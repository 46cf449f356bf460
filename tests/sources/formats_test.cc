#include "sources/formats.h"

#include <gtest/gtest.h>

namespace embedflow {
namespace {

using Format = FileSourceOptions::Format;

TEST(Formats, NamesTellFormatAndCompression) {
  struct Case {
    const char* name;
    Format format;
    Compression compression;
  };
  const Case cases[] = {
      {"a.jsonl", Format::kJsonLines, Compression::kNone},
      {"a.ndjson.gz", Format::kJsonLines, Compression::kGzip},
      {"dir.csv/a.tsv.zst", Format::kTsv, Compression::kZstd},
      {"a.CSV.GZ", Format::kCsv, Compression::kGzip},
      {"README.MD", Format::kMarkdown, Compression::kNone},
      {"a.markdown", Format::kMarkdown, Compression::kNone},
      {"a.txt", Format::kText, Compression::kNone},
      {"a.rst", Format::kText, Compression::kNone},
      {".txt", Format::kText, Compression::kNone},
      {"a.csv.txt", Format::kText, Compression::kNone},
      {"a.json", Format::kAuto, Compression::kNone},
      {"a.gz", Format::kAuto, Compression::kGzip},
      {"txt", Format::kAuto, Compression::kNone},
      {"a.txt.gz.gz", Format::kAuto, Compression::kGzip},
      {"", Format::kAuto, Compression::kNone},
      {".gz", Format::kAuto, Compression::kGzip},
  };
  for (const Case& c : cases) {
    const NamedFormat named = FormatOfName(c.name, Format::kAuto);
    EXPECT_EQ(named.format, c.format) << c.name;
    EXPECT_EQ(named.compression, c.compression) << c.name;
    const NamedFormat forced = FormatOfName(c.name, Format::kCsv);
    EXPECT_EQ(forced.format, Format::kCsv) << c.name;
    EXPECT_EQ(forced.compression, c.compression) << c.name;
  }
}

}  // namespace
}  // namespace embedflow
