// Writes JSON into a string. Strings are escaped and stay valid JSON whatever bytes they hold.
#ifndef EMBEDFLOW_BASE_JSON_WRITER_H_
#define EMBEDFLOW_BASE_JSON_WRITER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace embedflow {

// Appends `text` with quotes and escapes. Invalid UTF-8 becomes U+FFFD.
void AppendJsonString(std::string* out, std::string_view text);
// Appends the shortest text that reads back as the same double; null for NaN and infinities.
void AppendJsonNumber(std::string* out, double value);
// Appends `value` with nine significant digits, which reads back as the same float.
void AppendJsonNumber(std::string* out, float value);

// Objects and arrays with the commas put right.
//   JsonWriter w; w.BeginObject(); w.Key("a").Value(1); w.EndObject(); w.str()
class JsonWriter {
 public:
  JsonWriter& BeginObject() { return Open('{'); }
  JsonWriter& EndObject() { return Close('}'); }
  JsonWriter& BeginArray() { return Open('['); }
  JsonWriter& EndArray() { return Close(']'); }
  JsonWriter& Key(std::string_view name);
  JsonWriter& Value(std::string_view text);
  JsonWriter& Value(const char* text) { return Value(std::string_view(text)); }
  JsonWriter& Value(bool value) { return Raw(value ? "true" : "false"); }
  JsonWriter& Value(double value);
  JsonWriter& Value(float value);
  template <typename T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) JsonWriter& Value(T value) {
    return Raw(std::to_string(value));
  }
  JsonWriter& Null() { return Raw("null"); }
  // `json` must be a whole JSON value.
  JsonWriter& Raw(std::string_view json);

  const std::string& str() const { return out_; }
  std::string Take() { return std::move(out_); }

 private:
  JsonWriter& Open(char bracket);
  JsonWriter& Close(char bracket);
  void Comma();
  std::string out_;
  bool first_ = true;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_BASE_JSON_WRITER_H_
