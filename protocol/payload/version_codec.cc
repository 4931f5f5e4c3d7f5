#include "protocol/payload/version_codec.h"

#include <utility>

#include "protocol/trust/seal/digest.h"
#include "protocol/trust/seal/key_stream.h"

namespace tributary {
namespace {

class StreamRandom final : public Random {
 public:
  explicit StreamRandom(const Digest& seed) : stream_(seed.view()) {}
  void Fill(MutableByteView out) override { stream_.Fill(out); }

 private:
  KeyStream stream_;
};

UpdateFormat FormatOf(VersionCodec codec, const TensorTable& table) {
  return {codec == VersionCodec::kFloat16 ? Codec::kFloat16 : Codec::kBlock8, StatisticsOf(table)};
}

// For each value whether it is exact, in order: calls `exact(i)` or `other(i)`.
void ForEach(const UpdateFormat& format, uint64_t count, const auto& exact, const auto& other) {
  auto range = format.exact.begin();
  for (uint64_t i = 0; i < count; ++i) {
    while (range != format.exact.end() && i >= range->first + range->size) ++range;
    if (range != format.exact.end() && i >= range->first)
      exact(i);
    else
      other(i);
  }
}

}  // namespace

std::vector<ValueRange> StatisticsOf(const TensorTable& table) {
  std::vector<ValueRange> ranges;
  for (const TensorEntry& tensor : table.tensors) {
    if (StatisticOf(tensor) != Statistic::kNone) ranges.push_back({tensor.offset, tensor.size});
  }
  return ranges;
}

Result<CompactVersion> RoundVersion(VersionCodec codec, const TensorTable& table, std::span<const float> base,
                                    std::span<const float> next, const Digest& seed) {
  const UpdateFormat format = FormatOf(codec, table);
  std::vector<float> values(next.begin(), next.end());
  if (codec == VersionCodec::kBlock8) {
    ForEach(
        format, values.size(), [](uint64_t) {}, [&](uint64_t i) { values[i] -= base[i]; });
  }
  StreamRandom random(seed);
  CompactVersion made;
  ASSIGN_OR_RETURN(made.bytes, EncodeUpdate(format, {.weight = 0, .parameter_count = values.size()}, values, &random));
  ASSIGN_OR_RETURN(made.weights, ReadCompact(codec, table, base, made.bytes));
  return made;
}

Result<std::vector<float>> ReadCompact(VersionCodec codec, const TensorTable& table, std::span<const float> base,
                                       ByteView bytes) {
  const UpdateFormat format = FormatOf(codec, table);
  ASSIGN_OR_RETURN(std::vector<float> values, DecodeUpdate(format, bytes));
  if (values.size() != table.parameter_count())
    return Fail(Code::kWrongTensorCount, "{} weights, the task has {}", values.size(), table.parameter_count());
  if (codec == VersionCodec::kFloat16) return values;
  if (base.size() != values.size())
    return Fail(Code::kWrongTensorCount, "{} differences from {} weights", values.size(), base.size());
  ForEach(
      format, values.size(), [](uint64_t) {}, [&](uint64_t i) { values[i] += base[i]; });
  return values;
}

Status UnpackVersion(const PublishedTask& task, BlobStore& blobs) {
  TRIBUTARY_CHECK(task.compact.has_value());
  const uint64_t count = task.table.parameter_count();
  ASSIGN_OR_RETURN(const Bytes bytes, blobs.ReadAll(task.compact->blob.digest));
  std::vector<float> base;
  if (task.compact->codec == VersionCodec::kBlock8) {
    ASSIGN_OR_RETURN(const Bytes base_bytes, blobs.ReadAll(task.compact->base));
    ASSIGN_OR_RETURN(base, ToFloats(base_bytes, count));
  }
  ASSIGN_OR_RETURN(const auto weights, ReadCompact(task.compact->codec, task.table, base, bytes));
  const ByteView made = AsBytes(std::span<const float>(weights));
  if (Sha256(made) != task.weights.digest)
    return Fail(Code::kDigestMismatch, "version {} of {} does not come of its compact weights", Number(task.latest),
                task.id.text());
  RETURN_IF_ERROR(blobs.Put(made));
  return {};
}

}  // namespace tributary
