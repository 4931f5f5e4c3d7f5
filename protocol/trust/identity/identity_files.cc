#include "protocol/trust/identity/identity_files.h"

#include <utility>

#include "protocol/base/limits.h"
#include "protocol/trust/seal/signing.h"

namespace tributary {
namespace {

constexpr uint64_t kPemFileBytes = 2 * limits::kCertificateBytes * limits::kCertificateChain;

tl::unexpected<Error> NameMissing(Error error, const Path& path) {
  if (error.code != Code::kNotFound) return Fail(std::move(error));
  return Fail(Code::kMissingData, path.parent_path().string() + " has no " + path.string());
}

}  // namespace

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

Status WriteAnchor(FileSystem& files, const Path& folder, const Certificate& ca, ByteView publication_root) {
  if (!publication_root.empty()) {
    RETURN_IF_ERROR(WriteFileAtomically(files, folder / kPublicationRootFile, publication_root));
  }
  return WriteFileAtomically(files, folder / kCaFile, AsBytes(CertificateToPem(ca)));
}

}  // namespace tributary
