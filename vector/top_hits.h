// The best k of many hits.
#ifndef EMBEDFLOW_VECTOR_TOP_HITS_H_
#define EMBEDFLOW_VECTOR_TOP_HITS_H_

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "vector/index.h"

namespace embedflow {

// The order of search results: larger score first, then smaller id. Scores must not be NaN.
inline bool IsBetter(const IndexHit& a, const IndexHit& b) {
  return a.score != b.score ? a.score > b.score : a.id < b.id;
}

// Keeps the best `k` of the hits it is offered. The outcome does not depend on the order of offers,
// which is what lets several threads scan parts.
// Threads: not thread-safe.
class TopHits {
 public:
  // `k` at least 1. Takes memory for `k` hits.
  explicit TopHits(std::size_t k) : k_(k) { heap_.reserve(k); }

  void Offer(const IndexHit& hit) {
    if (heap_.size() < k_) {
      heap_.push_back(hit);
      std::push_heap(heap_.begin(), heap_.end(), IsBetter);
    } else if (IsBetter(hit, heap_.front())) {
      std::pop_heap(heap_.begin(), heap_.end(), IsBetter);
      heap_.back() = hit;
      std::push_heap(heap_.begin(), heap_.end(), IsBetter);
    }
  }
  void OfferAll(const TopHits& other) {
    for (const IndexHit& hit : other.heap_) Offer(hit);
  }
  // Best first; leaves this empty.
  std::vector<IndexHit> Take() {
    std::sort(heap_.begin(), heap_.end(), IsBetter);
    return std::exchange(heap_, {});
  }

 private:
  const std::size_t k_;
  std::vector<IndexHit> heap_;  // The worst in front.
};

}  // namespace embedflow

#endif  // EMBEDFLOW_VECTOR_TOP_HITS_H_
