#include "protocol/seal/identity.h"

#include <utility>

#include "protocol/base/limits.h"
#include "protocol/seal/hpke.h"

namespace tributary {
namespace {

constexpr const char* kCaFile = "ca.pem";
constexpr const char* kCertificateFile = "cert.pem";
constexpr const char* kKeyFile = "key.pem";
constexpr const char* kCurveFile = "curve.key";
constexpr uint64_t kPemFileBytes = 2 * limits::kCertificateBytes * limits::kCertificateChain;

tl::unexpected<Error> NameMissing(Error error, const Path& path) {
  if (error.code != Code::kNotFound) return Fail(std::move(error));
  return Fail(Code::kMissingData, "the identity folder has no " + path.string());
}

Result<std::string> ReadPem(const Path& path) {
  auto bytes = ReadFile(RealFileSystem(), path, kPemFileBytes);
  if (!bytes) return NameMissing(std::move(bytes).error(), path);
  return std::string(AsText(*bytes));
}

Result<SecretBytes> ReadSecret(const Path& path) {
  auto secret = ReadSecretFile(path);
  if (!secret) return NameMissing(std::move(secret).error(), path);
  return secret;
}

tl::unexpected<Error> InFile(Error error, const Path& path) {
  return Fail(error.code, path.string() + ": " + error.message);
}

Result<SecretBytes> ReadCurveSecret(const Path& path) {
  ASSIGN_OR_RETURN(const SecretBytes text, ReadSecret(path));
  std::string_view hex = AsText(text.RevealForUse());
  while (!hex.empty() && (hex.back() == '\n' || hex.back() == '\r' || hex.back() == ' ')) hex.remove_suffix(1);
  auto bytes = FromHex(hex);
  if (!bytes) return InFile(std::move(bytes).error(), path);
  SecretBytes secret(std::move(*bytes));
  if (secret.size() != 32) {
    return Fail(Code::kMalformed, path.string() + ": a CURVE key is 32 bytes, not " + std::to_string(secret.size()));
  }
  return secret;
}

Result<TrustAnchor> ReadAnchor(const Path& path) {
  ASSIGN_OR_RETURN(const std::string pem, ReadPem(path));
  auto certificate = CertificateFromPem(pem);
  if (!certificate) return InFile(std::move(certificate).error(), path);
  auto anchor = TrustAnchor::FromCertificate(*certificate);
  if (!anchor) return InFile(std::move(anchor).error(), path);
  return anchor;
}

Result<std::vector<Bytes>> ReadChain(const Path& path) {
  ASSIGN_OR_RETURN(const std::string pem, ReadPem(path));
  auto certificates = CertificatesFromPem(pem);
  if (!certificates) return InFile(std::move(certificates).error(), path);
  std::vector<Bytes> chain;
  for (auto& certificate : *certificates) chain.push_back(std::move(certificate.der));
  return chain;
}

Result<SecretBytes> ReadMatchingCurveSecret(const Path& path, const Subject& subject) {
  if (subject.curve_public_key.empty()) return SecretBytes();  // a publisher never connects
  ASSIGN_OR_RETURN(SecretBytes secret, ReadCurveSecret(path));
  ASSIGN_OR_RETURN(const Bytes public_key, CurvePublicKeyOf(secret));
  if (public_key != subject.curve_public_key) {
    return Fail(Code::kConflict, path.string() + " is not the key in the certificate of " + subject.id.text());
  }
  return secret;
}

SecretBytes HexLine(const SecretBytes& secret) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  SecretBytes line(2 * secret.size() + 1);
  MutableByteView out = line.RevealForFilling();
  for (size_t i = 0; i < secret.size(); ++i) {
    const uint8_t byte = secret.RevealForUse()[i];
    out[2 * i] = static_cast<uint8_t>(kDigits[byte >> 4]);
    out[2 * i + 1] = static_cast<uint8_t>(kDigits[byte & 15]);
  }
  out.back() = '\n';
  return line;
}

}  // namespace

Result<Identity> LoadIdentity(const Path& folder, WallTime now) {
  ASSIGN_OR_RETURN(TrustAnchor anchor, ReadAnchor(folder / kCaFile));
  ASSIGN_OR_RETURN(std::vector<Bytes> chain, ReadChain(folder / kCertificateFile));
  ASSIGN_OR_RETURN(const SecretBytes pem, ReadSecret(folder / kKeyFile));
  auto key = SigningKey::FromPem(pem);
  if (!key) return InFile(std::move(key).error(), folder / kKeyFile);

  auto verified = anchor.Verify(chain, now);
  if (!verified) return InFile(std::move(verified).error(), folder / kCertificateFile);
  if (key->public_key() != verified->public_key) {
    return Fail(Code::kConflict,
                (folder / kKeyFile).string() + " is not the key in the certificate of " + verified->subject.id.text());
  }
  ASSIGN_OR_RETURN(SecretBytes curve_secret, ReadMatchingCurveSecret(folder / kCurveFile, verified->subject));
  return Identity{std::move(verified->subject), std::move(anchor), std::move(chain), std::move(*key),
                  std::move(curve_secret)};
}

Result<Identity> LoadIdentityAs(Role role, const Path& folder, WallTime now) {
  ASSIGN_OR_RETURN(Identity identity, LoadIdentity(folder, now));
  if (identity.subject.role != role) {
    return Fail(Code::kWrongRole, folder.string() + " is the identity of a " +
                                      std::string(RoleName(identity.subject.role)) + ", that of a " +
                                      std::string(RoleName(role)) + " is needed");
  }
  return identity;
}

Status IssueIdentity(const CertificateAuthority& authority, Subject subject, const Path& folder, WallTime now,
                     Millis lifetime) {
  FileSystem& files = RealFileSystem();
  // The certificate is written last: a folder without one holds what an interrupted attempt left, and is filled anew.
  if (const auto size = files.Size(folder / kCertificateFile); size) {
    return Fail(Code::kAlreadyExists, folder.string() + " holds an identity already");
  } else if (size.error().code != Code::kNotFound) {
    return Fail(size.error());
  }
  const SigningKey key = SigningKey::Generate();
  CurveKeyPair curve;
  if (subject.role != Role::kPublisher) curve = GenerateCurveKeyPair();
  subject.curve_public_key = curve.public_key;
  ASSIGN_OR_RETURN(const Certificate certificate, authority.Issue(subject, key.public_key(), now, lifetime));

  RETURN_IF_ERROR(files.CreateFolders(folder));
  RETURN_IF_ERROR(WriteSecretFile(folder / kKeyFile, key.ToPem()));
  if (!curve.secret.empty()) RETURN_IF_ERROR(WriteSecretFile(folder / kCurveFile, HexLine(curve.secret)));
  RETURN_IF_ERROR(WriteFileAtomically(files, folder / kCaFile, AsBytes(CertificateToPem(authority.certificate()))));
  return WriteFileAtomically(files, folder / kCertificateFile, AsBytes(CertificateToPem(certificate)));
}

CurveKeyPair GenerateCurveKeyPair() {
  HpkeKeyPair pair = GenerateHpkeKeyPair();
  return {std::move(pair.secret), std::move(pair.public_key)};
}

Result<Bytes> CurvePublicKeyOf(const SecretBytes& secret) {
  ASSIGN_OR_RETURN(HpkeKeyPair pair, HpkeKeyPairFromSecret(SecretBytes::CopyOf(secret.RevealForUse())));
  return std::move(pair.public_key);
}

}  // namespace tributary
