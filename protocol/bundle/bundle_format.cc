#include "protocol/bundle/bundle_format.h"

#include <algorithm>
#include <filesystem>

#include "protocol/base/limits.h"

namespace tributary::bundle {
namespace {

constexpr std::string_view kMagic = "TRIBUPLD";
constexpr uint32_t kVersion = 1;
constexpr std::string_view kUploadSuffix = ".upload";

}  // namespace

Bytes UploadHead(uint32_t envelope_size) {
  Bytes head = ToBytes(AsBytes(kMagic));
  AppendU32(head, kVersion);
  AppendU32(head, envelope_size);
  return head;
}

Result<uint32_t> ParseUploadHead(ByteView head) {
  ASSIGN_OR_RETURN(const ByteView magic, TakeBytes(head, kMagic.size()));
  if (!std::ranges::equal(magic, AsBytes(kMagic))) return Fail(Code::kMalformed, "not an upload of a bundle");
  ASSIGN_OR_RETURN(const uint32_t version, TakeU32(head));
  if (version != kVersion) {
    return Fail(Code::kVersionUnsupported, "an upload of bundle version {}; this program reads version 1", version);
  }
  ASSIGN_OR_RETURN(const uint32_t size, TakeU32(head));
  if (size == 0) return Fail(Code::kMalformed, "an upload without an envelope");
  if (size > limits::kEnvelopeBytes) return Fail(Code::kTooLarge, "an envelope of {} bytes", size);
  return size;
}

std::string UploadName(const UploadId& id) { return id.hex() + std::string(kUploadSuffix); }

std::optional<UploadId> UploadOfName(std::string_view name) {
  if (!name.ends_with(kUploadSuffix)) return std::nullopt;
  const auto id = UploadId::FromHex(name.substr(0, name.size() - kUploadSuffix.size()));
  // One name for each upload: upper-case digits are somebody else's.
  if (!id || UploadName(*id) != name) return std::nullopt;
  return *id;
}

bool IsPlainFile(const Path& path) {
  std::error_code error;
  return std::filesystem::symlink_status(path, error).type() == std::filesystem::file_type::regular;
}

Status MakePlainFolder(FileSystem& files, const Path& folder) {
  std::error_code error;
  const auto type = std::filesystem::symlink_status(folder, error).type();
  if (type == std::filesystem::file_type::directory) return {};
  if (type != std::filesystem::file_type::not_found) {
    return Fail(Code::kForbidden, "{} is not a folder; it is left alone, and nothing is written there",
                folder.string());
  }
  return files.CreateFolders(folder);
}

}  // namespace tributary::bundle
