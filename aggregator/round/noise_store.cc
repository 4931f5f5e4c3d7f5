#include "aggregator/round/noise_store.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "aggregator/store/disk_health.h"
#include "protocol/base/fault_point.h"
#include "protocol/base/limits.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

static_assert(std::endian::native == std::endian::little, "files of noise are written as memory has them");

constexpr uint64_t kBlockValues = 64 * limits::kKiB;
constexpr std::string_view kSuffix = ".noise";

// The draws of a task have these in common.
struct NoiseShape {
  uint64_t values;
  uint64_t buffers;

  uint64_t whole_size() const { return values * (1 + buffers) * sizeof(int64_t) + Digest::kSize; }
};

NoiseShape ShapeOf(const PrivacyForm& form) { return {form.values, form.blt ? form.blt->buffers.size() : 0}; }

struct NoiseBlock {
  uint64_t first;
  std::vector<int64_t> noise;
  std::vector<int64_t> buffers;
};

// Hands over a file's blocks. Nothing final may be done with them before the return: then the digest fits.
Status VisitNoise(FileSystem& files, const Path& file, const NoiseShape& shape, const Digest& digest,
                  const std::function<Status(NoiseBlock block)>& visit) {
  const auto damaged = [&](std::string_view why) {
    return Fail(Code::kCorrupt, "{} {}. The sum that begins with this noise cannot be made", file.string(), why);
  };
  const auto size = files.Size(file);
  if (!size && size.error().code == Code::kNotFound) return damaged("is missing");
  if (!size) return Fail(size.error());
  if (*size != shape.whole_size()) return damaged("has another size");
  Sha256Stream stream;
  uint64_t at = 0;
  const auto read = [&](uint64_t count) -> Result<std::vector<int64_t>> {
    std::vector<int64_t> values(count);
    ASSIGN_OR_RETURN(const Bytes bytes, files.ReadAt(file, at, count * sizeof(int64_t)));
    stream.Update(bytes);
    std::memcpy(values.data(), bytes.data(), bytes.size());
    at += bytes.size();
    return values;
  };
  for (uint64_t first = 0; first < shape.values; first += kBlockValues) {
    const uint64_t count = std::min(kBlockValues, shape.values - first);
    NoiseBlock block{first, {}, {}};
    ASSIGN_OR_RETURN(block.noise, read(count));
    if (shape.buffers > 0) {
      ASSIGN_OR_RETURN(block.buffers, read(count * shape.buffers));
    }
    RETURN_IF_ERROR(visit(std::move(block)));
  }
  if (std::move(stream).Finish() != digest) return damaged("holds another noise than its round began with");
  return {};
}

// One draw on its way to the disk.
class NoiseWriter {
 public:
  NoiseWriter(FileSystem& files, Path file, const PrivacyForm& form, Random& random)
      : files_(files), file_(std::move(file)), form_(form), random_(random) {}

  // `before`: the file of the draw before, of the same run.
  Result<Digest> Write(const std::optional<std::pair<Path, Digest>>& before) {
    const NoiseShape shape = ShapeOf(form_);
    const Path beside = file_.string() + ".new";
    RETURN_IF_ERROR(CheckRoom(files_, file_.parent_path(), shape.whole_size(), "the noise of the next round"));
    RETURN_IF_ERROR(files_.Remove(beside));
    ASSIGN_OR_RETURN(out_, files_.OpenForWrite(beside));
    Status written;
    if (before) {
      written = VisitNoise(files_, before->first, shape, before->second, [this](NoiseBlock block) {
        return DrawBlock(block.noise.size(), std::move(block.buffers));
      });
    } else {
      for (uint64_t first = 0; written && first < shape.values; first += kBlockValues)
        written = DrawBlock(std::min(kBlockValues, shape.values - first), {});
    }
    if (!written) {
      (void)files_.Remove(beside);  // a disk that is full needs the room for its database
      return Fail(written.error());
    }
    const Digest digest = std::move(digest_).Finish();
    RETURN_IF_ERROR(out_->WriteAt(at_, digest.view()));
    RETURN_IF_ERROR(out_->Sync());
    TRIBUTARY_FAULT_POINT("aggregator.noise.synced");
    RETURN_IF_ERROR(files_.Rename(beside, file_));
    RETURN_IF_ERROR(files_.SyncFolder(file_.parent_path()));
    TRIBUTARY_FAULT_POINT("aggregator.noise.drawn");
    return digest;
  }

 private:
  Status DrawBlock(uint64_t values, std::vector<int64_t> buffers) {
    std::vector<int64_t> noise(values);
    if (!form_.blt) {
      ASSIGN_OR_RETURN(IntegerGaussian gaussian, IntegerGaussian::Create(form_.sigma_squared, random_));
      gaussian.Draw(noise);
      return Append(noise);
    }
    ASSIGN_OR_RETURN(CorrelatedNoise correlated,
                     CorrelatedNoise::Create(*form_.blt, form_.sigma_squared, values, std::move(buffers), random_));
    correlated.Draw(noise);
    RETURN_IF_ERROR(Append(noise));
    return Append(correlated.Buffers());
  }

  Status Append(std::span<const int64_t> values) {
    const ByteView bytes{reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()};
    digest_.Update(bytes);
    RETURN_IF_ERROR(out_->WriteAt(at_, bytes));
    at_ += bytes.size();
    return {};
  }

  FileSystem& files_;
  Path file_;
  PrivacyForm form_;
  Random& random_;
  std::unique_ptr<WritableFile> out_;
  uint64_t at_ = 0;
  Sha256Stream digest_;
};

}  // namespace

Path NoiseStore::FileOf(uint64_t number) const {
  return around_.folder / fmt::format("{}{}{}", prefix_, number, kSuffix);
}

void NoiseStore::Prepare(uint64_t number, const std::optional<NoiseDraw>& after) {
  if (drawing_.valid()) drawing_.wait();  // two at once would write one file
  std::optional<std::pair<Path, Digest>> before;
  if (after) before.emplace(FileOf(after->number), after->noise);
  const auto done = std::make_shared<std::promise<Result<Digest>>>();
  number_ = number;
  drawing_ = done->get_future().share();
  const auto draw = [done, before,
                     writer = std::make_shared<NoiseWriter>(around_.files, FileOf(number), form_, around_.random)] {
    done->set_value(writer->Write(before));
  };
  if (around_.worker == nullptr) return draw();
  around_.worker->Post(draw);
}

Result<Digest> NoiseStore::Take() {
  TRIBUTARY_CHECK(number_ > 0) << "nothing was prepared";
  auto drawn = drawing_.get();
  if (!drawn) number_ = 0;
  return drawn;
}

Status NoiseStore::AddTo(WeightedSum& sum, const NoiseDraw& draw) const {
  sum.BeginNoise(form_.denominator);
  return VisitNoise(around_.files, FileOf(draw.number), ShapeOf(form_), draw.noise,
                    [&sum](const NoiseBlock& block) { return sum.AddNoise(block.first, block.noise); });
}

Status NoiseStore::KeepOnly(uint64_t number) {
  ASSIGN_OR_RETURN(const auto present, around_.files.List(around_.folder));
  for (const std::string& name : present) {
    if (!name.starts_with(prefix_)) continue;
    const Path file = around_.folder / name;
    const auto number_end = std::find_if(name.begin() + static_cast<std::ptrdiff_t>(prefix_.size()), name.end(),
                                         [](char letter) { return letter < '0' || letter > '9'; });
    // A task whose name begins like this one has other endings.
    const std::string_view rest(number_end, name.end());
    const bool ours = rest == kSuffix || rest == std::string(kSuffix) + ".new";
    if (!ours || file == FileOf(number) || (number_ > 0 && file == FileOf(number_))) continue;
    RETURN_IF_ERROR(around_.files.Remove(file));
  }
  return {};
}

void NoiseStore::Settled(uint64_t number) const {
  if (!form_.blt) (void)around_.files.Remove(FileOf(number));  // the next start removes one that stays
}

}  // namespace tributary
