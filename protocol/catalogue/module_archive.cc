#include "protocol/catalogue/module_archive.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "protocol/base/limits.h"
#include "protocol/catalogue/module_code.h"
#include "protocol/catalogue/module_pickle.h"
#include "protocol/catalogue/zip_records.h"
#include "protocol/plan/task_manifest.h"

namespace tributary {
namespace {

using limits::kMiB;
constexpr size_t kRecords = 4096;
// A transformer has 0.1 MiB of code. Where its lines stood in Python takes about twice as much.
constexpr uint64_t kCodeBytes = kMiB, kDebugBytes = 8 * kMiB, kPickleBytes = 16 * kMiB, kVersionBytes = 16;
// caffe2/serialize/versions.h of PyTorch 1.13: kMinSupportedFileFormatVersion to kMaxSupportedFileFormatVersion.
constexpr int kOldestFormat = 1, kNewestFormat = 10;

using Records = std::map<std::string, ZipRecord, std::less<>>;

tl::unexpected<Error> NotTorchScript(std::string_view what) {
  return Fail(Code::kInvalidArgument,
              "not a TorchScript file: {}. Write one in Python with torch.jit.script(model).save(\"model.pt\")", what);
}

Result<Records> ReadRecords(ByteView archive) {
  if (archive.size() > limits::kBlobBytes) {
    return Fail(Code::kTooLarge, "a model file of {} bytes; the limit is {}", archive.size(), limits::kBlobBytes);
  }
  // A pickle that torch.save wrote before it wrote zip archives.
  if (AsText(archive).starts_with("\x80\x02")) {
    return NotTorchScript("it holds what torch.save wrote, a pickled module or a state_dict");
  }
  auto list = ReadZipRecords(archive, kRecords);
  if (!list && list.error().code == Code::kMalformed) return NotTorchScript("it is " + list.error().message);
  if (!list) return Fail(list.error());
  Records records;
  uint64_t size = 0;
  for (ZipRecord& record : *list) {
    size += record.size;
    // Tensors are stored as they are, so that only text can unpack to more than it is.
    if (record.deflated && !record.name.starts_with("code/") && !record.name.starts_with("extra/")) {
      return Fail(
          Code::kModelRefused,
          "record {} of the archive is compressed, which torch.jit.save does with code only; nothing was loaded. "
          "Save the model again with torch.jit.script(model).save(\"model.pt\"), and do not zip it anew",
          record.name);
    }
    std::string name = record.name;
    records.emplace(std::move(name), std::move(record));
  }
  if (size > limits::kBlobBytes) {
    return Fail(Code::kTooLarge, "the archive's records have {} bytes; the limit is {}", size, limits::kBlobBytes);
  }
  return records;
}

Status CheckVersion(const ZipRecord& record) {
  ASSIGN_OR_RETURN(const std::string text, Unpack(record, kVersionBytes));
  const std::string_view digits = std::string_view(text).substr(0, text.find('\n'));
  int version = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), version);
  if (error != std::errc() || end != digits.data() + digits.size() || version < kOldestFormat) {
    return NotTorchScript("its version record holds no number");
  }
  if (version <= kNewestFormat) return {};
  return Fail(
      Code::kModelRefused,
      "the file is written by a newer PyTorch (format {}; this one reads up to {}); nothing was loaded. Save it with "
      "PyTorch 1.13, for example Debian's python3-torch",
      version, kNewestFormat);
}

// Which kind of file it is, by the records that it has.
Status CheckKind(const Records& records) {
  if (records.contains("model.json")) {
    return Fail(
        Code::kModelRefused,
        "the file has the format of PyTorch before 1.1 (model.json); nothing was loaded. Load it there and save it "
        "again with PyTorch 1.13");
  }
  const auto in_folder = [&](std::string_view folder) {
    const auto first = records.lower_bound(folder);
    return first != records.end() && first->first.starts_with(folder);
  };
  const auto version = records.find(records.contains(".data/version") ? ".data/version" : "version");
  if (version == records.end()) return NotTorchScript("it has no version record");
  if (!records.contains("data.pkl")) return NotTorchScript("it has no data.pkl");
  if (!records.contains("constants.pkl") || !in_folder("code/")) {
    return NotTorchScript("it holds what torch.save wrote, a pickled module or a state_dict");
  }
  return CheckVersion(version->second);
}

Status CheckPickle(const Records& records, const std::string& name, uint64_t limit) {
  ASSIGN_OR_RETURN(const std::string program, Unpack(records.at(name), limit));
  const std::string folder = name.substr(0, name.rfind('.')) + "/";
  return CheckModulePickle(name, program, [&](std::string_view key) -> std::optional<uint64_t> {
    const auto found = records.find(folder + std::string(key));
    return found == records.end() ? std::nullopt : std::optional(found->second.size);
  });
}

}  // namespace

Status CheckModuleArchive(ByteView archive) {
  ASSIGN_OR_RETURN(const Records records, ReadRecords(archive));
  RETURN_IF_ERROR(CheckKind(records));
  RETURN_IF_ERROR(CheckPickle(records, "constants.pkl", kPickleBytes));
  RETURN_IF_ERROR(CheckPickle(records, "data.pkl", kPickleBytes));
  uint64_t code = kCodeBytes, debug = kDebugBytes;
  for (auto at = records.lower_bound("code/"); at != records.end() && at->first.starts_with("code/"); ++at) {
    const auto& [name, record] = *at;
    if (name.ends_with(".debug_pkl")) {
      RETURN_IF_ERROR(CheckPickle(records, name, debug));
      debug -= record.size;
    } else {
      ASSIGN_OR_RETURN(const std::string text, Unpack(record, code));
      code -= record.size;
      RETURN_IF_ERROR(CheckModuleCode(name, text));
    }
  }
  return {};
}

Status CheckModuleOf(const TaskManifest& manifest, ByteView module) {
  if (manifest.module == ModuleFormat::kTorchScript) return CheckModuleArchive(module);
  if (AsText(module) == kNoModule) return {};
  return Fail(Code::kInvalidArgument, R"({} says "module": "none"; then the module's file must hold this one line: {})",
              kManifestFile, kNoModule.substr(0, kNoModule.size() - 1));
}

Result<bool> HasMethod(ByteView archive, std::string_view method) {
  ASSIGN_OR_RETURN(const Records records, ReadRecords(archive));
  RETURN_IF_ERROR(CheckKind(records));
  ASSIGN_OR_RETURN(const std::string program, Unpack(records.at("data.pkl"), kPickleBytes));
  // The pickle begins with the module's class, as its methods' code names it: GLOBAL "__torch__" "Forecast".
  const size_t end_of_file = program.find('\n'), end_of_name = program.find('\n', end_of_file + 1);
  if (!program.starts_with("\x80\x02"
                           "c") ||
      end_of_name == std::string::npos)
    return false;
  std::string self = ": " + program.substr(3, end_of_name - 3);
  self[self.find('\n')] = '.';
  const std::string head = fmt::format("def {}(", method);
  for (const auto& [name, record] : records) {
    if (!name.starts_with("code/") || !name.ends_with(".py")) continue;
    ASSIGN_OR_RETURN(const std::string text, Unpack(record, kCodeBytes));
    for (size_t at = text.find(head); at != std::string::npos; at = text.find(head, at + 1)) {
      const std::string_view first = std::string_view(text).substr(at, text.find_first_of(",)", at) - at);
      if (first.ends_with(self)) return true;
    }
  }
  return false;
}

Result<std::string> ManifestTextIn(ByteView archive) {
  ASSIGN_OR_RETURN(const Records records, ReadRecords(archive));
  const auto found = records.find("extra/" + std::string(kManifestFile));
  if (found == records.end()) return std::string();
  return Unpack(found->second, kManifestBytes);
}

}  // namespace tributary
