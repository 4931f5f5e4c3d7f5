#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "protocol/payload/codec/block_codec.h"
#include "protocol/payload/update_codec.h"
#include "protocol/payload/update_head.h"

namespace tributary {

// Consecutive values that travel in one way.
struct ValueRun {
  uint64_t size = 0;
  bool exact = false;  // as float32; else in the codec's blocks
};
// Those of an update of `count` values. Ranges beyond it are cut off.
std::vector<ValueRun> RunsOf(uint64_t count, std::span<const ValueRange> exact);

// Encodes the values of an update in every codec but float32, part by part. Memory: one block's values.
class CodedEncoder {
 public:
  // `count` values will come.
  CodedEncoder(std::unique_ptr<BlockCodec> codec, uint64_t count, std::span<const ValueRange> exact)
      : codec_(std::move(codec)), runs_(RunsOf(count, exact)) {}
  // Appends the bytes that these next values make whole: all of them have come out with the last value. Errors: those
  // of BlockCodec::Encode; then nothing but the end may follow.
  Status Add(std::span<const float> values, Bytes& update);

 private:
  Status Encode(std::span<const float> block, Bytes& update);

  std::unique_ptr<BlockCodec> codec_;
  bool head_written_ = false;
  std::vector<ValueRun> runs_;  // the sizes are of what has not come yet
  size_t run_ = 0;
  std::vector<float> begun_;  // a block that is not whole yet
};

// Decodes every codec but float32. Memory: one block's bytes, and 4096 values.
class CodedDecoder final : public UpdateDecoder {
 public:
  // How many values an update of so many parameters brings: as many, or those of a rotated vector, of which `exact`
  // speaks then.
  using CountOf = std::function<uint64_t(uint64_t parameter_count)>;
  CodedDecoder(std::unique_ptr<BlockCodec> codec, std::vector<ValueRange> exact, CountOf count_of, Sink& sink);
  Status Feed(ByteView part) override;
  Status Finish() override;

 private:
  Status Take(ByteView part);
  // Values of the next block, and its bytes. 0: all values came.
  size_t NextBlock();
  size_t BytesFor(size_t count) const;
  Status DecodeBlock(ByteView bytes, size_t count);
  // Hands on what was decoded.
  Status Flush();
  Status CheckComplete() const;

  std::unique_ptr<BlockCodec> codec_;
  std::vector<ValueRange> exact_;
  CountOf count_of_;
  Sink* sink_;
  UpdateHeadReader head_;
  std::optional<UpdateMeta> meta_;
  uint64_t count_ = 0;  // of values that are to come
  bool head_read_ = false;
  std::vector<ValueRun> runs_;
  size_t run_ = 0;       // of runs_, the present one
  uint64_t of_run_ = 0;  // its values that are decoded
  uint64_t next_ = 0;    // index of the next value to be handed on
  std::array<float, 4096> values_;
  size_t decoded_ = 0;  // of values_, not handed on yet
  Bytes split_;         // a block that is not whole yet
  Status status_;
};

}  // namespace tributary
