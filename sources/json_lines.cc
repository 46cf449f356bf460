#include "sources/json_lines.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json_reader.h"
#include "base/utf8.h"
#include "sources/lines.h"

namespace embedflow {
namespace {

// Up to here a search through all fields is cheaper than sorting them.
constexpr std::size_t kFieldsSearched = 16;

bool IsInteger(std::string_view json_number) {
  return json_number.find_first_of(".eE") == std::string_view::npos;
}

bool IsBlankLine(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

// One field beside id and text. Objects and arrays are kept until repeated keys are resolved,
// because they too win over an earlier value.
struct Field {
  MetadataField field;
  bool is_nested = false;
};

// Of fields with one key, keeps the value of the last in the place of the first. O(n log n) in
// up to kFieldsMax fields.
void ResolveRepeatedKeys(std::vector<Field>* fields) {
  const std::size_t count = fields->size();
  std::vector<bool> is_repeat(count, false);
  bool any = false;
  const auto key = [&](std::size_t i) -> const std::string& { return (*fields)[i].field.key; };
  const auto merge = [&](std::size_t first, std::size_t later) {
    (*fields)[first].field.value = std::move((*fields)[later].field.value);
    (*fields)[first].is_nested = (*fields)[later].is_nested;
    is_repeat[later] = any = true;
  };
  if (count <= kFieldsSearched) {
    for (std::size_t i = 1; i < count; ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (is_repeat[j] || key(j) != key(i)) continue;
        merge(j, i);
        break;
      }
    }
  } else {
    std::vector<std::size_t> order(count);
    for (std::size_t i = 0; i < count; ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      const int compared = key(a).compare(key(b));
      return compared != 0 ? compared < 0 : a < b;
    });
    for (std::size_t i = 0, first = 0; i < count; ++i) {
      if (i == 0 || key(order[i]) != key(order[first])) {
        first = i;
      } else {
        merge(order[first], order[i]);
      }
    }
  }
  if (!any) return;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (is_repeat[i]) continue;
    if (kept != i) (*fields)[kept] = std::move((*fields)[i]);
    ++kept;
  }
  fields->resize(kept);
}

// Turns the events of one line into a document.
class LineHandler : public JsonHandler {
 public:
  explicit LineHandler(const FileSourceOptions& options)
      : id_field_(options.id_field), text_field_(options.text_field) {}

  void Begin(Document* document) {
    document_ = document;
    depth_ = 0;
    fields_.clear();
    id_fault_ = text_fault_ = nullptr;
    has_text_ = is_no_object_ = false;
  }
  // Puts the fields into the document. Called after a line that parsed.
  void Finish() {
    if (fields_.size() > 1) ResolveRepeatedKeys(&fields_);
    document_->metadata.reserve(fields_.size());
    for (Field& field : fields_) {
      if (!field.is_nested) document_->metadata.push_back(std::move(field.field));
    }
  }

  bool is_no_object() const { return is_no_object_; }
  bool has_too_many_fields() const { return fields_.size() > kFieldsMax; }
  bool has_text() const { return has_text_; }
  // What the id or the text is instead of what it should be; null if nothing is wrong.
  const char* id_fault() const { return id_fault_; }
  const char* text_fault() const { return text_fault_; }

  bool Null() override {
    if (depth_ != 1) return Inside();
    if (slot_ == Slot::kOther) return Add(MetadataValue::Null());
    if (slot_ == Slot::kText) return SetText({}, "null");
    return SetId({}, nullptr);
  }
  bool Bool(bool value) override {
    if (depth_ != 1) return Inside();
    if (slot_ == Slot::kOther) return Add(MetadataValue::Boolean(value));
    return SetFault("a boolean");
  }
  bool Number(std::string_view text) override {
    if (depth_ != 1) return Inside();
    if (slot_ == Slot::kOther) return Add(MetadataValue::NumberText(std::string(text)));
    if (slot_ == Slot::kText) return SetText({}, "a number");
    return IsInteger(text) ? SetId(text, nullptr) : SetId({}, "a number that is no integer");
  }
  bool String(std::string_view value) override {
    if (depth_ != 1) return Inside();
    if (slot_ == Slot::kOther) return Add(MetadataValue::String(std::string(value)));
    if (slot_ == Slot::kText) return SetText(value, nullptr);
    return SetId(value, nullptr);
  }
  bool StartObject() override { return ++depth_ == 2 ? Nested("an object") : true; }
  bool StartArray() override {
    if (depth_ == 0) return Inside();
    return ++depth_ == 2 ? Nested("an array") : true;
  }
  bool EndObject() override {
    --depth_;
    return true;
  }
  bool EndArray() override {
    --depth_;
    return true;
  }
  bool Key(std::string_view name) override {
    if (depth_ != 1) return true;
    slot_ = name == text_field_ ? Slot::kText : name == id_field_ ? Slot::kId : Slot::kOther;
    if (slot_ == Slot::kOther) key_.assign(name);
    return true;
  }

 private:
  enum class Slot { kId, kText, kOther };

  // A value that is not a field of the object: inside a nested one, or instead of the object.
  bool Inside() {
    is_no_object_ = depth_ == 0;
    return !is_no_object_;
  }
  bool Add(MetadataValue value, bool is_nested = false) {
    fields_.push_back({{std::move(key_), std::move(value)}, is_nested});
    return !has_too_many_fields();
  }
  bool Nested(const char* kind) {
    return slot_ == Slot::kOther ? Add({}, /*is_nested=*/true) : SetFault(kind);
  }
  bool SetFault(const char* kind) {
    return slot_ == Slot::kText ? SetText({}, kind) : SetId({}, kind);
  }
  bool SetId(std::string_view id, const char* fault) {
    document_->id.assign(id);
    id_fault_ = fault;
    return true;
  }
  bool SetText(std::string_view text, const char* fault) {
    document_->text.assign(text);
    text_fault_ = fault;
    has_text_ = true;
    return true;
  }

  const std::string id_field_;
  const std::string text_field_;
  Document* document_ = nullptr;
  int depth_ = 0;
  Slot slot_ = Slot::kOther;
  std::string key_;
  std::vector<Field> fields_;
  const char* id_fault_ = nullptr;
  const char* text_fault_ = nullptr;
  bool has_text_ = false;
  bool is_no_object_ = false;
};

// Collects the names of the outermost fields, for a reason; stops when it has enough.
class NameHandler : public JsonHandler {
 public:
  bool Null() override { return true; }
  bool Bool(bool) override { return true; }
  bool Number(std::string_view) override { return true; }
  bool String(std::string_view) override { return true; }
  bool StartObject() override { return Down(); }
  bool StartArray() override { return Down(); }
  bool EndObject() override { return Up(); }
  bool EndArray() override { return Up(); }
  bool Key(std::string_view name) override {
    if (depth_ == 1) names_.emplace_back(name);
    return names_.size() <= kNamesShownMax;
  }
  const std::vector<std::string>& names() const { return names_; }

 private:
  bool Down() {
    ++depth_;
    return true;
  }
  bool Up() {
    --depth_;
    return true;
  }
  int depth_ = 0;
  std::vector<std::string> names_;
};

class JsonLinesReader : public DocumentReader {
 public:
  JsonLinesReader(std::unique_ptr<ByteStream> stream, const FileSourceOptions& options)
      : options_(options),
        stream_(std::move(stream)),
        lines_(stream_.get(), &line_end_, options.document_bytes_max),
        handler_(options) {}

  Result<bool> Next(Record* record) override {
    RawRecord line;
    do {
      EF_ASSIGN_OR_RETURN(const bool found, lines_.Next(&line));
      if (!found) return false;
    } while (!line.is_too_large && IsBlankLine(line.bytes));
    record->origin.line = line.line;
    record->bytes = line.size;
    if (line.is_too_large) {
      MarkBad(record, TooLargeReason(options_.document_bytes_max));
    } else {
      Parse(line.bytes, record);
    }
    return true;
  }

 private:
  void Parse(std::string_view line, Record* record) {
    if (const std::size_t at = FindInvalidUtf8(line); at != std::string_view::npos)
      return MarkBad(record, InvalidUtf8Reason(at));
    // JSON has no raw NUL; the parser would take one for the end of the line.
    if (const std::size_t at = line.find('\0'); at != std::string_view::npos)
      return MarkBad(record, "not JSON: a NUL byte, byte " + std::to_string(at));
    Document& document = record->document;
    handler_.Begin(&document);
    const Status parsed = ParseJson(line, kJsonDepthMax, &handler_);
    if (handler_.is_no_object()) return MarkBad(record, "not a JSON object");
    if (handler_.id_fault() != nullptr) document.id.clear();
    if (handler_.has_too_many_fields())
      return MarkBad(record, TooManyFieldsReason(), std::move(document.id));
    if (!parsed.ok()) return MarkBad(record, parsed.message(), std::move(document.id));
    if (handler_.id_fault() != nullptr) {
      return MarkBad(record, "field " + QuoteName(options_.id_field) + " is " +
                                 handler_.id_fault() + "; an id is a string or an integer");
    }
    if (std::string fault = FindIdFault(document.id); !fault.empty())
      return MarkBad(record, std::move(fault));
    if (!handler_.has_text()) {
      NameHandler names;
      // Stops early when there are many; the line is known to be right.
      (void)ParseJson(line, kJsonDepthMax, &names);
      return MarkBad(record, MissingTextReason("field", options_.text_field, names.names()),
                     std::move(document.id));
    }
    if (handler_.text_fault() != nullptr) {
      return MarkBad(record,
                     "field " + QuoteName(options_.text_field) + " is " + handler_.text_fault() +
                         ", not a string",
                     std::move(document.id));
    }
    handler_.Finish();
  }

  const FileSourceOptions options_;
  const std::unique_ptr<ByteStream> stream_;
  LineEnd line_end_;
  RecordReader lines_;
  LineHandler handler_;
};

}  // namespace

std::unique_ptr<DocumentReader> NewJsonLinesReader(std::unique_ptr<ByteStream> stream,
                                                   const FileSourceOptions& options) {
  return std::make_unique<JsonLinesReader>(std::move(stream), options);
}

}  // namespace embedflow
