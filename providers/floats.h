// Vectors as they come over the wire: base64 of little-endian float32, and whether they can be
// kept.
#ifndef EMBEDFLOW_PROVIDERS_FLOATS_H_
#define EMBEDFLOW_PROVIDERS_FLOATS_H_

#include <span>
#include <string_view>

namespace embedflow {

// What `base64` stands for, exactly row.size() floats. False on any other length, a byte outside
// the standard alphabet, missing padding or left-over bits; `row` is then undefined.
bool DecodeBase64Floats(std::string_view base64, std::span<float> row);

// The reason why a vector cannot be kept, in words ("is zero", ...), or null if it can: every
// number finite and smaller than sqrt(FLT_MAX / size), so that no norm or inner product overflows,
// and the squared length at least FLT_MIN, so that it can be normalised.
const char* WhyUnusable(std::span<const float> vector);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_FLOATS_H_
