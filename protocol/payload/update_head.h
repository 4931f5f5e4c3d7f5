#pragma once

#include <optional>

#include "protocol/payload/update_codec.h"

namespace tributary {

// The head of an update's plaintext, padding included.
Bytes EncodeUpdateHead(const UpdateMeta& meta);

// Gathers the head, which may come in pieces of any size.
class UpdateHeadReader {
 public:
  // Takes from the front of `part` what belongs to the head. nullopt: it is not whole yet. kMalformed, kTooLarge.
  Result<std::optional<UpdateMeta>> Feed(ByteView& part);

 private:
  bool TakeUntil(ByteView& part, size_t size);
  Bytes head_;
};

}  // namespace tributary
