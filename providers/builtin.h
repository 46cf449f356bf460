// The built-in provider: embeds in this process, offline and free, by hashing words.
#ifndef EMBEDFLOW_PROVIDERS_BUILTIN_H_
#define EMBEDFLOW_PROVIDERS_BUILTIN_H_

#include <memory>

#include "embedflow/provider.h"

namespace embedflow {

inline constexpr int kBuiltinDimensions = 512;  // The default.

// An Embedder in the space builtin/hash-v1. Its vectors say how many words and parts of words two
// texts share: lexical similarity, not meaning. "car" is no nearer to "automobile" than to "moon".
//
// How a vector is made is fixed for ever under the name hash-v1; a change needs a new model name:
//   1. A word is a run of letters and digits; everything else separates. Outside ASCII every code
//      point is a letter but for the punctuation, spaces and symbols of Latin-1, U+2000 to U+2BFF,
//      CJK and full-width punctuation. Capitals of ASCII, Latin-1, Greek and Cyrillic become small.
//      An ideograph or kana is a word by itself. A run above 64 letters is cut every 64.
//   2. Features: each word; each pair of adjacent words; and, once for every different word, the
//      runs of 3 and of 4 letters in it, its edges counting as a letter.
//   3. A word or a pair that occurs t times weighs 1 + ln(t), times a factor that grows with its
//      length, because short words are common ones.
//   4. A feature's 64-bit hash chooses one of the dimensions and a sign; weights are added there as
//      integers, and the sums are scaled to unit length. A text without features, or one whose
//      features cancel out, gets a vector of signs drawn from the hash of its bytes.
// Integer sums and correctly rounded operations make the bits the same on every IEEE machine.
//
// A known simplification: a text with more than 3,072 different words and pairs is counted in
// sections of 3,072, so a word that returns in a later section starts again at t = 1.
//
// Embed() takes any bytes, invalid UTF-8 and empty texts too, and never fails but for a span of
// `vectors` of the wrong size. It allocates nothing after the first call on a thread.
//
// Null if `dimensions` is not in [1, 65536].
std::shared_ptr<const Provider> MakeBuiltin(int dimensions = kBuiltinDimensions);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_BUILTIN_H_
