// A JSON value as a map from path to scalar, for tests of shapes:
// {"a":[{"b":1}]} becomes {"a[0].b": "1"}. Empty objects and arrays are "{}" and "[]".
#ifndef EMBEDFLOW_TESTS_CLI_JSON_MAP_H_
#define EMBEDFLOW_TESTS_CLI_JSON_MAP_H_

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_reader.h"

namespace embedflow {

class JsonMap final : public JsonHandler {
 public:
  static std::map<std::string, std::string> Of(std::string_view text) {
    JsonMap map;
    const Status status = ParseJson(text, 32, &map);
    EXPECT_TRUE(status.ok()) << status.ToString() << " in: " << text;
    return map.values_;
  }

  bool Null() override { return Scalar("null"); }
  bool Bool(bool value) override { return Scalar(value ? "true" : "false"); }
  bool Number(std::string_view text) override { return Scalar(std::string(text)); }
  bool String(std::string_view value) override { return Scalar("\"" + std::string(value) + "\""); }
  bool StartObject() override { return Open(false); }
  bool Key(std::string_view name) override {
    levels_.back().key = name;
    return true;
  }
  bool EndObject() override { return Close("{}"); }
  bool StartArray() override { return Open(true); }
  bool EndArray() override { return Close("[]"); }

 private:
  struct Level {
    bool is_array = false;
    int count = 0;
    std::string key;
  };

  std::string Path() const {
    std::string path;
    for (const Level& level : levels_) {
      if (level.is_array) {
        path += "[" + std::to_string(level.count) + "]";
      } else {
        path += (path.empty() ? "" : ".") + level.key;
      }
    }
    return path;
  }
  bool Scalar(std::string value) {
    values_[Path()] = std::move(value);
    if (!levels_.empty()) ++levels_.back().count;
    return true;
  }
  bool Open(bool is_array) {
    levels_.push_back({is_array, 0, {}});
    return true;
  }
  bool Close(const char* empty) {
    const bool is_empty = levels_.back().count == 0;
    levels_.pop_back();
    if (is_empty) return Scalar(empty);
    if (!levels_.empty()) ++levels_.back().count;
    return true;
  }

  std::vector<Level> levels_;
  std::map<std::string, std::string> values_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_CLI_JSON_MAP_H_
