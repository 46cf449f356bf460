// Inner products and distances of two vectors of `dimensions` floats.
//
// A result depends on the values alone, not on where they lie, so that equal vectors have equal
// scores; every x86-64 gives the same bits. bench/index_bench.cc compares them with FAISS's.
// Threads: any.
#ifndef EMBEDFLOW_VECTOR_DISTANCE_H_
#define EMBEDFLOW_VECTOR_DISTANCE_H_

#include <cstddef>

namespace embedflow {

float InnerProduct(const float* a, const float* b, std::size_t dimensions);
// The square of the Euclidean distance.
float SquaredL2(const float* a, const float* b, std::size_t dimensions);

}  // namespace embedflow

#endif  // EMBEDFLOW_VECTOR_DISTANCE_H_
