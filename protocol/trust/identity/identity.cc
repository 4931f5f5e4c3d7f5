#include "protocol/trust/identity/identity.h"

#include <utility>

#include "protocol/base/limits.h"

namespace tributary {
namespace {

constexpr const char* kCaFile = "ca.pem";
constexpr const char* kPublicationRootFile = "root.json";
constexpr const char* kCaKeyFile = "ca.key";
constexpr const char* kIssuerFile = "issuer.pem";
constexpr const char* kIssuerKeyFile = "issuer.key";
constexpr const char* kKeyFile = "key.pem";
constexpr const char* kCurveFile = "curve.key";

constexpr uint64_t kPemFileBytes = 2 * limits::kCertificateBytes * limits::kCertificateChain;

template <class T>
Result<T> NameMissing(Result<T> read, const Path& path) {
  if (read || read.error().code != Code::kNotFound) return read;
  return Fail(Code::kMissingData, "the identity folder {} has no {}; if this is a new member, it enrols first (--help says how)", path.parent_path().string(),
              path.filename().string());
}

bool Exists(const Path& path) { return RealFileSystem().Size(path).has_value(); }

Result<std::string> ReadPem(const Path& path) {
  ASSIGN_OR_RETURN(const Bytes bytes, NameMissing(ReadFile(RealFileSystem(), path, kPemFileBytes), path));
  return std::string(AsText(bytes));
}

Result<SecretBytes> ReadSecret(const Path& path) { return NameMissing(ReadSecretFile(path), path); }

Status WriteAnchor(FileSystem& files, const Path& folder, const Certificate& ca, ByteView publication_root) {
  if (!publication_root.empty()) {
    RETURN_IF_ERROR(WriteFileAtomically(files, folder / kPublicationRootFile, publication_root));
  }
  return WriteFileAtomically(files, folder / kCaFile, AsBytes(CertificateToPem(ca)));
}

Result<SecretBytes> ReadCurveSecret(const Path& path) {
  ASSIGN_OR_RETURN(const SecretBytes text, ReadSecret(path));
  return InFile(FromHexLine(text, kCurveKeyBytes), path);
}

Result<TrustAnchor> ReadAnchor(const Path& folder) {
  const Path path = folder / kCaFile;
  ASSIGN_OR_RETURN(const std::string pem, ReadPem(path));
  ASSIGN_OR_RETURN(const Certificate certificate, InFile(CertificateFromPem(pem), path));
  ASSIGN_OR_RETURN(Bytes publication_root, ReadPublicationRoot(folder));
  return InFile(TrustAnchor::FromCertificate(certificate, std::move(publication_root)), path);
}

Result<std::vector<Bytes>> ReadChain(const Path& path) {
  ASSIGN_OR_RETURN(const std::string pem, ReadPem(path));
  ASSIGN_OR_RETURN(auto certificates, InFile(CertificatesFromPem(pem), path));
  std::vector<Bytes> chain;
  for (Certificate& certificate : certificates) chain.push_back(std::move(certificate.der));
  return chain;
}

Result<SigningKey> ReadKey(const Path& path) {
  ASSIGN_OR_RETURN(const SecretBytes pem, ReadSecret(path));
  return InFile(SigningKey::FromPem(pem), path);
}

// The identity that the folder's keys make with `chain`.
Result<Identity> LoadWith(TrustAnchor anchor, std::vector<Bytes> chain, const Path& folder, WallTime now) {
  ASSIGN_OR_RETURN(SigningKey key, ReadKey(folder / kKeyFile));
  ASSIGN_OR_RETURN(VerifiedIdentity verified, InFile(anchor.Verify(chain, now), folder / kCertificateFile));
  const auto fail_key = [&](const char* file) {
    return Fail(Code::kConflict, "{} is not the key in the certificate of {}", (folder / file).string(),
                verified.subject.id.text());
  };
  if (key.public_key() != verified.public_key) return fail_key(kKeyFile);
  ASSIGN_OR_RETURN(SecretBytes curve_secret, ReadCurveSecret(folder / kCurveFile));
  ASSIGN_OR_RETURN(const Bytes curve_public_key, CurvePublicKeyOf(curve_secret));
  if (curve_public_key != verified.subject.curve_public_key) return fail_key(kCurveFile);
  return Identity{std::move(verified.subject), std::move(anchor), std::move(chain), std::move(key),
                  std::move(curve_secret)};
}

}  // namespace

Result<Identity> LoadIdentity(const Path& folder, WallTime now) {
  ASSIGN_OR_RETURN(TrustAnchor anchor, ReadAnchor(folder));
  ASSIGN_OR_RETURN(std::vector<Bytes> chain, ReadChain(folder / kCertificateFile));
  return LoadWith(std::move(anchor), std::move(chain), folder, now);
}

Result<Identity> LoadIdentityAs(Role role, const Path& folder, WallTime now) {
  ASSIGN_OR_RETURN(Identity identity, LoadIdentity(folder, now));
  if (identity.subject.role != role) {
    return Fail(Code::kWrongRole, "{} is the identity of a {}, that of a {} is needed", folder.string(),
                RoleName(identity.subject.role), RoleName(role));
  }
  return identity;
}

Status IssueIdentity(const CertificateAuthority& authority, Subject subject, const Path& folder, WallTime now,
                     Millis lifetime, ByteView publication_root) {
  FileSystem& files = RealFileSystem();
  // The certificate is written last: a folder without one holds what an interrupted attempt left, and is filled anew.
  if (const auto size = files.Size(folder / kCertificateFile); size) {
    return Fail(Code::kAlreadyExists, "{} holds an identity already", folder.string());
  } else if (size.error().code != Code::kNotFound) {
    return Fail(size.error());
  }
  const SigningKey key = SigningKey::Generate();
  const CurveKeyPair curve = GenerateCurveKeyPair();
  subject.curve_public_key = curve.public_key;
  ASSIGN_OR_RETURN(Certificate certificate, authority.Issue(subject, key.public_key(), now, lifetime));

  RETURN_IF_ERROR(files.CreateFolders(folder));
  RETURN_IF_ERROR(WriteSecretFile(folder / kKeyFile, key.ToPem()));
  RETURN_IF_ERROR(WriteSecretFile(folder / kCurveFile, ToHexLine(curve.secret)));
  RETURN_IF_ERROR(WriteAnchor(files, folder, authority.root(), publication_root));
  std::string pem = CertificateToPem(certificate);
  for (const Certificate& issuer : authority.chain()) pem += CertificateToPem(issuer);
  return WriteFileAtomically(files, folder / kCertificateFile, AsBytes(pem));
}

Result<MemberKeys> PrepareIdentity(const Path& folder, const Certificate& ca, ByteView publication_root) {
  FileSystem& files = RealFileSystem();
  RETURN_IF_ERROR(files.CreateFolders(folder));
  RETURN_IF_ERROR(WriteAnchor(files, folder, ca, publication_root));
  auto key = ReadKey(folder / kKeyFile);
  if (!key && key.error().code == Code::kMissingData) {
    key = SigningKey::Generate();
    RETURN_IF_ERROR(WriteSecretFile(folder / kKeyFile, key->ToPem()));
  }
  auto secret = ReadCurveSecret(folder / kCurveFile);
  if (!secret && secret.error().code == Code::kMissingData) {
    secret = GenerateCurveKeyPair().secret;
    RETURN_IF_ERROR(WriteSecretFile(folder / kCurveFile, ToHexLine(*secret)));
  }
  if (!key) return Fail(key.error());
  if (!secret) return Fail(secret.error());
  ASSIGN_OR_RETURN(Bytes public_key, CurvePublicKeyOf(*secret));
  return MemberKeys{std::move(*key), {std::move(*secret), std::move(public_key)}};
}

Status SaveCertificate(FileSystem& files, const Path& folder, std::span<const Bytes> chain, WallTime now) {
  ASSIGN_OR_RETURN(TrustAnchor anchor, ReadAnchor(folder));
  ASSIGN_OR_RETURN(const Identity next, LoadWith(std::move(anchor), {chain.begin(), chain.end()}, folder, now));
  const Path path = folder / kCertificateFile;
  if (auto present = ReadChain(path)) {
    // That one may have expired meanwhile: whose it is counts, not whether it is valid still.
    ASSIGN_OR_RETURN(const Subject subject, ReadSubject({present->front()}));
    if (subject.id != next.subject.id || subject.role != next.subject.role) {
      return Fail(Code::kConflict, "{} is the certificate of {}, not of {}", path.string(), subject.id.text(),
                  next.subject.id.text());
    }
  } else if (present.error().code != Code::kMissingData) {
    return Fail(present.error());
  }
  std::string pem;
  for (const Bytes& der : chain) pem += CertificateToPem({der});
  return WriteFileAtomically(files, path, AsBytes(pem));
}

Result<Bytes> CurvePublicKeyOf(const SecretBytes& secret) {
  ASSIGN_OR_RETURN(HpkeKeyPair pair, HpkeKeyPairFromSecret(SecretBytes::CopyOf(secret.RevealForUse())));
  return std::move(pair.public_key);
}

Result<Bytes> ReadPublicationRoot(const Path& folder) {
  return OrIfAbsent(ReadFile(RealFileSystem(), folder / kPublicationRootFile, limits::kRootBytes), {});
}

Result<CertificateAuthority> LoadAuthority(const Path& folder) {
  ASSIGN_OR_RETURN(const std::string ca, ReadPem(folder / kCaFile));
  const bool is_issuer = Exists(folder / kIssuerFile);
  ASSIGN_OR_RETURN(const SecretBytes key, ReadSecret(folder / (is_issuer ? kIssuerKeyFile : kCaKeyFile)));
  std::optional<std::string> issuer;
  if (is_issuer) {
    ASSIGN_OR_RETURN(issuer, ReadPem(folder / kIssuerFile));
  }
  auto authority = CertificateAuthority::Load(key, ca, issuer);
  if (!authority && authority.error().code == Code::kMalformed) return InFile(authority.error(), folder);
  return authority;
}

Status SaveAuthority(const CertificateAuthority& authority, const Path& folder, ByteView publication_root) {
  const bool is_issuer = !authority.chain().empty();
  const Path key = folder / (is_issuer ? kIssuerKeyFile : kCaKeyFile);
  for (const Path& path : {key, folder / kCaFile}) {
    if (Exists(path)) {
      return Fail(Code::kAlreadyExists, "{} exists; what it issued would be lost: take another folder", path.string());
    }
  }
  FileSystem& files = RealFileSystem();
  RETURN_IF_ERROR(files.CreateFolders(folder));
  RETURN_IF_ERROR(WriteSecretFile(key, authority.key().ToPem()));
  if (is_issuer) {
    const std::string pem = CertificateToPem(authority.certificate());
    RETURN_IF_ERROR(WriteFileAtomically(files, folder / kIssuerFile, AsBytes(pem)));
  }
  return WriteAnchor(files, folder, authority.root(), publication_root);
}

}  // namespace tributary
