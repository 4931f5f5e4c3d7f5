#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "device/examples/collection.h"
#include "device/learn/learner.h"
#include "device/sdk/include/tributary/tributary.h"

namespace tributary {

// What is returned to a C program: one block of malloc with a struct and all that it points to, so that one free frees it.
// Call order: Add the struct, then each part that it points to, and Point at that; Make.
class ReturnedBlock {
 public:
  using Place = size_t;  // in the block
  // `part` must live until Make.
  template <class T>
  Place Add(std::span<const T> part) {
    return AddBytes(part.data(), part.size_bytes());
  }
  // A 0 ends it.
  Place Add(const std::string& text) { return AddBytes(text.c_str(), text.size() + 1); }
  void Point(Place pointer, Place to) { pointers_.emplace_back(pointer, to); }
  // The block, which is the caller's. Throws std::bad_alloc.
  void* Make() const;

 private:
  Place AddBytes(const void* bytes, size_t size);

  std::vector<std::pair<const void*, size_t>> parts_;
  std::vector<std::pair<Place, Place>> pointers_;
  size_t size_ = 0;
};

char* ReturnedText(const std::string& text);
tributary_prediction* ReturnedPrediction(const Prediction& prediction);
tributary_collection_list* ReturnedList(std::span<const CollectionInfo> infos);

}  // namespace tributary
