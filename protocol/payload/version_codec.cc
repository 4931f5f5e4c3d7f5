#include "protocol/payload/version_codec.h"

#include <utility>

#include "protocol/payload/codec/codec_list.h"
#include "protocol/payload/coded_values.h"
#include "protocol/payload/update_head.h"
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

// Calls `differs(i)` for each of the `count` values from `first` on that is a difference from the base.
void ForEachDifference(const UpdateFormat& format, uint64_t first, uint64_t count, const auto& differs) {
  if (format.codec != Codec::kBlock8) return;
  auto range = format.exact.begin();
  for (uint64_t i = first; i < first + count; ++i) {
    while (range != format.exact.end() && i >= range->first + range->size) ++range;
    if (range == format.exact.end() || i < range->first) differs(i - first);
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

// Encodes, and decodes again what was encoded.
class VersionRounder::Parts final : private UpdateDecoder::Sink {
 public:
  Parts(VersionCodec codec, const TensorTable& table, const Digest& seed)
      : format_(FormatOf(codec, table)),
        count_(table.parameter_count()),
        random_(seed),
        encoder_(MakeBlockEncoder(format_.codec, random_, nullptr), count_, format_.exact),
        decoder_(
            MakeBlockDecoder(format_.codec, nullptr), format_.exact, [](uint64_t count) { return count; }, *this) {}

  Result<CompactVersion> Add(std::span<const float> base, std::span<const float> next) {
    made_ = {};
    if (came_ == 0) made_.bytes = EncodeUpdateHead({.weight = 0, .parameter_count = count_});
    std::vector<float> values(next.begin(), next.end());
    ForEachDifference(format_, came_, values.size(), [&](uint64_t i) { values[i] -= base[i]; });
    RETURN_IF_ERROR(encoder_.Add(values, made_.bytes));
    came_ += values.size();
    base_.insert(base_.end(), base.begin(), base.end());
    RETURN_IF_ERROR(decoder_.Feed(made_.bytes));
    base_.erase(base_.begin(), base_.begin() + static_cast<std::ptrdiff_t>(made_.weights.size()));
    return std::move(made_);
  }

 private:
  Status OnMeta(const UpdateMeta&) override { return {}; }
  Status OnValues(uint64_t first, std::span<const float> values) override {
    const size_t before = made_.weights.size();
    made_.weights.insert(made_.weights.end(), values.begin(), values.end());
    ForEachDifference(format_, first, values.size(),
                      [&](uint64_t i) { made_.weights[before + i] += base_[before + i]; });
    return {};
  }

  const UpdateFormat format_;
  const uint64_t count_;
  StreamRandom random_;
  CodedEncoder encoder_;
  CodedDecoder decoder_;
  uint64_t came_ = 0;
  std::vector<float> base_;  // of the weights that have not come out
  CompactVersion made_;
};

VersionRounder::VersionRounder(VersionCodec codec, const TensorTable& table, const Digest& seed)
    : parts_(std::make_unique<Parts>(codec, table, seed)) {}
VersionRounder::~VersionRounder() = default;

Result<CompactVersion> VersionRounder::Add(std::span<const float> base, std::span<const float> next) {
  return parts_->Add(base, next);
}

Result<CompactVersion> RoundVersion(VersionCodec codec, const TensorTable& table, std::span<const float> base,
                                    std::span<const float> next, const Digest& seed) {
  return VersionRounder(codec, table, seed).Add(base, next);
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
  ForEachDifference(format, 0, values.size(), [&](uint64_t i) { values[i] += base[i]; });
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
