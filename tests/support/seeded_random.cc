#include "tests/support/seeded_random.h"

namespace tributary {

uint64_t SeededRandom::Next() {
  state_ += 0x9e3779b97f4a7c15;
  uint64_t mixed = state_;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
  return mixed ^ (mixed >> 31);
}

void SeededRandom::Fill(MutableByteView out) {
  uint64_t bits = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    if (i % 8 == 0) bits = Next();
    out[i] = static_cast<uint8_t>(bits >> (8 * (i % 8)));
  }
}

Bytes SeededRandom::TakeBytes(size_t count) {
  Bytes bytes(count);
  Fill(bytes);
  return bytes;
}

UploadId SeededRandom::TakeUploadId() {
  UploadId id;
  Fill(id.mutable_view());
  return id;
}

}  // namespace tributary
