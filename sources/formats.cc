#include "sources/formats.h"

#include <algorithm>

namespace embedflow {
namespace {

using Format = FileSourceOptions::Format;

struct Extension {
  std::string_view suffix;
  Format format;
};

constexpr Extension kExtensions[] = {
    {".jsonl", Format::kJsonLines}, {".ndjson", Format::kJsonLines},
    {".csv", Format::kCsv},         {".tsv", Format::kTsv},
    {".txt", Format::kText},        {".text", Format::kText},
    {".rst", Format::kText},        {".adoc", Format::kText},
    {".asciidoc", Format::kText},   {".org", Format::kText},
    {".md", Format::kMarkdown},     {".markdown", Format::kMarkdown},
};

bool EndsWith(std::string_view name, std::string_view lower_suffix) {
  if (name.size() < lower_suffix.size()) return false;
  name.remove_prefix(name.size() - lower_suffix.size());
  return std::equal(name.begin(), name.end(), lower_suffix.begin(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

}  // namespace

NamedFormat FormatOfName(std::string_view path, Format forced) {
  NamedFormat named;
  if (EndsWith(path, ".gz")) named.compression = Compression::kGzip;
  if (EndsWith(path, ".zst")) named.compression = Compression::kZstd;
  if (named.compression == Compression::kGzip) path.remove_suffix(3);
  if (named.compression == Compression::kZstd) path.remove_suffix(4);
  named.format = forced;
  if (forced != Format::kAuto) return named;
  for (const Extension& extension : kExtensions) {
    if (EndsWith(path, extension.suffix)) named.format = extension.format;
  }
  return named;
}

std::string KnownExtensions() {
  std::string list;
  for (const Extension& extension : kExtensions) {
    if (!list.empty()) list += ' ';
    list += extension.suffix;
  }
  return list;
}

}  // namespace embedflow
