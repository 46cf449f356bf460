// Reads one JSON value as a stream of events, from text that is there or that comes in pieces.
//
// Our own, because replies are decoded while they arrive and no parser of Debian's takes a document
// in pieces of any length; it keeps its place in a state, not on the stack, and never looks beyond
// the bytes it was given. Strict RFC 8259. Numbers are handed out as their text: metadata stays
// exact, and std::from_chars turns vectors into floats faster than a double parser.
#ifndef EMBEDFLOW_BASE_JSON_READER_H_
#define EMBEDFLOW_BASE_JSON_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

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

// Takes one value in pieces that may be cut anywhere, also inside a character or an escape. Holds
// at most the one string or number that a piece was cut in, and of that at most `token_bytes_max`
// bytes (and what a growing std::string keeps besides). A byte order mark before the value is
// skipped.
// Threads: not thread-safe.
class JsonParser {
 public:
  // Nesting beyond `depth_max` levels is an error, and so is a string (unescaped), name or number
  // of more than `token_bytes_max` bytes, wherever the pieces were cut. `handler` outlives the
  // parser.
  JsonParser(int depth_max, std::size_t token_bytes_max, JsonHandler* handler);

  // False once the text is wrong or the handler has stopped it; then nothing more is read.
  bool Feed(std::string_view piece);
  // After the last piece: OK if exactly one value has come, with nothing but white space behind it.
  // Errors: kInvalidArgument "not JSON: <what>, byte <offset>", or "stopped, byte <offset>".
  Status Finish();

 private:
  // What may come next between tokens.
  enum class Expect { kValue, kFirstElement, kFirstKey, kKey, kColon, kCommaOrEnd, kNothing };
  // Inside which token the last piece ended.
  enum class Token { kNone, kString, kNumber, kWord };
  enum class Escape { kNone, kBackslash, kHex };

  bool Fail(std::string what);
  // Adds to the token at hand; what is in `held_` already is within the bound.
  bool Hold(std::string_view part);
  bool Stop();
  bool Told(bool goes_on) { return goes_on || Stop(); }
  bool TakeStructure(char c);
  bool Open(bool is_object);
  bool Close(bool is_object);
  bool BeginToken(char c);
  bool EndValue();
  bool ReadString(std::string_view piece, std::size_t* at);
  bool ReadEscape(std::string_view piece, std::size_t* at);
  bool AppendCodePoint(char32_t unit);
  bool EndString(std::string_view value);
  bool ReadNumber(std::string_view piece, std::size_t* at);
  bool EndNumber(std::string_view text);
  bool ReadWord(std::string_view piece, std::size_t* at);

  const int depth_max_;
  const std::size_t token_bytes_max_;
  JsonHandler* const handler_;
  std::vector<bool> open_;  // Containers we are in: true for an object.
  std::size_t mark_ = 0;    // Bytes of a byte order mark so far.
  Expect expect_ = Expect::kValue;
  Token token_ = Token::kNone;
  bool is_key_ = false;  // The string at hand names a member.
  std::string held_;     // The token at hand, as far as earlier pieces brought it.
  Escape escape_ = Escape::kNone;
  int hex_digits_ = 0;
  char32_t hex_ = 0;
  char32_t high_surrogate_ = 0;  // Waits for its low one.
  std::uint64_t offset_ = 0;     // Of the next byte.
  std::string error_;
};

// Parses `text` as exactly one value; errors as JsonParser::Finish. No token is longer than the
// text.
Status ParseJson(std::string_view text, int depth_max, JsonHandler* handler);

}  // namespace embedflow

#endif  // EMBEDFLOW_BASE_JSON_READER_H_
