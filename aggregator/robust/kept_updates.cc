#include "aggregator/robust/kept_updates.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "protocol/base/fault_point.h"
#include "protocol/base/limits.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

// A kept update, all numbers little endian; a reference is the same with the magic "TRIBREF1", no names and weight 0.
//   magic    8 bytes "TRIBUPD1"
//   count    u64     values
//   weight   u64
//   device   u64 length, then its bytes
//   via      u64 length, then its bytes
//   values   float32 * count, as they were summed
//   digest   SHA-256 of all before
// One value 0.5 of device "d" with weight 2 through gateway "g":
//   54524942 55504431  01000000 00000000  02000000 00000000  01000000 00000000 64  01000000 00000000 67  0000003f  …
constexpr std::string_view kUpdateMagic = "TRIBUPD1";
constexpr std::string_view kReferenceMagic = "TRIBREF1";
constexpr size_t kMostName = 64;
constexpr size_t kMostHead = 5 * sizeof(uint64_t) + 2 * kMostName;
constexpr uint64_t kValuesAtOnce = limits::kMiB / sizeof(float);

// Writes the parts of a file one behind the other, with its digest at the end.
class DigestedFile {
 public:
  static Result<DigestedFile> Begin(FileSystem& files, const Path& path) {
    RETURN_IF_ERROR(files.Remove(path));  // it would not be truncated
    ASSIGN_OR_RETURN(auto file, files.OpenForWrite(path));
    return DigestedFile(std::move(file));
  }
  Status Append(ByteView bytes) {
    digest_.Update(bytes);
    const uint64_t at = std::exchange(at_, at_ + bytes.size());
    return file_->WriteAt(at, bytes);
  }
  Status Finish() {
    const Digest digest = std::move(digest_).Finish();
    RETURN_IF_ERROR(file_->WriteAt(at_, digest.view()));
    return file_->Sync();
  }

 private:
  explicit DigestedFile(std::unique_ptr<WritableFile> file) : file_(std::move(file)) {}
  std::unique_ptr<WritableFile> file_;
  Sha256Stream digest_;
  uint64_t at_ = 0;
};

Bytes HeadOf(std::string_view magic, uint64_t count, const KeptUpdate& update) {
  Bytes head;
  Append(head, AsBytes(magic));
  AppendU64(head, count);
  AppendU64(head, update.weight);
  for (const std::string_view name : {std::string_view(update.device.text()), std::string_view(update.via.text())}) {
    AppendU64(head, name.size());
    Append(head, AsBytes(name));
  }
  return head;
}

Result<DeviceId> TakeName(ByteView& head) {
  ASSIGN_OR_RETURN(const uint64_t size, TakeU64(head));
  if (size > kMostName) return Fail(Code::kCorrupt, "a name of {} bytes", size);
  ASSIGN_OR_RETURN(const ByteView name, TakeBytes(head, size));
  if (name.empty()) return DeviceId();
  return DeviceId::Parse(std::string(AsText(name)));
}

struct ReadHead {
  KeptUpdate update;
  uint64_t size = 0;  // bytes
};
Result<ReadHead> TakeHead(ByteView bytes, std::string_view magic, uint64_t parameter_count) {
  ReadHead head;
  const size_t all = bytes.size();
  ASSIGN_OR_RETURN(const ByteView begin, TakeBytes(bytes, magic.size()));
  if (AsText(begin) != magic) return Fail(Code::kCorrupt, "it does not begin as such a file");
  ASSIGN_OR_RETURN(const uint64_t count, TakeU64(bytes));
  if (count != parameter_count) return Fail(Code::kCorrupt, "{} values, the task has {}", count, parameter_count);
  ASSIGN_OR_RETURN(head.update.weight, TakeU64(bytes));
  ASSIGN_OR_RETURN(head.update.device, TakeName(bytes));
  ASSIGN_OR_RETURN(head.update.via, TakeName(bytes));
  head.size = all - bytes.size();
  return head;
}

// Checks a file of `count` values to its digest and hands over its values in order.
Result<ReadHead> VisitFile(FileSystem& files, const Path& path, std::string_view magic, uint64_t count,
                           const std::function<Status(std::span<const float> values)>& visit) {
  ASSIGN_OR_RETURN(const uint64_t size, files.Size(path));
  const auto corrupt = [&](const std::string& why) {
    return Fail(Code::kCorrupt, "{}, {} bytes: {}", path.string(), size, why);
  };
  ASSIGN_OR_RETURN(const Bytes begin, files.ReadAt(path, 0, std::min<uint64_t>(size, kMostHead)));
  const auto head = TakeHead(begin, magic, count);
  if (!head) return corrupt(head.error().message);
  if (size != head->size + count * sizeof(float) + Digest::kSize) return corrupt("not the size that it says");
  Sha256Stream digest;
  digest.Update(ByteView(begin).first(head->size));
  std::vector<float> values;
  for (uint64_t first = 0; first < count; first += kValuesAtOnce) {
    values.resize(std::min(kValuesAtOnce, count - first));
    ASSIGN_OR_RETURN(const Bytes bytes,
                     files.ReadAt(path, head->size + first * sizeof(float), values.size() * sizeof(float)));
    digest.Update(bytes);
    std::memcpy(values.data(), bytes.data(), bytes.size());
    if (const Status good = visit(values); !good) return corrupt(good.error().message);
  }
  ASSIGN_OR_RETURN(const Bytes stored, files.ReadAt(path, size - Digest::kSize, Digest::kSize));
  if (!std::ranges::equal(std::move(digest).Finish().view(), stored)) return corrupt("its digest does not fit");
  return *head;
}

}  // namespace

std::string KeptFileName(const TaskId& task, ModelVersion base, uint64_t slot) {
  return fmt::format("{}-v{}-{}.update", task.text(), Number(base), slot);
}

uint64_t KeptFileBytes(uint64_t parameter_count) { return kMostHead + parameter_count * sizeof(float) + Digest::kSize; }

Status WriteKeptUpdate(FileSystem& files, const Path& file, const KeptUpdate& update, uint64_t count,
                       const EachPart& values) {
  ASSIGN_OR_RETURN(DigestedFile out, DigestedFile::Begin(files, file));
  RETURN_IF_ERROR(out.Append(HeadOf(kUpdateMagic, count, update)));
  RETURN_IF_ERROR(values([&](std::span<const float> part) { return out.Append(AsBytes(part)); }));
  TRIBUTARY_FAULT_POINT("aggregator.kept_update.written");
  RETURN_IF_ERROR(out.Finish());
  TRIBUTARY_FAULT_POINT("aggregator.kept_update.synced");
  return files.SyncFolder(file.parent_path());
}

Result<KeptUpdate> ReadKeptHead(FileSystem& files, const Path& file, uint64_t parameter_count) {
  ASSIGN_OR_RETURN(const uint64_t size, files.Size(file));
  ASSIGN_OR_RETURN(const Bytes begin, files.ReadAt(file, 0, std::min<uint64_t>(size, kMostHead)));
  auto head = TakeHead(begin, kUpdateMagic, parameter_count);
  if (!head) return Fail(Code::kCorrupt, "{}: {}", file.string(), head.error().message);
  return std::move(head->update);
}

Result<KeptUpdates::Entry> KeptUpdates::Check(const Path& path, float bound) const {
  const auto check = [bound](std::span<const float> values) { return CheckValues(values, 0, bound); };
  ASSIGN_OR_RETURN(const ReadHead head, VisitFile(*files_, path, kUpdateMagic, parameter_count_, check));
  if (head.update.weight == 0) return Fail(Code::kCorrupt, "{}: weight 0", path.string());
  return Entry{head.update, path, head.size};
}

Result<KeptUpdates> KeptUpdates::Open(FileSystem& files, const std::vector<Path>& paths, uint64_t parameter_count,
                                      FixedPointScale scale, double value_bound) {
  KeptUpdates updates(files, parameter_count, scale);
  for (const Path& path : paths) {
    ASSIGN_OR_RETURN(Entry entry, updates.Check(path, FloatBound(value_bound)));
    updates.entries_.push_back(std::move(entry));
  }
  std::ranges::sort(updates.entries_, {}, [](const Entry& entry) { return entry.update.device; });
  return updates;
}

Status KeptUpdates::Read(size_t update, uint64_t first, std::span<int64_t> values) const {
  const Entry& entry = entries_[update];
  ASSIGN_OR_RETURN(const Bytes bytes,
                   files_->ReadAt(entry.path, entry.values_at + first * sizeof(float), values.size() * sizeof(float)));
  const double scale = std::ldexp(1.0, scale_.fraction_bits);
  for (size_t i = 0; i < values.size(); ++i) {
    float value = 0;
    std::memcpy(&value, bytes.data() + i * sizeof(float), sizeof(float));
    values[i] = std::llrint(double{value} * scale);  // FixedPointScale::ToFixed: the scale is a power of two
  }
  return {};
}

std::string ReferenceFileName(const TaskId& task, ModelVersion version) {
  return fmt::format("{}-v{}.reference", task.text(), Number(version));
}

Status WriteReference(FileSystem& files, const Path& file, uint64_t parameter_count, const ReadMean& mean) {
  ASSIGN_OR_RETURN(DigestedFile out, DigestedFile::Begin(files, file));
  RETURN_IF_ERROR(out.Append(HeadOf(kReferenceMagic, parameter_count, {})));
  std::vector<double> values;
  std::vector<float> rounded;
  for (uint64_t first = 0; first < parameter_count; first += kValuesAtOnce) {
    values.resize(std::min(kValuesAtOnce, parameter_count - first));
    RETURN_IF_ERROR(mean(first, values));
    rounded.assign(values.begin(), values.end());
    RETURN_IF_ERROR(out.Append(AsBytes(std::span<const float>(rounded))));
  }
  RETURN_IF_ERROR(out.Finish());
  TRIBUTARY_FAULT_POINT("aggregator.reference.synced");
  return files.SyncFolder(file.parent_path());
}

Result<std::vector<float>> ReadReference(FileSystem& files, const Path& file, uint64_t parameter_count) {
  std::vector<float> reference;
  reference.reserve(parameter_count);
  const auto take = [&](std::span<const float> values) -> Status {
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); }))
      return Fail(Code::kCorrupt, "a value that is no number");
    reference.insert(reference.end(), values.begin(), values.end());
    return {};
  };
  RETURN_IF_ERROR(VisitFile(files, file, kReferenceMagic, parameter_count, take));
  return reference;
}

}  // namespace tributary
