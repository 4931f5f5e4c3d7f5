#include "protocol/bundle/receipt.h"

#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/bundle/bundle_format.h"

namespace tributary {
namespace {

constexpr std::string_view kMagic = "TRIBRCPT";
constexpr uint32_t kVersion = 1;
constexpr std::string_view kSigningDomain = "tributary custody receipt v1\n";
constexpr size_t kNameBytes = 64;

Bytes Signed(ByteView body) {
  Bytes message = ToBytes(AsBytes(kSigningDomain));
  Append(message, body);
  return message;
}

// A size, checked against its limit, and then so many bytes.
Result<ByteView> TakeSized(ByteView& from, size_t limit, const char* what) {
  ASSIGN_OR_RETURN(const uint32_t size, TakeU32(from));
  if (size > limit) return Fail(Code::kTooLarge, "{} of {} bytes", what, size);
  return TakeBytes(from, size);
}

Result<Receipt> ParseBody(ByteView body) {
  Receipt receipt;
  ASSIGN_OR_RETURN(const ByteView server, TakeSized(body, kNameBytes, "a server's id"));
  ASSIGN_OR_RETURN(receipt.server, DeviceId::Parse(AsText(server)));
  ASSIGN_OR_RETURN(const uint64_t taken_at, TakeU64(body));
  receipt.taken_at = {static_cast<int64_t>(taken_at)};
  ASSIGN_OR_RETURN(const uint32_t count, TakeU32(body));
  if (count > kReceiptUploads) return Fail(Code::kTooLarge, "a receipt for {} uploads", count);
  if (body.size() != count * UploadId::kSize) return Fail(Code::kMalformed, "a receipt of another length than it says");
  receipt.uploads.reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(const UploadId id, UploadId::FromBytes(body.subspan(i * UploadId::kSize, UploadId::kSize)));
    receipt.uploads.push_back(id);
  }
  return receipt;
}

constexpr std::string_view kSuffix = ".receipt";

// The n of <server>-<n>.receipt; 0 for any other name.
uint64_t NumberOf(std::string_view name, const std::string& server) {
  if (!name.starts_with(server + "-") || !name.ends_with(kSuffix)) return 0;
  name.remove_prefix(server.size() + 1);
  name.remove_suffix(kSuffix.size());
  return ToNumber(name).value_or(0);
}

}  // namespace

Bytes MakeReceipt(const Identity& server, WallTime now, const std::vector<UploadId>& uploads) {
  TRIBUTARY_CHECK(uploads.size() <= kReceiptUploads) << uploads.size();
  Bytes body;
  AppendU32(body, static_cast<uint32_t>(server.subject.id.text().size()));
  Append(body, AsBytes(server.subject.id.text()));
  AppendU64(body, static_cast<uint64_t>(now.unix_millis));
  AppendU32(body, static_cast<uint32_t>(uploads.size()));
  for (const UploadId& id : uploads) Append(body, id.view());

  Bytes receipt = ToBytes(AsBytes(kMagic));
  AppendU32(receipt, kVersion);
  Append(receipt, server.key.Sign(Signed(body)));
  AppendU32(receipt, static_cast<uint32_t>(server.chain.size()));
  for (const Bytes& certificate : server.chain) {
    AppendU32(receipt, static_cast<uint32_t>(certificate.size()));
    Append(receipt, certificate);
  }
  Append(receipt, body);
  return receipt;
}

Result<SignedReceipt> ParseReceipt(ByteView bytes) {
  if (bytes.size() > kReceiptBytes) return Fail(Code::kTooLarge, "a receipt of {} bytes", bytes.size());
  ASSIGN_OR_RETURN(const ByteView magic, TakeBytes(bytes, kMagic.size()));
  if (!std::ranges::equal(magic, AsBytes(kMagic))) return Fail(Code::kMalformed, "not a receipt");
  ASSIGN_OR_RETURN(const uint32_t version, TakeU32(bytes));
  if (version != kVersion) {
    return Fail(Code::kVersionUnsupported, "a receipt of version {}; this program reads version 1", version);
  }
  SignedReceipt parsed;
  ASSIGN_OR_RETURN(const ByteView signature, TakeBytes(bytes, kSignatureBytes));
  parsed.signature = ToBytes(signature);
  ASSIGN_OR_RETURN(const uint32_t certificates, TakeU32(bytes));
  if (certificates > limits::kCertificateChain) {
    return Fail(Code::kTooLarge, "a chain of {} certificates", certificates);
  }
  for (uint32_t i = 0; i < certificates; ++i) {
    ASSIGN_OR_RETURN(const ByteView certificate, TakeSized(bytes, limits::kCertificateBytes, "a certificate"));
    parsed.chain.push_back(ToBytes(certificate));
  }
  ASSIGN_OR_RETURN(parsed.receipt, ParseBody(bytes));
  parsed.body = ToBytes(bytes);
  return parsed;
}

Result<Receipt> VerifyReceipt(ByteView bytes, const TrustAnchor& anchor, WallTime now) {
  ASSIGN_OR_RETURN(SignedReceipt parsed, ParseReceipt(bytes));
  ASSIGN_OR_RETURN(const VerifiedIdentity server, anchor.Verify(parsed.chain, now));
  if (server.subject.role != Role::kAggregator) {
    return Fail(Code::kWrongRole, "{} is a {}; only an aggregator gives receipts", server.subject.id.text(),
                RoleName(server.subject.role));
  }
  if (server.subject.id != parsed.receipt.server) {
    return Fail(Code::kWrongIdentity, "a receipt of {} signed by {}", parsed.receipt.server.text(),
                server.subject.id.text());
  }
  RETURN_IF_ERROR(VerifySignature(server.public_key, Signed(parsed.body), parsed.signature));
  return std::move(parsed.receipt);
}

ReceiptFolder::ReceiptFolder(FileSystem& files, const Path& bundle)
    : files_(files), folder_(bundle / bundle::kReceipts) {}

Status ReceiptFolder::Write(const Identity& server, WallTime now, const std::vector<UploadId>& uploads) {
  RETURN_IF_ERROR(bundle::MakePlainFolder(files_, folder_));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files_.List(folder_));
  uint64_t last = 0;
  for (const std::string& name : names) last = std::max(last, NumberOf(name, server.subject.id.text()));
  const std::string name = fmt::format("{}-{}{}", server.subject.id.text(), last + 1, kSuffix);
  return WriteFileAtomically(files_, folder_ / name, MakeReceipt(server, now, uploads));
}

Result<std::vector<ReceiptFolder::Entry>> ReceiptFolder::ReadAll(const TrustAnchor& anchor, WallTime now) const {
  std::vector<Entry> entries;
  ASSIGN_OR_RETURN(const auto names, OrIfAbsent(files_.List(folder_), {}));
  for (const std::string& name : names) {
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
