#include "protocol/bundle/receipt_folder.h"

#include <charconv>

#include "protocol/bundle/bundle_format.h"

namespace tributary {
namespace {

constexpr std::string_view kSuffix = ".receipt";

// The n of <server>-<n>.receipt; 0 for any other name.
uint64_t NumberOf(std::string_view name, const std::string& server) {
  if (!name.starts_with(server + "-") || !name.ends_with(kSuffix)) return 0;
  name.remove_prefix(server.size() + 1);
  name.remove_suffix(kSuffix.size());
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  return error == std::errc() && end == name.data() + name.size() ? number : 0;
}

}  // namespace

ReceiptFolder::ReceiptFolder(FileSystem& files, const Path& bundle)
    : files_(files), folder_(bundle / bundle::kReceipts) {}

Status ReceiptFolder::Write(const Identity& server, WallTime now, const std::vector<UploadId>& uploads) {
  RETURN_IF_ERROR(bundle::MakePlainFolder(files_, folder_));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files_.List(folder_));
  uint64_t last = 0;
  for (const std::string& name : names) last = std::max(last, NumberOf(name, server.subject.id.text()));
  const std::string name = server.subject.id.text() + "-" + std::to_string(last + 1) + std::string(kSuffix);
  return WriteFileAtomically(files_, folder_ / name, MakeReceipt(server, now, uploads));
}

Result<std::vector<ReceiptFolder::Entry>> ReceiptFolder::ReadAll(const TrustAnchor& anchor, WallTime now) const {
  std::vector<Entry> entries;
  const auto names = files_.List(folder_);
  if (!names && names.error().code == Code::kNotFound) return entries;
  if (!names) return Fail(names.error());
  for (const std::string& name : *names) {
    if (!name.ends_with(kSuffix) || !bundle::IsPlainFile(folder_ / name)) continue;
    if (entries.size() >= bundle::kMaxFiles) break;
    auto bytes = ReadFile(files_, folder_ / name, kReceiptBytes);
    if (!bytes) {
      entries.push_back({name, {}, Fail(bytes.error())});
      continue;
    }
    auto receipt = VerifyReceipt(*bytes, anchor, now);
    entries.push_back({name, std::move(*bytes), std::move(receipt)});
  }
  return entries;
}

}  // namespace tributary
