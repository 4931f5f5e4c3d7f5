#include "aggregator/sum/weighted_sum.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include <Eigen/Core>

#include "protocol/base/fault_point.h"
#include "protocol/base/limits.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

// The serialised form, all little endian:
//   magic        8 bytes  "TRIBSUM1"
//   count        u64      parameters
//   fraction     u64      fraction bits of the scale
//   bound        u64      the value bound, as the representation of a double
//   max_weight   u64
//   weight       u64      the total so far
//   updates      u64      contributions so far
//   sums         i64 * count
// One parameter, F = 8, bound 1, at most 100 examples, one update of the value 0.5 with weight 2:
//   54524942 53554d31  01000000 00000000  08000000 00000000  00000000 0000f03f  64000000 00000000  02000000 00000000
//   01000000 00000000  00010000 00000000
// Where updates count in part, the magic is "TRIBSUM2", and behind `updates` stands
//   off          u64 u64  what the shares take off the total weight, in units of 2^-30: low half, high half
// Of a sum with noise it is "TRIBSUM3", and there stands
//   denominator  u64
//   noise        u64      the largest magnitude of its values
constexpr std::string_view kMagic = "TRIBSUM1", kMagicOfShares = "TRIBSUM2", kMagicOfNoise = "TRIBSUM3";
constexpr size_t kHeadBytes = 7 * sizeof(uint64_t);
constexpr size_t kMoreBytes = 2 * sizeof(uint64_t);  // of the last two

// With the sum's 2^62 it stays in 64 bits. The noise of a private task has a deviation of at most 2^22.
constexpr int64_t kLargestNoise = int64_t{1} << 40;
constexpr uint64_t kMostDenominator = uint64_t{1} << 40;

// The largest |sum| that `weight` examples can make.
double LargestSum(FixedPointScale scale, double value_bound, uint64_t weight) {
  return std::ldexp(value_bound, scale.fraction_bits) * static_cast<double>(weight);
}

// Of a serialised sum that begins so.
size_t HeadBytes(ByteView begin) {
  const std::string_view magic = AsText(begin.first(std::min(begin.size(), kMagic.size())));
  return magic == kMagicOfShares || magic == kMagicOfNoise ? kHeadBytes + kMoreBytes : kHeadBytes;
}

using ConstSums = Eigen::Map<const Eigen::Array<int64_t, Eigen::Dynamic, 1>>;
using Sums = Eigen::Map<Eigen::Array<int64_t, Eigen::Dynamic, 1>>;

constexpr uint64_t kDigestBytes = Digest::kSize;
// 8 bytes per parameter, and the head of the serialised sum.
constexpr uint64_t kCheckpointBytes = 8 * limits::kParameters + limits::kKiB;

Status WriteDurably(FileSystem& files, const Path& path, const WeightedSum& sum) {
  ASSIGN_OR_RETURN(const auto file, files.OpenForWrite(path));
  uint64_t at = 0;
  Sha256Stream digest;
  const auto write = [&](ByteView piece) -> Status {
    digest.Update(piece);
    const uint64_t offset = at;
    at += piece.size();
    return file->WriteAt(offset, piece);
  };
  RETURN_IF_ERROR(sum.VisitSerialized(write));
  RETURN_IF_ERROR(file->WriteAt(at, std::move(digest).Finish().view()));
  TRIBUTARY_FAULT_POINT("aggregator.checkpoint.written");
  RETURN_IF_ERROR(file->Sync());
  TRIBUTARY_FAULT_POINT("aggregator.checkpoint.synced");
  return {};
}

}  // namespace

bool WeightedSum::Holds(FixedPointScale scale, double value_bound, uint64_t max_total_weight) {
  return scale.fraction_bits >= 0 && scale.fraction_bits <= 62 && value_bound > 0 && max_total_weight > 0 &&
         LargestSum(scale, value_bound, max_total_weight) <= 0x1p62;
}

WeightedSum::WeightedSum(uint64_t parameter_count, FixedPointScale scale, double value_bound, uint64_t max_total_weight)
    : sum_(parameter_count), scale_(scale), value_bound_(value_bound), max_total_weight_(max_total_weight) {
  TRIBUTARY_CHECK(Holds(scale, value_bound, max_total_weight))
      << "fraction bits " << scale.fraction_bits << ", value bound " << value_bound << ", total weight "
      << max_total_weight;
}

Result<SumAddition> WeightedSum::Begin(UpdateLimits limits, uint64_t weight, ReplayValues again) {
  RETURN_IF_ERROR(CheckWeight(weight));
  // A rule that compares updates takes none in part, and a sum with noise neither.
  TRIBUTARY_CHECK(limits.share == kWholeShare || noise_.denominator == 0) << limits.share;
  TRIBUTARY_CHECK(limits.share == kWholeShare ||
                  (limits.share > 0 && limits.share < kWholeShare && limits.reference.empty()))
      << limits.share;
  return SumAddition(*this, std::move(limits), weight, std::move(again));
}

SumKernel::Terms WeightedSum::TermsFor(int64_t weight) const {
  return {FloatBound(value_bound_), scale_.fraction_bits, weight};
}

Status WeightedSum::CheckWeight(uint64_t weight) const {
  if (weight > 0 && weight <= max_total_weight_ - total_weight_) return {};
  return Fail(Code::kBadWeight, "weight {} beside a total of {} of at most {}", weight, total_weight_,
              max_total_weight_);
}

WeightedSum WeightedSum::MadeOf(uint64_t weight) const {
  TRIBUTARY_CHECK(weight > 0 && weight <= max_total_weight_) << weight << " of at most " << max_total_weight_;
  WeightedSum made(sum_.size(), scale_, value_bound_, max_total_weight_);
  made.total_weight_ = weight;
  made.contributions_ = std::min(weight, contributions_);
  return made;
}

void WeightedSum::Restart(FixedPointScale scale, uint64_t max_total_weight) {
  TRIBUTARY_CHECK(Holds(scale, value_bound_, max_total_weight)) << scale.fraction_bits << ", " << max_total_weight;
  scale_ = scale;
  max_total_weight_ = max_total_weight;
  std::ranges::fill(sum_, 0);
  total_weight_ = contributions_ = 0;
  taken_off_ = 0;
  noise_.largest = 0;
}

void WeightedSum::BeginNoise(uint64_t denominator) {
  TRIBUTARY_CHECK(denominator > 0 && denominator <= kMostDenominator && total_weight_ == 0) << denominator;
  noise_ = {.denominator = denominator};
}

Status WeightedSum::AddNoise(uint64_t first, std::span<const int64_t> noise) {
  TRIBUTARY_CHECK(noise_.denominator > 0 && total_weight_ == 0 && first <= sum_.size() &&
                  noise.size() <= sum_.size() - first)
      << first << " and " << noise.size();
  for (const int64_t value : noise) {
    if (value < -kLargestNoise || value > kLargestNoise) return Fail(Code::kMalformed, "noise of {}", value);
    noise_.largest = std::max(noise_.largest, static_cast<uint64_t>(std::abs(value)));
    sum_[first++] += value;
  }
  return {};
}

Status WeightedSum::Allow(uint64_t max_total_weight) {
  max_total_weight = std::max(max_total_weight, total_weight_);
  if (!Holds(scale_, value_bound_, max_total_weight))
    return Fail(Code::kConflict, "a total weight of {} could overflow the sum", max_total_weight);
  max_total_weight_ = max_total_weight;
  return {};
}

double WeightedSum::divisor() const {
  if (noise_.denominator > 0) return static_cast<double>(noise_.denominator);
  if (taken_off_ == 0) return static_cast<double>(total_weight_);
  const auto left = static_cast<WeightedSum::Uint128>(total_weight_) * kWholeShare - taken_off_;
  return std::ldexp(static_cast<double>(left), -30);
}

Status WeightedSum::Merge(WeightedSum&& other) {
  if (other.sum_.size() != sum_.size() || other.scale_ != scale_ || other.value_bound_ != value_bound_)
    return Fail(Code::kConflict, "sums of different shape, scale or bound");
  if (other.noise_.denominator > 0) return Fail(Code::kConflict, "a sum has one noise");
  if (other.total_weight_ > 0) RETURN_IF_ERROR(CheckWeight(other.total_weight_));
  const auto count = static_cast<Eigen::Index>(sum_.size());
  Sums(sum_.data(), count) += ConstSums(other.sum_.data(), count);
  total_weight_ += other.total_weight_;
  contributions_ += other.contributions_;
  taken_off_ += other.taken_off_;
  return {};
}

Result<std::vector<double>> WeightedSum::Report() const {
  std::vector<double> mean(sum_.size());
  RETURN_IF_ERROR(ReportPart(0, mean));
  return mean;
}

Status WeightedSum::ReportPart(uint64_t first, std::span<double> mean) const {
  if (total_weight_ == 0) return Fail(Code::kConflict, "nothing was added");
  TRIBUTARY_CHECK(first <= sum_.size() && mean.size() <= sum_.size() - first) << first << " and " << mean.size();
  const auto count = static_cast<Eigen::Index>(mean.size());
  // Two roundings per value, each IEEE's, so the mean is the same on every machine: to double, and the division. The
  // scale is a power of two.
  Eigen::Map<Eigen::ArrayXd>(mean.data(), count) =
      ConstSums(sum_.data() + first, count).cast<double>() * std::ldexp(1.0, -scale_.fraction_bits) / divisor();
  return {};
}

Status WeightedSum::VisitSerialized(const std::function<Status(ByteView piece)>& visit) const {
  Bytes head;
  const bool of_noise = noise_.denominator > 0;
  Append(head, AsBytes(of_noise ? kMagicOfNoise : taken_off_ == 0 ? kMagic : kMagicOfShares));
  AppendU64(head, sum_.size());
  AppendU64(head, static_cast<uint64_t>(scale_.fraction_bits));
  AppendU64(head, std::bit_cast<uint64_t>(value_bound_));
  AppendU64(head, max_total_weight_);
  AppendU64(head, total_weight_);
  AppendU64(head, contributions_);
  if (of_noise) {
    AppendU64(head, noise_.denominator);
    AppendU64(head, noise_.largest);
  } else if (taken_off_ != 0) {
    AppendU64(head, static_cast<uint64_t>(taken_off_));
    AppendU64(head, static_cast<uint64_t>(taken_off_ >> 64));
  }
  RETURN_IF_ERROR(visit(head));
  return visit({reinterpret_cast<const uint8_t*>(sum_.data()), sum_.size() * sizeof(int64_t)});
}

uint64_t WeightedSum::serialized_size() const {
  const bool more = noise_.denominator > 0 || taken_off_ != 0;
  return kHeadBytes + (more ? kMoreBytes : 0) + sum_.size() * sizeof(int64_t);
}

Digest WeightedSum::SerializedDigest() const {
  Sha256Stream digest;
  const Status visited = VisitSerialized([&](ByteView piece) -> Status {
    digest.Update(piece);
    return {};
  });
  TRIBUTARY_CHECK(visited.has_value());
  return std::move(digest).Finish();
}

Bytes WeightedSum::Serialize() const {
  Bytes bytes;
  bytes.reserve(serialized_size());
  const Status visited = VisitSerialized([&](ByteView piece) -> Status {
    Append(bytes, piece);
    return {};
  });
  TRIBUTARY_CHECK(visited.has_value());
  return bytes;
}

Result<WeightedSum> WeightedSum::OfHead(ByteView head, uint64_t value_bytes) {
  ASSIGN_OR_RETURN(const ByteView magic, TakeBytes(head, kMagic.size()));
  const bool of_shares = AsText(magic) == kMagicOfShares, of_noise = AsText(magic) == kMagicOfNoise;
  if (AsText(magic) != kMagic && !of_shares && !of_noise)
    return Fail(Code::kMalformed, "does not begin as a weighted sum");
  ASSIGN_OR_RETURN(const uint64_t count, TakeU64(head));
  ASSIGN_OR_RETURN(const uint64_t fraction_bits, TakeU64(head));
  ASSIGN_OR_RETURN(const uint64_t bound, TakeU64(head));
  ASSIGN_OR_RETURN(const uint64_t max_total_weight, TakeU64(head));
  ASSIGN_OR_RETURN(const uint64_t total_weight, TakeU64(head));
  ASSIGN_OR_RETURN(const uint64_t contributions, TakeU64(head));
  if (value_bytes % sizeof(int64_t) != 0 || value_bytes / sizeof(int64_t) != count)
    return Fail(Code::kMalformed, "{} bytes for {} sums", value_bytes, count);
  const FixedPointScale scale{static_cast<int>(std::min<uint64_t>(fraction_bits, 63))};
  const auto value_bound = std::bit_cast<double>(bound);
  if (!Holds(scale, value_bound, max_total_weight) || total_weight > max_total_weight || contributions > total_weight) {
    return Fail(Code::kMalformed, "a scale or weights that no sum has");
  }
  WeightedSum sum(count, scale, value_bound, max_total_weight);
  sum.total_weight_ = total_weight;
  sum.contributions_ = contributions;
  if (!of_shares && !of_noise) return sum;
  ASSIGN_OR_RETURN(const uint64_t low, TakeU64(head));
  ASSIGN_OR_RETURN(const uint64_t high, TakeU64(head));
  if (of_noise) {
    sum.noise_ = {low, high};
    if (low == 0 || low > kMostDenominator || high > static_cast<uint64_t>(kLargestNoise))
      return Fail(Code::kMalformed, "noise that no sum has");
    return sum;
  }
  sum.taken_off_ = (static_cast<WeightedSum::Uint128>(high) << 64) | low;
  if (sum.taken_off_ == 0 || sum.taken_off_ >= static_cast<WeightedSum::Uint128>(total_weight) * kWholeShare)
    return Fail(Code::kMalformed, "shares that no updates of the total weight have");
  return sum;
}

Status WeightedSum::CheckSums() const {
  // Rounding adds up to a half per example; the comparison is in double, which adds another sliver.
  const double largest = LargestSum(scale_, value_bound_, total_weight_) * (1 + 0x1p-50) +
                         0.5 * static_cast<double>(total_weight_) + static_cast<double>(noise_.largest);
  const ConstSums sums(sum_.data(), static_cast<Eigen::Index>(sum_.size()));
  if (!sum_.empty() && !(sums.cast<double>().abs().maxCoeff() <= largest))
    return Fail(Code::kMalformed, "a sum that no updates of the total weight have");
  return {};
}

Result<WeightedSum> WeightedSum::Deserialize(ByteView bytes) {
  const ByteView head = bytes.first(std::min(bytes.size(), HeadBytes(bytes)));
  const ByteView values = bytes.subspan(head.size());
  ASSIGN_OR_RETURN(WeightedSum sum, OfHead(head, values.size()));
  std::memcpy(sum.sum_.data(), values.data(), values.size());
  RETURN_IF_ERROR(sum.CheckSums());
  return sum;
}

Status WriteCheckpoint(FileSystem& files, const Path& path, const WeightedSum& sum) {
  const Path beside = path.string() + ".new";
  RETURN_IF_ERROR(files.Remove(beside));
  if (auto written = WriteDurably(files, beside, sum); !written) {
    (void)files.Remove(beside);  // a disk that is full needs the room for its database
    return written;
  }
  RETURN_IF_ERROR(files.Rename(beside, path));
  TRIBUTARY_FAULT_POINT("aggregator.checkpoint.renamed");
  return files.SyncFolder(path.parent_path());
}

Result<WeightedSum> ReadCheckpoint(FileSystem& files, const Path& path) {
  ASSIGN_OR_RETURN(const uint64_t size, files.Size(path));
  const auto corrupt = [&](const std::string& why) {
    return Fail(Code::kCorrupt, "{}, {} bytes: {}", path.string(), size, why);
  };
  if (size < kHeadBytes + kDigestBytes || size > kCheckpointBytes) return corrupt("not the size of a checkpoint");
  Sha256Stream digest;
  ASSIGN_OR_RETURN(Bytes head, files.ReadAt(path, 0, kHeadBytes));
  const size_t head_bytes = HeadBytes(head);
  if (size < head_bytes + kDigestBytes) return corrupt("not the size of a checkpoint");
  if (head_bytes > kHeadBytes) {
    ASSIGN_OR_RETURN(head, files.ReadAt(path, 0, head_bytes));
  }
  digest.Update(head);
  const uint64_t value_bytes = size - head_bytes - kDigestBytes;
  auto sum = WeightedSum::OfHead(head, value_bytes);
  if (!sum) return corrupt(sum.error().message);
  auto* const to = reinterpret_cast<uint8_t*>(sum->sum_.data());
  for (uint64_t at = 0; at < value_bytes;) {
    const auto count = static_cast<size_t>(std::min<uint64_t>(limits::kMiB, value_bytes - at));
    ASSIGN_OR_RETURN(const Bytes piece, files.ReadAt(path, head_bytes + at, count));
    digest.Update(piece);
    std::memcpy(to + at, piece.data(), piece.size());
    at += piece.size();
  }
  ASSIGN_OR_RETURN(const Bytes stored, files.ReadAt(path, size - kDigestBytes, kDigestBytes));
  if (!std::ranges::equal(std::move(digest).Finish().view(), stored)) return corrupt("its digest does not fit");
  if (const Status fine = sum->CheckSums(); !fine) return corrupt(fine.error().message);
  return sum;
}

}  // namespace tributary
