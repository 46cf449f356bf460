#include "base/json_writer.h"

#include <array>
#include <charconv>
#include <cmath>

#include "base/utf8.h"

namespace embedflow {

void AppendJsonString(std::string* out, std::string_view text) {
  static const char* kDigits = "0123456789abcdef";
  *out += '"';
  std::size_t valid_end = FindInvalidUtf8(text);
  if (valid_end == std::string_view::npos) valid_end = text.size();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i == valid_end) {
      *out += "\xEF\xBF\xBD";
      const std::size_t next = FindInvalidUtf8(text.substr(i + 1));
      valid_end = next == std::string_view::npos ? text.size() : i + 1 + next;
      continue;
    }
    const char c = text[i];
    switch (c) {
      case '"':
        *out += "\\\"";
        break;
      case '\\':
        *out += "\\\\";
        break;
      case '\n':
        *out += "\\n";
        break;
      case '\r':
        *out += "\\r";
        break;
      case '\t':
        *out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
          *out += "\\u00";
          *out += kDigits[static_cast<unsigned char>(c) >> 4];
          *out += kDigits[static_cast<unsigned char>(c) & 15];
        } else {
          *out += c;
        }
    }
  }
  *out += '"';
}

void AppendJsonNumber(std::string* out, double value) {
  if (!std::isfinite(value)) {
    *out += "null";
    return;
  }
  std::array<char, 32> text;
  const auto result = std::to_chars(text.data(), text.data() + text.size(), value);
  out->append(text.data(), result.ptr);
}

void AppendJsonNumber(std::string* out, float value) {
  if (!std::isfinite(value)) {
    *out += "null";
    return;
  }
  std::array<char, 32> text;
  const auto result = std::to_chars(text.data(), text.data() + text.size(),
                                    static_cast<double>(value), std::chars_format::general, 9);
  out->append(text.data(), result.ptr);
}

void JsonWriter::Comma() {
  if (!first_) out_ += ',';
  first_ = false;
}
JsonWriter& JsonWriter::Open(char bracket) {
  Comma();
  out_ += bracket;
  first_ = true;
  return *this;
}
JsonWriter& JsonWriter::Close(char bracket) {
  out_ += bracket;
  first_ = false;
  return *this;
}
JsonWriter& JsonWriter::Key(std::string_view name) {
  Comma();
  AppendJsonString(&out_, name);
  out_ += ':';
  first_ = true;
  return *this;
}
JsonWriter& JsonWriter::Value(std::string_view text) {
  Comma();
  AppendJsonString(&out_, text);
  return *this;
}
JsonWriter& JsonWriter::Value(double value) {
  Comma();
  AppendJsonNumber(&out_, value);
  return *this;
}
JsonWriter& JsonWriter::Value(float value) {
  Comma();
  AppendJsonNumber(&out_, value);
  return *this;
}
JsonWriter& JsonWriter::Raw(std::string_view json) {
  Comma();
  out_ += json;
  return *this;
}

}  // namespace embedflow
