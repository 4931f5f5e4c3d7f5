#include "protocol/trust/identity/authority_folder.h"

#include "protocol/base/limits.h"

namespace tributary {
namespace {

constexpr const char* kCaKeyFile = "ca.key";
constexpr const char* kIssuerFile = "issuer.pem";
constexpr const char* kIssuerKeyFile = "issuer.key";

constexpr uint64_t kPemFileBytes = 2 * limits::kCertificateBytes * limits::kCertificateChain;

template <class T>
Result<T> NameMissing(Result<T> read, const Path& path) {
  if (read || read.error().code != Code::kNotFound) return read;
  return Fail(Code::kMissingData, "{} has no {}", path.parent_path().string(), path.string());
}

bool Exists(const Path& path) { return RealFileSystem().Size(path).has_value(); }

}  // namespace

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

Result<Bytes> ReadPublicationRoot(const Path& folder) {
  auto root = ReadFile(RealFileSystem(), folder / kPublicationRootFile, limits::kRootBytes);
  if (!root && root.error().code == Code::kNotFound) return Bytes();
  return root;
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
