#include "providers/learnt_caps.h"

#include <array>
#include <charconv>

namespace embedflow {
namespace {

struct Phrase {
  std::string_view before;  // The number stands right behind it.
  std::string_view after;   // Must come right behind the number. Empty: anything.
  std::optional<std::size_t> LearntCaps::*cap;
};

constexpr std::array<Phrase, 14> kPhrases = {{
    // OpenAI: a request's tokens, and more than a minute's allowance in one request.
    {"max ", " tokens per request", &LearntCaps::model_tokens_max},
    {": limit ", ", requested", &LearntCaps::model_tokens_max},
    {"array with maximum length ", "", &LearntCaps::inputs_max},
    // Azure, and fronts of it.
    {"max size: ", " tokens", &LearntCaps::model_tokens_max},
    {"max number of inputs is ", "", &LearntCaps::inputs_max},
    // Mistral.
    {"too many tokens in batch. max is ", "", &LearntCaps::model_tokens_max},
    // text-embeddings-inference.
    {"maximum allowed batch size ", "", &LearntCaps::inputs_max},
    // Gemini.
    {"at most ", " requests", &LearntCaps::inputs_max},
    // Jina.
    {"at most ", " items", &LearntCaps::inputs_max},
    // Cohere.
    {"texts must be at most ", "", &LearntCaps::inputs_max},
    {"inputs must be at most ", "", &LearntCaps::inputs_max},
    // Voyage.
    {"allowed tokens per submitted batch is ", "", &LearntCaps::model_tokens_max},
    {"batch size limit is ", "", &LearntCaps::inputs_max},
    {"max batch size is ", "", &LearntCaps::inputs_max},
}};

// The number between, with commas as in "300,000".
std::optional<std::size_t> NumberBetween(std::string_view words, const Phrase& phrase) {
  for (std::size_t at = words.find(phrase.before); at != std::string_view::npos;
       at = words.find(phrase.before, at + 1)) {
    std::string digits;
    std::size_t end = at + phrase.before.size();
    for (; end < words.size() && digits.size() < 16; ++end) {
      const char c = words[end];
      const bool is_comma = c == ',' && !digits.empty() && end + 1 < words.size() &&
                            words[end + 1] >= '0' && words[end + 1] <= '9';
      if (is_comma) continue;
      if (c < '0' || c > '9') break;
      digits += c;
    }
    std::size_t value = 0;
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (result.ec != std::errc{} || value == 0) continue;
    if (words.substr(end).starts_with(phrase.after)) return value;
  }
  return std::nullopt;
}

}  // namespace

LearntCaps ReadLearntCaps(std::string_view words) {
  LearntCaps caps;
  // A limit of requests a minute says nothing about one request.
  const bool counts_requests = words.find("requests per") != std::string_view::npos;
  for (const Phrase& phrase : kPhrases) {
    std::optional<std::size_t>& cap = caps.*phrase.cap;
    if (cap || (counts_requests && phrase.after == ", requested")) continue;
    cap = NumberBetween(words, phrase);
  }
  return caps;
}

}  // namespace embedflow
