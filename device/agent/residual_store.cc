#include "device/agent/residual_store.h"

#include <algorithm>
#include <optional>

#include "protocol/base/limits.h"
#include "protocol/base/log.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

constexpr std::string_view kMagic = "TRIBRES1";
constexpr std::string_view kEnding = ".residual";
constexpr uint64_t kHeadBytes = 8 + 2 * sizeof(uint64_t);

std::string NameOf(const TaskId& task, ModelVersion version) {
  return fmt::format("{}-{}{}", task.text(), Number(version), kEnding);
}

struct Content {
  uint64_t generation = 0;
  std::vector<float> values;
};

Result<Content> Decode(ByteView bytes) {
  if (bytes.size() < kHeadBytes + Digest::kSize) return Fail(Code::kCorrupt, "it ends after {} bytes", bytes.size());
  const ByteView signed_part = bytes.first(bytes.size() - Digest::kSize);
  if (!std::ranges::equal(Sha256(signed_part).view(), bytes.last(Digest::kSize)))
    return Fail(Code::kCorrupt, "its digest does not fit");
  ByteView rest = signed_part;
  ASSIGN_OR_RETURN(const ByteView magic, TakeBytes(rest, kMagic.size()));
  if (AsText(magic) != kMagic) return Fail(Code::kCorrupt, "it does not begin as a residual");
  Content content;
  ASSIGN_OR_RETURN(content.generation, TakeU64(rest));
  ASSIGN_OR_RETURN(const uint64_t count, TakeU64(rest));
  ASSIGN_OR_RETURN(content.values, ToFloats(rest, count));
  return content;
}

}  // namespace

Result<std::vector<ResidualStore::File>> ResidualStore::All() const {
  ASSIGN_OR_RETURN(const auto names, OrIfAbsent(files_->List(folder_), {}));
  std::vector<File> all;
  for (const std::string& name : names) {
    if (!name.ends_with(kEnding)) continue;
    const std::string_view stem = std::string_view(name).substr(0, name.size() - kEnding.size());
    const size_t dash = stem.rfind('-');
    if (dash == std::string_view::npos) continue;
    const auto task = TaskId::Parse(stem.substr(0, dash));
    const auto version = ToNumber(stem.substr(dash + 1));
    if (task && version) all.push_back({name, *task, ModelVersion{*version}});
  }
  std::ranges::sort(all, {}, &File::version);
  return all;
}

Result<std::vector<float>> ResidualStore::Before(const TaskId& task, ModelVersion base, uint64_t generation,
                                                 uint64_t count) const {
  ASSIGN_OR_RETURN(const auto all, All());
  std::vector<float> zeros(count);
  const File* newest = nullptr;
  for (const File& file : all) {
    if (file.task == task && file.version < base) newest = &file;
  }
  if (newest == nullptr) return zeros;
  const uint64_t limit = kHeadBytes + Digest::kSize + limits::kParameters * sizeof(float);
  const auto bytes = ReadFile(*files_, folder_ / newest->name, limit);
  if (!bytes && bytes.error().code != Code::kTooLarge) return Fail(bytes.error());
  auto content = bytes ? Decode(*bytes) : Fail(bytes.error());
  if (!content) {
    LogFailure(LogLevel::kWarning, "agent.residual_lost", content.error(), {{"file", newest->name}});
    return zeros;
  }
  return content->generation == generation && content->values.size() == count ? std::move(content->values) : zeros;
}

Status ResidualStore::Keep(const TaskId& task, ModelVersion base, uint64_t generation,
                           std::span<const float> values) const {
  RETURN_IF_ERROR(files_->CreateFolders(folder_));
  Bytes bytes;
  bytes.reserve(kHeadBytes + values.size_bytes() + Digest::kSize);
  Append(bytes, AsBytes(kMagic));
  AppendU64(bytes, generation);
  AppendU64(bytes, values.size());
  Append(bytes, AsBytes(values));
  const Digest digest = Sha256(bytes);
  Append(bytes, digest.view());
  RETURN_IF_ERROR(WriteFileAtomically(*files_, folder_ / NameOf(task, base), bytes));
  // This version's update began with the newest file below it; those before are of no use any more.
  ASSIGN_OR_RETURN(const auto all, All());
  const File* began_with = nullptr;
  for (const File& file : all) {
    if (file.task != task || file.version >= base) continue;
    if (began_with != nullptr) RETURN_IF_ERROR(files_->Remove(folder_ / began_with->name));
    began_with = &file;
  }
  return {};
}

Status ResidualStore::RemoveUnfinished() const {
  ASSIGN_OR_RETURN(const auto names, OrIfAbsent(files_->List(folder_), {}));
  for (const std::string& name : names) {
    if (!name.ends_with(kEnding)) RETURN_IF_ERROR(files_->Remove(folder_ / name));
  }
  return {};
}

bool ResidualStore::empty() const {
  const auto all = All();
  return all && all->empty();
}

Result<uint64_t> ResidualStore::GenerationOf(const File& file) const {
  ASSIGN_OR_RETURN(const Bytes head, files_->ReadAt(folder_ / file.name, kMagic.size(), sizeof(uint64_t)));
  ByteView view = head;
  return TakeU64(view);
}

Status ResidualStore::Sweep(const std::vector<std::pair<TaskId, uint64_t>>& kept) const {
  const auto names = files_->List(folder_);
  if (!names && names.error().code == Code::kNotFound) return {};
  ASSIGN_OR_RETURN(const auto all, All());
  for (const File& file : all) {
    const auto task = std::ranges::find(kept, file.task, &std::pair<TaskId, uint64_t>::first);
    const auto generation = GenerationOf(file);
    if (task != kept.end() && generation && *generation == task->second) continue;
    LogInfo("agent.residual_erased", {{"file", file.name}});
    RETURN_IF_ERROR(files_->Remove(folder_ / file.name));
  }
  return files_->SyncFolder(folder_);
}

}  // namespace tributary
