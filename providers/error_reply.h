// What a provider says when it refuses. Shapes differ: {"error":{...}}, {"error":"..."}, a flat
// {"message":...}, {"detail":...} with a string or a list, Google's with details, HTML, nothing;
// one reader takes them all.
#ifndef EMBEDFLOW_PROVIDERS_ERROR_REPLY_H_
#define EMBEDFLOW_PROVIDERS_ERROR_REPLY_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace embedflow {

// Raw: the words may echo keys and hold control bytes. Empty where the body does not say.
struct ErrorReply {
  std::string message;
  std::string type;
  std::string code;  // A number is kept as its text.
  // Google's details: the names of the quotas that are used up, a space between two, and the wait
  // asked for, "46s".
  std::string quota_ids;
  std::string retry_delay;
  // The machine's word for the reason, e.g. "API_KEY_INVALID".
  std::string reason;
};

// Never fails: a body that is not JSON is its own message.
ErrorReply ReadError(std::string_view body);

// Fit for a status message: keys redacted, control bytes escaped, cut to `bytes_max` bytes.
inline constexpr std::size_t kWordsBytesMax = 300;
std::string Wording(std::string_view words, std::size_t bytes_max = kWordsBytesMax);

// The message of `body` in that form; "no words" where there is none.
std::string DescribeError(std::string_view body);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_ERROR_REPLY_H_
