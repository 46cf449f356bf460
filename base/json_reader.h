// Reads one JSON value as a stream of events. The only RapidJSON of the project is in
// json_reader.cc.
//
// Iterative with a depth limit and by pointer and length, because RapidJSON's default parser
// overflows the stack at depth 200,000 and reads past the end of text that is cut inside a
// character. Numbers are handed out as their text: metadata stays exact, and std::from_chars turns
// vectors into floats faster than a double parser.
#ifndef EMBEDFLOW_BASE_JSON_READER_H_
#define EMBEDFLOW_BASE_JSON_READER_H_

#include <string_view>

#include "embedflow/status.h"

namespace embedflow {

// Receives the events of one value. Returning false stops the parse with kInvalidArgument
// "stopped". Views are valid during the call only.
class JsonHandler {
 public:
  virtual ~JsonHandler() = default;
  virtual bool Null() = 0;
  virtual bool Bool(bool value) = 0;
  // The text of the number, as JSON's grammar has it.
  virtual bool Number(std::string_view text) = 0;
  // Unescaped UTF-8; may hold NUL.
  virtual bool String(std::string_view value) = 0;
  virtual bool StartObject() = 0;
  virtual bool Key(std::string_view name) = 0;
  virtual bool EndObject() = 0;
  virtual bool StartArray() = 0;
  virtual bool EndArray() = 0;
};

// Parses `text`, which must be valid UTF-8, as exactly one value with nothing but white space
// behind it. Errors: kInvalidArgument "not JSON: <what>, byte <offset>"; too deep beyond
// `depth_max` levels.
Status ParseJson(std::string_view text, int depth_max, JsonHandler* handler);

}  // namespace embedflow

#endif  // EMBEDFLOW_BASE_JSON_READER_H_
