// Simulated vectors, and base64. SimulatedVector() itself is public.
#ifndef EMBEDFLOW_SIMULATOR_EMBEDDING_H_
#define EMBEDFLOW_SIMULATOR_EMBEDDING_H_

#include <span>
#include <string>
#include <string_view>

namespace embedflow {

// Fills `out` with SimulatedVector(text, out.size()).
void FillSimulatedVector(std::string_view text, std::span<float> out);

// Appends `bytes` in base64 with padding.
void AppendBase64(std::string* out, std::string_view bytes);
std::string ToBase64(std::string_view bytes);

}  // namespace embedflow

#endif  // EMBEDFLOW_SIMULATOR_EMBEDDING_H_
