#include "device/agent/personal_store.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "protocol/base/fault_point.h"
#include "protocol/base/log.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

constexpr std::string_view kInForce = ".model";
constexpr std::string_view kPrepared = ".next";
constexpr std::string_view kDamaged = ".damaged";
constexpr std::string_view kUnfinished = ".new";  // of Write

std::string FileName(const TaskId& task, ModelVersion version, std::string_view ending) {
  return fmt::format("{}.{}{}", task.text(), Number(version), ending);
}

struct NameParts {
  std::string_view task;
  ModelVersion version{};
  std::string_view ending;
};

std::optional<NameParts> Split(std::string_view name) {
  const size_t end = name.rfind('.');
  if (end == std::string_view::npos || end == 0) return std::nullopt;
  const size_t number = name.rfind('.', end - 1);
  if (number == std::string_view::npos) return std::nullopt;
  uint64_t version = 0;
  const auto [stop, error] = std::from_chars(name.data() + number + 1, name.data() + end, version);
  if (error != std::errc() || stop != name.data() + end) return std::nullopt;
  return NameParts{name.substr(0, number), ModelVersion{version}, name.substr(end)};
}

// Also "fashion.7.model.damaged", and what a write that was cut off has left.
bool IsOf(std::string_view name, const TaskId& task) {
  for (const std::string_view more : {kDamaged, kUnfinished}) {
    if (name.ends_with(more)) name.remove_suffix(more.size());
  }
  const auto parts = Split(name);
  return parts && parts->task == task.text() && (parts->ending == kInForce || parts->ending == kPrepared);
}

Bytes WithDigest(const PersonalModel& model) {
  Bytes bytes = EncodePersonalModel(model);
  const Digest digest = Sha256(bytes);
  Append(bytes, digest.view());
  return bytes;
}

Status WriteSynced(FileSystem& files, const Path& path, const PersonalModel& model) {
  ASSIGN_OR_RETURN(const auto file, files.OpenForWrite(path));
  TRIBUTARY_FAULT_POINT("personal.opened");
  RETURN_IF_ERROR(file->WriteAt(0, WithDigest(model)));
  TRIBUTARY_FAULT_POINT("personal.written");
  return file->Sync();
}

// As WriteFileAtomically, with points between its steps.
Status Write(FileSystem& files, const Path& path, const PersonalModel& model) {
  const Path beside = path.string() + std::string(kUnfinished);
  RETURN_IF_ERROR(files.Remove(beside));
  Status written = WriteSynced(files, beside, model);
  if (written) written = files.Rename(beside, path);
  if (!written) {
    (void)files.Remove(beside);  // a disk that is full needs the room
    return written;
  }
  return files.SyncFolder(path.parent_path());
}

Result<PersonalModel> FromFile(ByteView bytes) {
  if (bytes.size() < Digest::kSize) return Fail(Code::kCorrupt, "the personal model is cut off");
  const ByteView content = bytes.first(bytes.size() - Digest::kSize);
  const Digest digest = Sha256(content);
  if (!std::ranges::equal(digest.view(), bytes.subspan(content.size())))
    return Fail(Code::kCorrupt, "the personal model's {} bytes are not those that were written", content.size());
  return DecodePersonalModel(content);
}

}  // namespace

Result<std::map<TaskId, ModelVersion>> PersonalStore::Bases() const {
  ASSIGN_OR_RETURN(const auto names, OrIfAbsent(files_.List(folder_), {}));
  std::map<TaskId, ModelVersion> bases;
  for (const std::string& name : names) {
    const auto parts = Split(name);
    if (!parts || parts->ending != kInForce) continue;
    const auto task = TaskId::Parse(parts->task);
    // A kill between writing and removing leaves two: the newer one is in force.
    if (task) bases[*task] = std::max(bases[*task], parts->version);
  }
  return bases;
}

Result<std::optional<PersonalModel>> PersonalStore::Load(const TaskId& task) const {
  ASSIGN_OR_RETURN(const auto bases, Bases());
  const auto found = bases.find(task);
  if (found == bases.end()) return std::nullopt;
  auto model = Read(task, found->second);
  if (model) return std::optional(std::move(*model));
  if (model.error().code != Code::kCorrupt) return Fail(model.error());
  LogFailure(LogLevel::kError, "personal.damaged", model.error(), {{"task", task.text()}});
  const Path file = folder_ / FileName(task, found->second, kInForce);
  RETURN_IF_ERROR(files_.Rename(file, Path(file.string() + std::string(kDamaged))));
  return std::nullopt;
}

Result<PersonalModel> PersonalStore::Read(const TaskId& task, ModelVersion version) const {
  const auto bytes = ReadFile(files_, folder_ / FileName(task, version, kInForce), kPersonalModelBytes);
  if (!bytes && bytes.error().code == Code::kTooLarge) return Fail(Code::kCorrupt, "{}", bytes.error().message);
  if (!bytes) return Fail(bytes.error());
  ASSIGN_OR_RETURN(PersonalModel model, FromFile(*bytes));
  if (model.task != task || model.base != version) return Fail(Code::kCorrupt, "the personal model is another one's");
  return model;
}

Status PersonalStore::Prepare(const PersonalModel& model) const {
  RETURN_IF_ERROR(files_.CreateFolders(folder_));
  RETURN_IF_ERROR(Write(files_, folder_ / FileName(model.task, model.base, kPrepared), model));
  TRIBUTARY_FAULT_POINT("personal.prepared");
  return {};
}

Status PersonalStore::Adopt(const TaskId& task, ModelVersion version) const {
  const std::string name = FileName(task, version, kInForce);
  const Status renamed = files_.Rename(folder_ / FileName(task, version, kPrepared), folder_ / name);
  if (renamed) {
    TRIBUTARY_FAULT_POINT("personal.renamed");
    return RemoveAllBut(task, name);  // also one on a later version, of a former fleet
  }
  if (renamed.error().code != Code::kNotFound) return renamed;
  ASSIGN_OR_RETURN(const auto bases, Bases());
  const auto found = bases.find(task);
  return RemoveAllBut(task, found == bases.end() ? "" : FileName(task, found->second, kInForce));
}

Status PersonalStore::Replace(const PersonalModel& model) const {
  RETURN_IF_ERROR(files_.CreateFolders(folder_));
  const std::string name = FileName(model.task, model.base, kInForce);
  RETURN_IF_ERROR(Write(files_, folder_ / name, model));
  TRIBUTARY_FAULT_POINT("personal.rebased");
  return RemoveAllBut(model.task, name);
}

Status PersonalStore::Erase(const TaskId& task) const { return RemoveAllBut(task, ""); }

Status PersonalStore::RemoveAllBut(const TaskId& task, const std::string& kept) const {
  ASSIGN_OR_RETURN(const auto names, OrIfAbsent(files_.List(folder_), {}));
  if (names.empty()) return {};
  for (const std::string& name : names) {
    if (name == kept || !IsOf(name, task)) continue;
    RETURN_IF_ERROR(files_.Remove(folder_ / name));
    TRIBUTARY_FAULT_POINT("personal.removed");
  }
  return files_.SyncFolder(folder_);
}

}  // namespace tributary
