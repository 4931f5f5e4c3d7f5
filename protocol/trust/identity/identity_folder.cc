#include "protocol/base/limits.h"
#include "protocol/trust/identity/invitation.h"
#include "protocol/trust/identity/certificate_request.h"
#include "protocol/trust/seal/digest.h"

// The folder of protocol/trust/identity/identity.h while it has no certificate yet. `request` is written last, so that a folder
// which has one has the keys that it speaks of:
//   request = SHA-256 of what it was made from (32 bytes) || sealed enrolment
namespace tributary {
namespace {

constexpr const char* kCertificateFile = "cert.pem";
constexpr const char* kRequestFile = "request";

// The token is in it, so a new invitation makes another request.
Digest OriginOf(const Invitation& invitation, const std::string& id) {
  Sha256Stream digest;
  digest.Update(EncodeInvitation(invitation));
  digest.Update(AsBytes(id));
  return std::move(digest).Finish();
}

// The request that was made from the same before; empty when there is none.
Result<Bytes> KeptRequest(FileSystem& files, const Path& folder, const Digest& origin) {
  auto kept = ReadFile(files, folder / kRequestFile, Digest::kSize + limits::kEnrolmentBytes);
  if (!kept && kept.error().code == Code::kNotFound) return Bytes();
  if (!kept) return Fail(kept.error());
  if (kept->size() <= Digest::kSize || Digest::FromBytes(ByteView(*kept).first(Digest::kSize)) != origin) {
    return Bytes();
  }
  return ToBytes(ByteView(*kept).subspan(Digest::kSize));
}

Result<Bytes> MakeRequest(const MemberKeys& keys, const Invitation& invitation, const std::string& id, WallTime now) {
  std::optional<DeviceId> wanted;
  if (!id.empty()) {
    ASSIGN_OR_RETURN(wanted, DeviceId::Parse(id));
  }
  EnrolmentRequest request;
  ASSIGN_OR_RETURN(request.certificate_request, MakeCertificateRequest(keys.key, wanted, keys.curve.public_key));
  request.created = now;
  request.authority = SecretBytes::CopyOf(invitation.token.RevealForUse());
  return SealEnrolment(request, invitation.target);
}

}  // namespace

Result<Bytes> BeginIdentity(FileSystem& files, const Path& folder, const Invitation& invitation, const std::string& id,
                            WallTime now) {
  if (files.Size(folder / kCertificateFile)) {
    return Fail(Code::kAlreadyExists, folder.string() + " holds an identity already; it was left as it is");
  }
  const Digest origin = OriginOf(invitation, id);
  ASSIGN_OR_RETURN(Bytes kept, KeptRequest(files, folder, origin));
  if (!kept.empty()) return kept;

  ASSIGN_OR_RETURN(const Certificate ca, CertificateFromPem(invitation.ca_pem));
  RETURN_IF_ERROR(TrustAnchor::FromCertificate(ca));
  ASSIGN_OR_RETURN(const MemberKeys keys, PrepareIdentity(folder, ca, invitation.root));
  ASSIGN_OR_RETURN(Bytes request, MakeRequest(keys, invitation, id, now));
  Bytes noted = ToBytes(origin.view());
  Append(noted, request);
  RETURN_IF_ERROR(WriteFileAtomically(files, folder / kRequestFile, noted));
  return request;
}

Status CompleteIdentity(FileSystem& files, const Path& folder, const std::vector<Bytes>& chain, WallTime now) {
  if (!files.Size(folder / kRequestFile)) {
    return Fail(Code::kMissingData, folder.string() + " has no request: begin with `enrol --invitation FILE`");
  }
  RETURN_IF_ERROR(SaveCertificate(files, folder, chain, now));
  return files.Remove(folder / kRequestFile);
}

}  // namespace tributary
