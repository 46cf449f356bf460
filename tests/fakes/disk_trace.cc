#include "tests/fakes/disk_trace.h"

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/check.h"

namespace embedflow {
namespace {

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

std::vector<std::string> DiskShimOptions::Environment(const std::string& library) const {
  std::filesystem::remove(state_file);
  std::vector<std::string> entries = {"LD_PRELOAD=" + library,
                                      // A sanitizer's runtime insists on being the first library.
                                      "ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0"};
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) entries.push_back(std::string(name) + "=" + value);
  };
  const auto add_number = [&](const char* name, std::uint64_t value) {
    add(name, std::to_string(value));
  };
  add(kDiskShimDirectory, directory);
  add(kDiskShimState, state_file);
  add(kDiskShimTrace, trace_file);
  add(kDiskShimAlso, also_file);
  add(kDiskShimFile, file);
  if (!kinds.empty()) {
    std::uint64_t mask = 0;
    for (const DiskCall call : kinds) mask |= std::uint64_t{1} << static_cast<unsigned>(call);
    add_number(kDiskShimKinds, mask);
  }
  add_number(kDiskShimKillAt, kill_at);
  add_number(kDiskShimKillHow, static_cast<std::uint64_t>(kill_how));
  add_number(kDiskShimFailAt, fail_at);
  add_number(kDiskShimFailCalls, fail_calls);
  add_number(kDiskShimFailWith, static_cast<std::uint64_t>(fail_with));
  add_number(kDiskShimFailShort, fail_short ? 1 : 0);
  return entries;
}

DiskShimCounts ReadDiskShimState(const std::string& file) {
  const std::string bytes = ReadAll(file);
  std::array<std::uint64_t, sizeof(DiskShimState) / sizeof(std::uint64_t)> numbers{};
  if (bytes.size() == sizeof numbers) std::memcpy(numbers.data(), bytes.data(), bytes.size());
  return {numbers[0], numbers[1], numbers[2] != 0};
}

std::vector<DiskOperation> ReadDiskTrace(const std::string& file) {
  const std::string bytes = ReadAll(file);
  std::vector<DiskOperation> operations;
  std::size_t at = 0;
  const auto take = [&](std::size_t size) {
    at += size;
    return bytes.substr(at - size, size);
  };
  while (at + sizeof(DiskTraceHeader) <= bytes.size()) {
    DiskOperation operation;
    std::memcpy(&operation.header, bytes.data() + at, sizeof(DiskTraceHeader));
    at += sizeof(DiskTraceHeader);
    const DiskTraceHeader& header = operation.header;
    EF_CHECK(header.magic == DiskTraceHeader::kMagic);
    if (at + header.name_bytes + header.second_bytes + header.data_bytes > bytes.size()) break;
    operation.name = take(header.name_bytes);
    operation.second = take(header.second_bytes);
    operation.data = take(header.data_bytes);
    operations.push_back(std::move(operation));
  }
  return operations;
}

std::string Describe(const DiskOperation& operation) {
  static constexpr std::array<const char*, kDiskCalls> kNames = {
      "create", "write",    "fsync",    "fdatasync", "range sync", "rename", "link",
      "unlink", "truncate", "allocate", "mkdir",     "rmdir",      "chmod"};
  std::string text = kNames[static_cast<std::size_t>(operation.header.call)];
  text += " " + (operation.name.empty() ? std::string("the directory") : operation.name);
  if (operation.header.call == DiskCall::kWrite) {
    text += " at " + std::to_string(operation.header.offset) + " " +
            std::to_string(operation.data.size()) + " bytes";
  }
  if (operation.failed()) text += " (failed)";
  return text;
}

}  // namespace embedflow
