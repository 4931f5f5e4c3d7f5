#include "protocol/bundle/receipt.h"

#include <algorithm>

#include "protocol/base/limits.h"

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
  if (size > limit) return Fail(Code::kTooLarge, std::string(what) + " of " + std::to_string(size) + " bytes");
  return TakeBytes(from, size);
}

Result<Receipt> ParseBody(ByteView body) {
  Receipt receipt;
  ASSIGN_OR_RETURN(const ByteView server, TakeSized(body, kNameBytes, "a server's id"));
  ASSIGN_OR_RETURN(receipt.server, DeviceId::Parse(AsText(server)));
  ASSIGN_OR_RETURN(const uint64_t taken_at, TakeU64(body));
  receipt.taken_at = {static_cast<int64_t>(taken_at)};
  ASSIGN_OR_RETURN(const uint32_t count, TakeU32(body));
  if (count > kReceiptUploads) return Fail(Code::kTooLarge, "a receipt for " + std::to_string(count) + " uploads");
  if (body.size() != count * UploadId::kSize) return Fail(Code::kMalformed, "a receipt of another length than it says");
  receipt.uploads.reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(const UploadId id, UploadId::FromBytes(body.subspan(i * UploadId::kSize, UploadId::kSize)));
    receipt.uploads.push_back(id);
  }
  return receipt;
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
  if (bytes.size() > kReceiptBytes)
    return Fail(Code::kTooLarge, "a receipt of " + std::to_string(bytes.size()) + " bytes");
  ASSIGN_OR_RETURN(const ByteView magic, TakeBytes(bytes, kMagic.size()));
  if (!std::ranges::equal(magic, AsBytes(kMagic))) return Fail(Code::kMalformed, "not a receipt");
  ASSIGN_OR_RETURN(const uint32_t version, TakeU32(bytes));
  if (version != kVersion) {
    return Fail(Code::kVersionUnsupported,
                "a receipt of version " + std::to_string(version) + "; this program reads version 1");
  }
  SignedReceipt parsed;
  ASSIGN_OR_RETURN(const ByteView signature, TakeBytes(bytes, kSignatureBytes));
  parsed.signature = ToBytes(signature);
  ASSIGN_OR_RETURN(const uint32_t certificates, TakeU32(bytes));
  if (certificates > limits::kCertificateChain) {
    return Fail(Code::kTooLarge, "a chain of " + std::to_string(certificates) + " certificates");
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
    return Fail(Code::kWrongRole, server.subject.id.text() + " is a " + std::string(RoleName(server.subject.role)) +
                                      "; only an aggregator gives receipts");
  }
  if (server.subject.id != parsed.receipt.server) {
    return Fail(Code::kWrongIdentity,
                "a receipt of " + parsed.receipt.server.text() + " signed by " + server.subject.id.text());
  }
  RETURN_IF_ERROR(VerifySignature(server.public_key, Signed(parsed.body), parsed.signature));
  return std::move(parsed.receipt);
}

}  // namespace tributary
