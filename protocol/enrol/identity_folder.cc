#include "protocol/base/limits.h"
#include "protocol/enrol/invitation.h"
#include "protocol/seal/certificate_request.h"
#include "protocol/seal/digest.h"
#include "protocol/seal/hex_secret.h"

// The folder of protocol/seal/identity.h while it has no certificate yet. `request` is written last, so that a folder
// which has one has the keys that it speaks of:
//   request = SHA-256 of what it was made from (32 bytes) || sealed enrolment
namespace tributary {
namespace {

constexpr const char* kCaFile = "ca.pem";
constexpr const char* kRootFile = "root.json";
constexpr const char* kCertificateFile = "cert.pem";
constexpr const char* kKeyFile = "key.pem";
constexpr const char* kCurveFile = "curve.key";
constexpr const char* kRequestFile = "request";
constexpr size_t kCurveKeyBytes = 32;

struct MemberKeys {
  SigningKey key;
  CurveKeyPair curve;
};

bool IsThere(FileSystem& files, const Path& path) { return files.Size(path).has_value(); }

Result<SigningKey> ReadKey(const Path& folder) {
  ASSIGN_OR_RETURN(const SecretBytes pem, ReadSecretFile(folder / kKeyFile));
  return SigningKey::FromPem(pem);
}

Result<CurveKeyPair> ReadCurveKey(const Path& folder) {
  ASSIGN_OR_RETURN(const SecretBytes text, ReadSecretFile(folder / kCurveFile));
  CurveKeyPair pair;
  ASSIGN_OR_RETURN(pair.secret, FromHexLine(text, kCurveKeyBytes));
  ASSIGN_OR_RETURN(pair.public_key, CurvePublicKeyOf(pair.secret));
  return pair;
}

// Those of an attempt that was interrupted, or new ones. Files are made with mode 0600.
Result<MemberKeys> OpenKeys(FileSystem& files, const Path& folder) {
  if (!IsThere(files, folder / kKeyFile)) {
    const SecretBytes pem = SigningKey::Generate().ToPem();
    RETURN_IF_ERROR(WriteFileAtomically(files, folder / kKeyFile, pem.RevealForUse()));
  }
  if (!IsThere(files, folder / kCurveFile)) {
    const SecretBytes line = ToHexLine(GenerateCurveKeyPair().secret);
    RETURN_IF_ERROR(WriteFileAtomically(files, folder / kCurveFile, line.RevealForUse()));
  }
  ASSIGN_OR_RETURN(SigningKey key, ReadKey(folder));
  ASSIGN_OR_RETURN(CurveKeyPair curve, ReadCurveKey(folder));
  return MemberKeys{std::move(key), std::move(curve)};
}

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

Result<TrustAnchor> ReadAnchor(FileSystem& files, const Path& folder) {
  ASSIGN_OR_RETURN(const Bytes pem, ReadFile(files, folder / kCaFile, 2 * limits::kCertificateBytes));
  ASSIGN_OR_RETURN(const Certificate ca, CertificateFromPem(AsText(pem)));
  return TrustAnchor::FromCertificate(ca);
}

}  // namespace

Result<Bytes> BeginIdentity(FileSystem& files, const Path& folder, const Invitation& invitation, const std::string& id,
                            WallTime now) {
  if (IsThere(files, folder / kCertificateFile)) {
    return Fail(Code::kAlreadyExists, folder.string() + " holds an identity already; it was left as it is");
  }
  const Digest origin = OriginOf(invitation, id);
  ASSIGN_OR_RETURN(Bytes kept, KeptRequest(files, folder, origin));
  if (!kept.empty()) return kept;

  RETURN_IF_ERROR(files.CreateFolders(folder));
  RETURN_IF_ERROR(WriteFileAtomically(files, folder / kCaFile, AsBytes(invitation.ca_pem)));
  if (!invitation.root.empty()) RETURN_IF_ERROR(WriteFileAtomically(files, folder / kRootFile, invitation.root));
  RETURN_IF_ERROR(ReadAnchor(files, folder));
  ASSIGN_OR_RETURN(const MemberKeys keys, OpenKeys(files, folder));
  ASSIGN_OR_RETURN(Bytes request, MakeRequest(keys, invitation, id, now));
  Bytes noted = ToBytes(origin.view());
  Append(noted, request);
  RETURN_IF_ERROR(WriteFileAtomically(files, folder / kRequestFile, noted));
  return request;
}

Status CompleteIdentity(FileSystem& files, const Path& folder, const std::vector<Bytes>& chain, WallTime now) {
  if (!IsThere(files, folder / kRequestFile)) {
    return Fail(Code::kMissingData, folder.string() + " has no request: begin with `enrol --invitation FILE`");
  }
  ASSIGN_OR_RETURN(const TrustAnchor anchor, ReadAnchor(files, folder));
  ASSIGN_OR_RETURN(const VerifiedIdentity verified, anchor.Verify(chain, now));
  ASSIGN_OR_RETURN(const SigningKey key, ReadKey(folder));
  ASSIGN_OR_RETURN(const CurveKeyPair curve, ReadCurveKey(folder));
  if (key.public_key() != verified.public_key || curve.public_key != verified.subject.curve_public_key) {
    return Fail(Code::kConflict,
                "the certificate of " + verified.subject.id.text() + " is not for the keys in " + folder.string());
  }
  std::string pem;
  for (const Bytes& certificate : chain) pem += CertificateToPem({certificate});
  RETURN_IF_ERROR(WriteFileAtomically(files, folder / kCertificateFile, AsBytes(pem)));
  return files.Remove(folder / kRequestFile);
}

}  // namespace tributary
