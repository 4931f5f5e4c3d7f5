#include "aggregator/sum/checkpoint.h"

#include <algorithm>

#include "protocol/base/fault_point.h"
#include "protocol/base/limits.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

constexpr uint64_t kDigestBytes = Digest::kSize;
// 8 bytes per parameter, and the head of the serialised sum.
constexpr uint64_t kCheckpointBytes = 8 * limits::kParameters + limits::kKiB;

// Written in two steps rather than appended to `bytes`, which could double the memory of a large sum.
Status WriteDurably(FileSystem& files, const Path& path, ByteView bytes, const Digest& digest) {
  ASSIGN_OR_RETURN(const auto file, files.OpenForWrite(path));
  RETURN_IF_ERROR(file->WriteAt(0, bytes));
  RETURN_IF_ERROR(file->WriteAt(bytes.size(), digest.view()));
  TRIBUTARY_FAULT_POINT("aggregator.checkpoint.written");
  RETURN_IF_ERROR(file->Sync());
  TRIBUTARY_FAULT_POINT("aggregator.checkpoint.synced");
  return {};
}

}  // namespace

Status WriteCheckpoint(FileSystem& files, const Path& path, const WeightedSum& sum) {
  const Bytes bytes = sum.Serialize();
  const Path beside = path.string() + ".new";
  RETURN_IF_ERROR(files.Remove(beside));
  if (auto written = WriteDurably(files, beside, bytes, Sha256(bytes)); !written) {
    (void)files.Remove(beside);  // a disk that is full needs the room for its database
    return written;
  }
  RETURN_IF_ERROR(files.Rename(beside, path));
  TRIBUTARY_FAULT_POINT("aggregator.checkpoint.renamed");
  return files.SyncFolder(path.parent_path());
}

Result<WeightedSum> ReadCheckpoint(FileSystem& files, const Path& path) {
  const auto corrupt = [&](uint64_t size, const std::string& why) {
    return Fail(Code::kCorrupt, path.string() + ", " + std::to_string(size) + " bytes: " + why);
  };
  ASSIGN_OR_RETURN(const uint64_t size, files.Size(path));
  if (size < kDigestBytes || size > kCheckpointBytes) return corrupt(size, "not the size of a checkpoint");
  ASSIGN_OR_RETURN(const Bytes bytes, files.ReadAt(path, 0, size));
  const auto content = ByteView(bytes).first(size - kDigestBytes);
  if (!std::ranges::equal(Sha256(content).view(), ByteView(bytes).last(kDigestBytes))) {
    return corrupt(size, "its digest does not fit");
  }
  auto sum = WeightedSum::Deserialize(content);
  if (!sum) return corrupt(size, sum.error().message);
  return sum;
}

}  // namespace tributary
